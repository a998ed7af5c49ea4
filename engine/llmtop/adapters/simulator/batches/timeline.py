"""When what happens to a batch job. Pure: seconds of the batches' own clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from llmtop.adapters.simulator.profile import Profile

State = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
TERMINAL = frozenset(("failed", "completed", "expired", "cancelled"))


@dataclass(slots=True)
class Timeline:
    """The life of one batch: `lines` are worked one after the other, the last `stuck` of them never."""

    created_at: float
    lines: int
    stuck: int
    is_faulty: bool
    """Fails when its validation is over."""
    validated_at: float
    line_s: float
    first_line_at: float
    expires_at: float
    finalizing_s: float
    cancelling_s: float
    cancelled_at: float = math.inf
    """When somebody asked for it."""

    @property
    def _able(self) -> int:
        """How many lines would be done, given time."""
        return self.lines - self.stuck

    @property
    def _worked_at(self) -> float:
        """When the last of these is done, if nothing comes before."""
        return self.first_line_at + self.line_s * self._able

    @property
    def stops_at(self) -> float:
        """When the last line that is worked on at all is done, or the others are given up."""
        return min(math.inf if self.stuck else self._worked_at, self.expires_at, self.cancelled_at)

    @property
    def ends_at(self) -> float:
        """When the last state is reached."""
        if self.is_faulty and self.validated_at <= self.cancelled_at:
            return self.validated_at
        rest_s = self.cancelling_s if self.is_cancelled else self.finalizing_s
        return self.stops_at + rest_s

    @property
    def is_cancelled(self) -> bool:
        """Whether the end comes of a wish to cancel."""
        return self.stops_at == self.cancelled_at

    @property
    def done(self) -> int:
        """How many lines are done at the end; the first ones in the order of work."""
        return self.done_at(self.stops_at)

    def done_at(self, now: float) -> int:
        """How many lines are done by then."""
        since_s = min(now, self.stops_at) - self.first_line_at
        if since_s < 0 or self.is_faulty:
            return 0
        if min(now, self.stops_at) >= self._worked_at:  # the quotient below may be a hair too small
            return self._able
        return min(self._able, math.floor(since_s / self.line_s + 1e-9))

    def state(self, now: float) -> State:
        """Return what the batch is then."""
        if now >= self.ends_at:
            return self._last()
        if now >= self.cancelled_at:
            return "cancelling"
        if now < self.validated_at:
            return "validating"
        return "in_progress" if now < self.stops_at else "finalizing"

    def _last(self) -> State:
        if self.is_faulty and not self.is_cancelled:
            return "failed"
        if self.is_cancelled:
            return "cancelled"
        return "expired" if self.stops_at == self.expires_at and self.done < self.lines else "completed"


def timeline(
    profile: Profile, created_at: float, lines: int, stuck: int, window_s: float, *, is_faulty: bool
) -> Timeline:
    """Return the life of a batch that is created now."""
    validated_at = created_at + profile.batch_validating_s
    return Timeline(
        created_at=created_at,
        lines=lines,
        stuck=stuck,
        is_faulty=is_faulty,
        validated_at=validated_at,
        line_s=profile.batch_line_s,
        first_line_at=validated_at + profile.batch_s,
        expires_at=created_at + window_s,
        finalizing_s=profile.batch_finalizing_s,
        cancelling_s=profile.batch_cancelling_s,
    )
