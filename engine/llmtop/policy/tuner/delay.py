"""Does more concurrency still buy throughput? Measured without comparing raw latencies.

Each success gives its level at departure, its latency and its work (output tokens and a fixed
part). For a set of them Little's law gives the throughput; two sets at two levels give the
elasticity: by how much throughput follows concurrency (1: one to one, 0: not at all).
"""

from __future__ import annotations

import math
from typing import NamedTuple

_FIXED_WORK = 0.2
_MEAN_WEIGHT = 0.02


class Sample(NamedTuple):
    """One success: level at departure, latency, output tokens with a fixed part, and items."""

    level: int
    latency_s: float
    work: float
    items: int


class _Basis:
    """Latency per unit of something: output tokens explain it best, or items where a queue does."""

    __slots__ = ("amount", "mixed", "squares")

    def __init__(self) -> None:
        self.amount = self.squares = self.mixed = 0.0

    def error(self, latency_s: float, latency2: float) -> float:
        """Relative standard error of the latency per unit, from the sums of latency and its square."""
        d = latency_s / max(self.amount, 1e-12)
        squares = latency2 - 2.0 * d * self.mixed + d * d * self.squares
        return math.sqrt(max(0.0, squares)) / max(latency_s, 1e-12)


class Window:
    """Sums over a set of successes."""

    __slots__ = ("_items", "_latency", "_latency2", "_level_latency", "_work", "count")

    def __init__(self) -> None:
        self.count = 0
        self._latency = self._latency2 = self._level_latency = 0.0
        self._work, self._items = _Basis(), _Basis()

    def add(self, sample: Sample) -> None:
        """Add one success. In one piece: every answer goes into two or three windows."""
        level, latency_s, units, items = sample
        self.count += 1
        self._latency += latency_s
        self._latency2 += latency_s * latency_s
        self._level_latency += level * latency_s
        work = self._work
        work.amount += units
        work.squares += units * units
        work.mixed += latency_s * units
        basis = self._items
        basis.amount += items
        basis.squares += items * items
        basis.mixed += latency_s * items

    @property
    def level(self) -> float:
        """Mean level, weighted by latency."""
        return self._level_latency / max(self._latency, 1e-12)

    @property
    def seconds_per_work(self) -> float:
        """D: seconds per unit of work."""
        return self.slowness(is_by_items=False)

    def slowness(self, *, is_by_items: bool) -> float:
        """Seconds per unit of work, or per item."""
        basis = self._items if is_by_items else self._work
        return self._latency / max(basis.amount, 1e-12)

    def error(self, *, is_by_items: bool) -> float:
        """Relative standard error of `slowness`."""
        basis = self._items if is_by_items else self._work
        return basis.error(self._latency, self._latency2)


class Slowdown:
    """How much slower two is than one, by the measure that is less noisy, and its standard error."""

    __slots__ = ("error", "ratio")

    def __init__(self, one: Window, two: Window) -> None:
        errors = [math.hypot(one.error(is_by_items=way), two.error(is_by_items=way)) for way in (False, True)]
        is_by_items = errors[1] < errors[0]
        self.error = min(errors)
        slower = two.slowness(is_by_items=is_by_items)
        self.ratio = slower / max(one.slowness(is_by_items=is_by_items), 1e-12)


class Elasticity:
    """How throughput follows concurrency between two windows, with its standard error."""

    __slots__ = ("error", "value")

    def __init__(self, one: Window, two: Window) -> None:
        ratio = math.log(max(two.level, 1e-9) / max(one.level, 1e-9))
        if abs(ratio) < 0.02:
            ratio = 0.02 if ratio >= 0.0 else -0.02
        slower = Slowdown(one, two)
        self.value = 1.0 - math.log(max(slower.ratio, 1e-12)) / ratio
        self.error = slower.error / abs(ratio)


class Work:
    """Turns an answer into units of work: output tokens, and a fixed part for each item."""

    def __init__(self) -> None:
        self._per_item = 0.0
        self._count = 0

    def of(self, output_tokens: float, items: int) -> float:
        """Return the work of one answer; where tokens are unknown, an item is one unit."""
        if output_tokens > 0.0:
            self._count += 1
            weight = max(_MEAN_WEIGHT, 1.0 / self._count)
            self._per_item += weight * (output_tokens / max(1, items) - self._per_item)
        if self._per_item <= 0.0:
            return float(max(1, items))
        return output_tokens + _FIXED_WORK * self._per_item * max(1, items)
