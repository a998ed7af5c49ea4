"""The words of the tuner: what it is told of every request, and what it writes down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from llmtop.frozen import value
from llmtop.model import LimitHeaders, Outcome

_RECORDS = 2000
_STEPS_S = 1.0
_STEPWISE = ("accepted", "probe: is there more", "same burst", "filled")
"""The reasons for which a number moves in many small steps."""


@value(frozen=True, slots=True, kw_only=True)
class Report:
    """How one request ended, for the lane that let it leave. Tokens: the provider's count, 0: unknown."""

    outcome: Outcome
    latency_s: float
    retry_after_s: float | None = None
    scope: str | None = None
    """`requests`, `tokens` or `concurrency`, where the refusal named it."""
    limits: tuple[LimitHeaders, ...] = ()
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    items: int = 1
    items_ok: int = 1
    """Items whose answer had the right form."""
    items_rejected: int = 0
    """Of these, those that a filter rejected: only the size of packs answers for it."""
    cost_pusd: int | None = None

    @property
    def is_served(self) -> bool:
        """Whether the provider did the work, also where the answer is of no use (cut, blank)."""
        outcome = self.outcome
        if outcome is Outcome.OK or outcome is Outcome.PARTIAL:
            return True
        return outcome is Outcome.BAD and self.output_tokens > 0.0

    @property
    def wait_s(self) -> float | None:
        """The wait that the provider asked for, where it is one."""
        asked = self.retry_after_s
        return asked if asked is not None and 0.0 < asked < float("inf") else None


class Flight:
    """One request on its way."""

    __slots__ = ("is_accepted", "level", "number", "sent_at", "tokens")

    def __init__(self, number: int, sent_at: float, level: int, tokens: float) -> None:
        self.number = number
        self.sent_at = sent_at
        self.level = level
        """Requests of the lane in flight when it left, itself included."""
        self.tokens = tokens
        """Tokens it was expected to use."""
        self.is_accepted = False
        """Whether it has counted as accepted: answered, or running for long enough."""


class Mode(StrEnum):
    """What refusals are answered with."""

    CONCURRENCY = "concurrency"
    RATE = "rate"


class Phase(StrEnum):
    """What the concurrency is doing."""

    START = "start"
    PROBE = "probe"
    CLIMB = "climb"
    HOLD = "hold"


class Ended(StrEnum):
    """What ended the last growth."""

    LOSS = "loss"
    DELAY = "delay"
    MAX = "max"


class Record(NamedTuple):
    """One change of a set-point or state, with the number that decided. `at` is on the lane's clock."""

    at: float
    what: str
    old: str
    new: str
    why: str
    by: str


class Journal:
    """The last records of a lane; a listener hears each as it is made.

    Steps of one kind for one reason within a second are one record, from the first to the last.
    """

    def __init__(self) -> None:
        self.records: deque[Record] = deque(maxlen=_RECORDS)
        self.listener: Callable[[Record], None] | None = None
        self._open: Record | None = None

    def note(self, at: float, what: str, old: object, new: object, why: str, by: str = "tuner") -> None:
        """Write down one change."""
        record = Record(at, what, _word(old), _word(new), why, by)
        last = self._open
        if last is not None and (last.what, last.why, last.by) == (what, why, by) and at - last.at < _STEPS_S:
            self._open = last._replace(new=record.new)
            return
        self.flush()
        self._open = record
        if not why.startswith(_STEPWISE):
            self.flush()

    def flush(self, now: float | None = None) -> None:
        """Give out the record that is still open; with `now`, only when no step can join it any more."""
        record = self._open
        if record is None or (now is not None and now - record.at < _STEPS_S):
            return
        self._open = None
        self.records.append(record)
        if self.listener is not None:
            self.listener(record)


def _word(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
