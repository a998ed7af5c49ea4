"""What to do when the container's memory fills up: less intake, less concurrency, then a pause.

Fed about once a second with the working set and the limit of the tightest group. Nothing is
done below the mark (`threshold` of the limit). Over it the guard takes one step at a time and
gives each step time to work; close to the limit it pauses at once. What it took away comes back
step by step: after 5 s below 0.9 of the mark, or after a minute under the mark (others may hold
that memory for good, and a run must end).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from llmtop.config.schema import MemoryConfig

GuardStage = Literal["idle", "intake", "shrink", "pause"]

_STEP_S = 5.0
"""Between two steps: calls in flight end and their memory comes back."""
_SHRINK = 0.7
_BACK = 0.9
"""Of the mark: below it what was taken away comes back."""
_PATIENCE_S = 60.0
"""Under the mark, but not far below it."""
_LAST_RESORT = 0.75
"""Of the way from the mark to the limit: there is no time for steps any more."""
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class GuardChange:
    """One change of a set-point, for a `Decision` with `by = "guard"`."""

    what: Literal["memory", "concurrency"]
    old: str
    new: str
    why: str


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What holds from now on, and what changed just now."""

    stage: GuardStage
    is_growth_allowed: bool
    """Whether the engine may read further ahead and raise concurrency."""
    ceiling: int | None
    """Concurrency at the most; None: the guard sets no bound. While intake is stopped it is what it was."""
    is_paused: bool
    level: Literal["good", "warn", "bad"]
    words: str
    """What the guard does, for the screen."""
    mark_bytes: int | None
    changes: tuple[GuardChange, ...] = ()


class MemoryGuard:
    """Decides for one run. `floor` is the least concurrency that it shrinks to before it pauses."""

    def __init__(self, config: MemoryConfig, floor: int) -> None:
        self._config = config
        self._floor = max(1, floor)
        self._stage: GuardStage = "idle"
        self._ceiling: int | None = None
        self._before = self._floor
        self._changed_at = -math.inf
        self._below_since = math.inf
        self._under_since = math.inf
        self._is_over = False

    def __repr__(self) -> str:
        return f"MemoryGuard({self._stage}, ceiling={self._ceiling})"

    def on_reading(
        self, now: float, working_set: int | None, limit: int | None, concurrency: int
    ) -> GuardVerdict:
        """Take a reading in bytes and the concurrency that is allowed now; say what holds from now on.

        None: there is no limit or it cannot be read; what was taken away comes back.
        """
        if working_set is None or not limit:
            mark, share, last_resort, why = None, 0.0, math.inf, "no limit can be read"
        else:
            mark = math.floor(self._config.threshold * limit)
            share = working_set / max(1, mark)
            last_resort = (mark + _LAST_RESORT * (limit - mark)) / max(1, mark)
            why = f"working set {_gib(working_set)} of {_gib(limit)}, the mark is {_gib(mark)}"
        changes = self._decide(now, share, last_resort, concurrency, why)
        return GuardVerdict(
            stage=self._stage,
            is_growth_allowed=self._stage == "idle",
            ceiling=self._ceiling,
            is_paused=self._stage == "pause",
            level="bad" if share >= 1.0 else "warn" if share >= _BACK else "good",
            words=self._words(),
            mark_bytes=mark,
            changes=tuple(changes),
        )

    def _decide(
        self, now: float, share: float, last_resort: float, concurrency: int, why: str
    ) -> list[GuardChange]:
        self._below_since = min(self._below_since, now) if share < _BACK else math.inf
        self._under_since = min(self._under_since, now) if share < 1.0 else math.inf
        if self._config.action == "warn":
            return self._warn(share, why)
        if share >= 1.0:
            return self._press(now, share >= last_resort, concurrency, why)
        is_calm = now - max(self._below_since, self._changed_at) >= _STEP_S
        if is_calm or now - max(self._under_since, self._changed_at) >= _PATIENCE_S:
            return self._relent(now, why)
        return []

    def _warn(self, share: float, why: str) -> list[GuardChange]:
        """Say once that the mark is passed, and once that it is over; touch nothing."""
        if self._is_over == (share >= 1.0) or (self._is_over and share >= _BACK):
            return []
        self._is_over = not self._is_over
        words = ("under the mark", "over the mark")
        return [GuardChange("memory", words[not self._is_over], words[self._is_over], why)]

    def _press(self, now: float, is_last_resort: bool, concurrency: int, why: str) -> list[GuardChange]:
        if self._stage == "pause":
            return []
        if self._config.action == "pause" or is_last_resort:
            self._keep(concurrency)
            return [self._enter("pause", now, why)]
        if self._stage == "idle":
            self._keep(concurrency)
            self._ceiling = concurrency
            return [self._enter("intake", now, why)]
        if now - self._changed_at < _STEP_S:
            return []
        allowed = min(concurrency, self._ceiling or concurrency)
        if allowed <= self._floor:
            return [self._enter("pause", now, why)]
        changes = [] if self._stage == "shrink" else [self._enter("shrink", now, why)]
        return [*changes, self._bound(now, allowed, max(self._floor, int(allowed * _SHRINK)), why)]

    def _relent(self, now: float, why: str) -> list[GuardChange]:
        if self._stage == "pause" and self._config.action == "pause":
            self._ceiling = None
            return [self._enter("idle", now, why)]
        if self._stage == "pause":
            old, new = self._ceiling or self._before, min(self._floor, self._before)
            self._ceiling = new
            changes = [self._enter("shrink", now, why)]
            return changes if old == new else [*changes, self._bound(now, old, new, why)]
        if self._stage == "shrink" and self._ceiling is not None:
            higher = max(self._ceiling + 1, int(self._ceiling / _SHRINK))
            if higher < self._before:
                return [self._bound(now, self._ceiling, higher, why)]
            return [self._bound(now, self._ceiling, self._before, why), self._enter("intake", now, why)]
        self._ceiling = None
        return [] if self._stage == "idle" else [self._enter("idle", now, why)]

    def _keep(self, concurrency: int) -> None:
        """Remember what to come back to, before the first step takes anything away."""
        if self._stage == "idle":
            self._before = concurrency

    def _enter(self, stage: GuardStage, now: float, why: str) -> GuardChange:
        change = GuardChange("memory", self._stage, stage, why)
        self._stage = stage
        self._changed_at = now
        return change

    def _bound(self, now: float, old: int, new: int, why: str) -> GuardChange:
        self._ceiling = new
        self._changed_at = now
        return GuardChange("concurrency", str(old), str(new), why)

    def _words(self) -> str:
        if self._config.action == "warn":
            return "over the mark, only warns" if self._is_over else "idle"
        if self._stage == "shrink":
            return f"concurrency {self._before} > {self._ceiling}"
        return {"idle": "idle", "intake": "takes in no more", "pause": "paused the run"}[self._stage]


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
