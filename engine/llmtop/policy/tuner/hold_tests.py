"""Tests while the concurrency holds: fewer, to see whether they were needed; more, to see whether they help.

An alarm (answers became slower or faster) only starts a test: if fewer in flight do not help,
the slowdown is not ours and the concurrency comes back. A latency budget bounds the race of two
clients that each gain by taking the other's share.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from llmtop.config.schema import TunerConfig
from llmtop.policy.tuner.delay import Elasticity, Sample, Slowdown, Window

_FIRST_GAP_S, _MAX_GAP_S, _GAP_GROWTH = 45.0, 240.0, 1.4
_SOON_S = 8.0
_DOWN, _UP = 0.8, 1.25
_BEST_WINDOW_S = 900.0
_SLOW_SHARE = 0.05

Direction = Literal["down", "up"]


class Move(NamedTuple):
    """A concurrency to go to, and why. `step`: growth goes on from there with this step."""

    limit: int
    what: str
    why: str
    step: int = 0


class _Test:
    """One running test."""

    def __init__(self, now: float, direction: Direction, old: int, new: int, before: Window) -> None:
        self.since = now
        self.direction = direction
        self.old = old
        self.new = new
        self.before = before
        self.window = Window()


class HoldTests:
    """What is measured while the phase is hold. `is_delay`: growth was ended by delay."""

    def __init__(self, tuning: TunerConfig, timeout_s: float | None) -> None:
        self._tuning = tuning
        self._slow_s = float("inf") if timeout_s is None else timeout_s / 2.0
        self._gap_s = _FIRST_GAP_S
        self.next_at = 0.0
        self._next: Direction = "down"
        self._test: _Test | None = None
        self._since = -1e9
        """Only what left after the last change of level is compared."""
        self._before, self._current = Window(), Window()
        self._first: Window | None = None
        self._block = Window()
        self._best: deque[tuple[float, float]] = deque()
        self._slow_share = 0.0
        self._budget_at = -1e9

    @property
    def is_testing(self) -> bool:
        """Whether the limit is changed for a test now."""
        return self._test is not None

    def enter(self, now: float, *, is_down_next: bool) -> None:
        """The phase became hold, or the level changed inside it."""
        self._test = None
        self._forget(now)
        self._gap_s = _FIRST_GAP_S
        self.next_at = now + (_SOON_S if is_down_next else self._gap_s)
        self._next = "down"

    def abort(self, now: float) -> int | None:
        """Give a test up; return the limit to go back to."""
        test, self._test = self._test, None
        if test is None:
            return None
        self._forget(now)
        self._postpone(now)
        return test.old

    def due(self, now: float, limit: int, bounds: tuple[int, int]) -> Move | None:
        """Start the test that is due, where there is a measure to compare it with."""
        if self._test is not None or now < self.next_at:
            return None
        before = self._before if self._before.count else self._current
        if before.count < self._need(limit):
            return None
        direction = self._next
        if direction == "up" and self.ratio_to_best() > 0.8 * self._tuning.latency_budget:
            direction = "down"
        new = round(limit * (_DOWN if direction == "down" else _UP))
        new = min(new, limit - 1) if direction == "down" else max(new, limit + 1)
        new = max(bounds[0], min(bounds[1], new))
        if new == limit:
            self._next = "up" if direction == "down" else "down"
            self._postpone(now)
            return None
        self._test = _Test(now, direction, limit, new, before)
        return Move(new, "test", f"test {direction}: does throughput follow?")

    def add(self, now: float, sent_at: float, sample: Sample, limit: int, *, is_delay: bool) -> Move | None:
        """Take in one success; return what follows from it."""
        self._slow_share += 0.02 * ((1.0 if sample.latency_s > self._slow_s else 0.0) - self._slow_share)
        test = self._test
        if test is not None:
            if sent_at > test.since:
                test.window.add(sample)
            return self._judge(now, test) if test.window.count >= self._need(test.old) else None
        if sent_at <= self._since:
            return None
        self._current.add(sample)
        if self._current.count >= self._need(limit):
            self._before, self._current = self._current, Window()
        self._block.add(sample)
        if self._block.count < max(12.0, 0.4 * limit):
            return None
        block, self._block = self._block, Window()
        return self._watch(now, block, limit, is_delay=is_delay)

    def _judge(self, now: float, test: _Test) -> Move | None:
        low, high = (test.window, test.before) if test.direction == "down" else (test.before, test.window)
        e, e_min = Elasticity(low, high), self._tuning.e_min
        if abs(e.value - e_min) < 1.2 * e.error and test.window.count < 4 * self._need(test.old):
            return None
        self._test = None
        self._forget(now)
        said = f"throughput elasticity {e.value:.2f}"
        if test.direction == "down":
            if e.value < e_min - 0.5 * e.error:
                self._next, self.next_at = "down", now
                return Move(test.new, "concurrency", f"{said} < {e_min:g}: fewer do as much")
            self._next = "up" if e.value > 0.75 or self._next == "down" else "down"
            self._postpone(now)
            if e.value > 0.75:
                self.next_at = now + _SOON_S
        elif e.value >= e_min + 0.3 * e.error:
            return Move(
                test.new, "concurrency", f"{said} >= {e_min:g}: more help", step=max(1, test.new // 2)
            )
        else:
            self._next = "down"
            self._postpone(now)
        return Move(test.old, "test", f"{said}: back")

    def _watch(self, now: float, block: Window, limit: int, *, is_delay: bool) -> Move | None:
        """Compare one block with the start of the hold and with the best of 15 minutes."""
        d = block.seconds_per_work
        best = self._best
        while best and best[-1][1] >= d:
            best.pop()
        best.append((now, d))
        while best[0][0] < now - _BEST_WINDOW_S:
            best.popleft()
        if (move := self._within_budget(now, d, limit)) is not None:
            return move
        if self._first is None:
            self._first = block
            return None
        slower = Slowdown(self._first, block)
        if slower.ratio > max(1.35, 1.0 + 3.0 * slower.error):
            self._next, self.next_at = "down", now
        elif is_delay and slower.ratio < min(0.87, 1.0 - 2.5 * slower.error):
            self._next, self.next_at = "up", now
        return None

    def _within_budget(self, now: float, d: float, limit: int) -> Move | None:
        ratio, budget = self.ratio_to_best(d), self._tuning.latency_budget
        is_slow = self._slow_share > _SLOW_SHARE
        if (ratio <= budget and not is_slow) or now < self._budget_at:
            return None
        self._budget_at = now + 10.0
        new = int(limit * max(0.7, min(0.95, budget / ratio)))
        why = f"{ratio:.1f} times the best latency" if ratio > budget else "answers near the time limit"
        return Move(max(1, new), "concurrency", f"{why}: budget {budget:g}")

    def ratio_to_best(self, d: float | None = None) -> float:
        """Return seconds per work (`d`, or the last) against the best of 15 minutes."""
        if not self._best:
            return 1.0
        return (self._best[-1][1] if d is None else d) / max(1e-12, self._best[0][1])

    def _forget(self, now: float) -> None:
        self._since = now
        self._before, self._current, self._block = Window(), Window(), Window()
        self._first = None

    def _postpone(self, now: float) -> None:
        self._gap_s = min(_MAX_GAP_S, _GAP_GROWTH * self._gap_s)
        self.next_at = now + self._gap_s

    @staticmethod
    def _need(limit: int) -> int:
        return max(20, min(limit, 80))
