"""Where a run stands: what was asked of it, what it met, and the word for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmtop.errors import LlmtopError
from llmtop.model import RunCounts
from llmtop.snapshot import RunState
from llmtop.submit.work import Halt

Phase = Literal["starting", "running", "ended"]
End = Literal["finished", "stopped", "cancelled", "failed"]

EXIT_FAILED_ITEMS = 7
EXIT_CANCELLED = 8
EXIT_BUDGET = 6
EXIT_REFUSED = 3


@dataclass(slots=True)
class Standing:
    """The state of one run, in this process."""

    phase: Phase = "starting"
    end: End = "stopped"
    is_paused: bool = False
    """By an operator: holds over restarts."""
    halt: Halt | None = None
    is_stopping: bool = False
    is_cancelled: bool = False
    fault: LlmtopError | None = None
    """What ended it: state that cannot be written, or a bug."""

    def word(self, *, in_flight: int, is_held: bool, is_waiting: bool = False) -> RunState:
        """Return the one word for the title."""
        if self.phase == "ended":
            return self._ended_word()
        if self.phase == "starting":
            return "starting"
        if self.is_stopping:
            return "stopping"
        if self.halt is not None:
            return "budget" if self.halt.reason == "budget" else "refused"
        if self.is_paused:
            return "pausing" if in_flight else "paused"
        if is_waiting and not in_flight:
            return "waiting"
        return "held" if is_held and not in_flight else "running"

    def _ended_word(self) -> RunState:
        if self.end == "stopped" and self.halt is not None:
            return "budget" if self.halt.reason == "budget" else "refused"
        if self.end == "stopped" and self.is_paused:
            return "paused"
        return self.end

    def exit_code(self, counts: RunCounts, signal_code: int) -> int:
        """Return what `llmtop run` ends with; `signal_code`: when it was stopped politely."""
        if self.fault is not None:
            return self.fault.exit_code
        if self.end == "cancelled":
            return EXIT_CANCELLED
        if self.end != "finished" and self.halt is not None:
            return EXIT_BUDGET if self.halt.reason == "budget" else EXIT_REFUSED
        if self.end == "stopped":
            return signal_code
        return 0 if counts.done == counts.total else EXIT_FAILED_ITEMS
