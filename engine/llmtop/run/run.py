"""One run from its first item to its summary, and what an operator may do to it meanwhile.

Owned by an engine, which gives it a lane, ticks it once a second and ends it. Everything that
happens to a run goes through here: start, pause, halt, stop, retry, end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from llmtop.adapters.ledger import CommandRecord, StateChange
from llmtop.errors import InputError, LlmtopError, StateError
from llmtop.model import Acknowledgement, Command, Decision, Result, RunCounts
from llmtop.policy.limiter import Cause
from llmtop.run.opened import Opened
from llmtop.run.parts import Parts
from llmtop.run.state import Standing
from llmtop.run.steering import steer
from llmtop.snapshot import LogLine, RunState
from llmtop.submit.gate import Lane
from llmtop.submit.work import Halt

_LOG_LINES = 100
_SAVE_EVERY_S = 10.0
_KNOB_OF = {
    "concurrency": "concurrency",
    "pack": "items_per_request",
    "rate:req": "requests_per_second",
    "rate:total": "tokens_per_minute",
    "budget": "max_cost",
}
"""The knob that a decision turns."""
_TUNED_KNOBS = frozenset(("concurrency", "items_per_request"))


class Run:
    """A run that this process owns.

    `main()` lives until `close()`. `is_settled` tells that it has nothing to do unless somebody
    changes something: every item has a result, or it was stopped, cancelled or halted.
    """

    def __init__(
        self,
        opened: Opened,
        lane: Lane,
        parts: Callable[[Run], Parts],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        record = opened.record
        self.id = record.id
        self.name = record.name
        self.config = opened.config
        self.opened = opened
        self.ledger = opened.ledger
        self.lane = lane
        self.clock = clock
        self.wall = wall
        self.standing = Standing(is_paused=record.is_paused)
        self.counts = opened.totals.counts
        self.log: deque[LogLine] = deque(maxlen=_LOG_LINES)
        self.decisions: deque[Decision] = deque(maxlen=50)
        self.set_by: dict[str, tuple[str, float]] = {}
        """Who gave a knob its value last in this process, and when (wall clock)."""
        self.last_command = ""
        self.seen_state: tuple[RunState, float] | None = None
        """The state as it was seen last, and since when (wall clock)."""
        self.version = 1
        self.changed = asyncio.Event()
        """Set when something happens that a viewer should see at once; a new one then takes its place."""
        self.signal_code = 130
        """What a polite stop ends with: 130 for SIGINT, 143 for SIGTERM."""
        self._elapsed_before = record.elapsed_s
        self._started: float | None = None
        self._saved = clock()
        self._settled = asyncio.Event()
        self._again = asyncio.Event()
        self._is_closing = False
        self._grace: asyncio.TimerHandle | None = None
        self.parts = parts(self)
        self.parts.line.on_decision = self.decided

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.standing.phase} {self.counts.finished}/{self.counts.total}>"

    # -- life --------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether it has nothing to do unless somebody changes something."""
        return self._settled.is_set()

    @property
    def elapsed_s(self) -> float:
        """Running time over all starts."""
        return self._elapsed_before + (0.0 if self._started is None else self.clock() - self._started)

    @property
    def exit_code(self) -> int:
        """What `llmtop run` ends with."""
        return self.standing.exit_code(self.counts, self.signal_code)

    async def main(self) -> None:
        """Run until closed. A bug in it ends the run with everything saved, and is raised."""
        try:
            while not self._is_closing:
                await self._once()
                await self._again.wait()
                self._again.clear()
        finally:
            if self.parts.filters is not None:
                self.parts.filters.close()

    async def settled(self) -> None:
        """Wait until it has nothing to do."""
        await self._settled.wait()

    def close(self) -> None:
        """Let `main` return once it is settled."""
        self._is_closing = True
        self._again.set()

    async def _once(self) -> None:
        standing = self.standing
        if standing.is_stopping and standing.phase == "starting":  # a signal was quicker
            self._conclude()
            return
        if self._grace is not None:
            self._grace.cancel()  # the stop before is over
            self._grace = None
        standing.phase, standing.end = "running", "stopped"
        standing.halt, standing.is_stopping = None, False
        self._settled.clear()
        self._started = self.clock()
        if standing.is_paused:
            self.parts.line.block(Cause.PAUSE)
        self._say("llmtop", "started" if not self.counts.finished else "goes on")
        self.save()
        way = self.parts.way
        if way.why:
            self.decided(Decision(self.wall(), "mode", "auto", way.mode, way.why, "llmtop"))
        try:
            await self._submit()
        except asyncio.CancelledError:
            if standing.fault is None:
                raise
        except (InputError, StateError) as error:  # the input was changed, the ledger cannot be read
            standing.fault = error
        except BaseException as error:
            standing.fault = LlmtopError(self.id, f"a bug in llmtop ended the run: {error!r}")
            raise
        finally:
            self._conclude()

    async def _submit(self) -> None:
        """Ask until nothing is left: items may be put back while the last results are committed."""
        standing = self.standing
        while True:
            await self.parts.submitter.run()
            is_over = standing.is_stopping or standing.is_cancelled or standing.halt or standing.fault
            if is_over or not self.ledger.pending(-1, 1):
                return

    def _conclude(self) -> None:
        standing = self.standing
        standing.phase = "ended"
        if standing.fault is not None:
            standing.end = "failed"
        elif standing.is_cancelled:
            standing.end = "cancelled"
        else:
            standing.end = "finished" if not self.counts.pending else "stopped"
        self._elapsed_before = self.elapsed_s
        self._started = None
        self._say(
            "llmtop",
            standing.end,
            "bad" if standing.fault else "good" if standing.end == "finished" else "plain",
        )
        self.save()
        self._settled.set()
        self.touch()

    def restart(self) -> None:
        """Go on after an end: items were put back, or what halted it was mended."""
        self.standing.is_cancelled = False
        if self.standing.phase == "ended":
            self._again.set()

    def stop(self, signal_code: int = 130) -> None:
        """Take nothing new, let what is in flight land within the grace, then end."""
        if self.standing.phase == "ended":
            return
        self.signal_code = signal_code
        self.standing.is_stopping = True
        if self.standing.phase == "starting":
            return
        self.parts.submitter.stop()
        loop, grace_s = asyncio.get_running_loop(), self.config.execution.stop_grace
        self._grace = self._grace or loop.call_later(grace_s, self.parts.submitter.abort)
        self.touch()

    def stop_now(self, signal_code: int = 130) -> None:
        """End at once: what is in flight goes back to the queue."""
        self.stop(signal_code)
        self.parts.submitter.abort()

    # -- what happens to it --------------------------------------------------------------------

    def halted(self, halt: Halt) -> None:
        """Nothing more can be sent until a person changes something."""
        if self.standing.halt is not None or self.standing.is_stopping:
            return
        self.standing.halt = halt
        self.decided(Decision(self.wall(), "state", "running", halt.reason, halt.message, "llmtop"))
        if halt.reason == "budget" and self.config.budget.on_limit == "stop":
            self.parts.submitter.stop()
            return
        if halt.reason != "budget":
            self.parts.line.block(Cause.PAUSE)
        self._settle_when_idle()

    def unhalt(self) -> None:
        """A person says that it may go on: what halted it will halt it again if it still stands."""
        self.standing.halt = None
        if not self.standing.is_paused:
            self.parts.line.unblock(Cause.PAUSE)
        if self.standing.phase == "running":
            self._settled.clear()
            self.parts.submitter.poke()
        elif self.counts.pending:
            self.restart()

    def _settle_when_idle(self) -> None:
        if self.standing.halt is not None and self.parts.submitter.is_idle:
            self._settled.set()
            self.touch()

    def finished(self, result: Result) -> None:
        """An item has a result, and the ledger has it."""
        counts = self.counts
        if result.status == "done":
            self.counts = RunCounts(counts.total, counts.done + 1, counts.rejected, counts.failed)
        elif result.status == "failed":
            self.counts = replace(counts, failed=counts.failed + 1)
        else:
            self.counts = replace(counts, rejected=counts.rejected + 1)

    def put_back(self, taken: RunCounts) -> None:
        """Results were taken out: their items are to be asked again.

        Taken off the live counters, not counted anew: results that were committed meanwhile are on
        their way to `finished`.
        """
        counts = self.counts
        self.counts = replace(
            counts,
            done=counts.done - taken.done,
            rejected=counts.rejected - taken.rejected,
            failed=counts.failed - taken.failed,
        )
        self.parts.submitter.poke()
        self.restart()

    def failed(self, error: LlmtopError) -> None:
        """The ledger can write no more: stop sending (promise M10)."""
        self.standing.fault = error
        self._say("llmtop", str(error), "bad")
        self.parts.submitter.give_up()

    def troubled(self, sentence: str | None) -> None:
        """The ledger waits for another process, or does no more."""
        self._say("ledger", sentence or "writes again", "warn" if sentence else "plain")

    def noticed(self, who: str, sentence: str) -> None:
        """Something that the user should know, and that changes nothing."""
        self._say(who, sentence, "warn")

    def heard(self, who: str, sentence: str) -> None:
        """Something happened to a batch job."""
        self._say(who, sentence)
        self.touch()

    def decided(self, decision: Decision) -> None:
        """A set-point or state changed: on record, in the log, on screen."""
        self.ledger.put(decision)
        self.decisions.append(decision)
        knob = _KNOB_OF.get(decision.what)
        if knob is not None and (knob in _TUNED_KNOBS or "@" in decision.by):
            self.set_by[knob] = (decision.by, decision.at)
        role = "warn" if decision.what in ("hold", "breaker", "memory") else "plain"
        self._say(decision.by, f"{decision.what} {decision.old} > {decision.new}  {decision.why}", role)

    async def command(self, command: Command) -> Acknowledgement:
        """Do what an operator asks, all or nothing, and write down who asked."""
        answer = await steer(self, command)
        if not command.is_dry_run:
            self.ledger.put(
                CommandRecord(
                    at=self.wall(),
                    verb=command.verb,
                    origin=command.origin,
                    is_ok=answer.is_ok,
                    message=answer.message,
                    values=command.values,
                )
            )
            self.last_command = f"{command.origin} {answer.message}"
            self._say(command.origin, answer.message, "plain" if answer.is_ok else "warn")
            self.touch()
        return replace(answer, version=self.version)

    def tick(self) -> None:
        """Once a second, by the engine."""
        self._settle_when_idle()
        if self.standing.phase == "running" and self.clock() - self._saved >= _SAVE_EVERY_S:
            self.save()

    def touch(self) -> None:
        """Something is to be seen."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def _say(self, who: str, text: str, role: str = "plain") -> None:
        self.log.append(LogLine(self.wall(), who, text, role))  # type: ignore[arg-type]
        self.version += 1

    def save(self) -> None:
        """Write the state down, for the next start."""
        self._saved = self.clock()
        standing = self.standing
        word = standing.word(in_flight=0, is_held=False)
        detail = standing.fault or (standing.halt.message if standing.halt else "")
        self.ledger.put(
            StateChange(
                at=self.wall(),
                state=word,
                detail=str(detail),
                is_paused=standing.is_paused,
                elapsed_s=self.elapsed_s,
                exit_code=self.exit_code if standing.phase == "ended" else None,
            )
        )
