"""Does more concurrency still buy throughput? Measured without comparing raw latencies.

Each success gives its level at departure, its latency and its work (output tokens and a fixed
part). For a set of them Little's law gives the throughput; two sets at two levels give the
elasticity: by how much throughput follows concurrency (1: one to one, 0: not at all).
"""

from __future__ import annotations

import math

_FIXED_WORK = 0.2
_MEAN_WEIGHT = 0.02


class Window:
    """Sums over a set of successes."""

    __slots__ = ("_latency", "_latency2", "_level_latency", "_mixed", "_work", "_work2", "count")

    def __init__(self) -> None:
        self.count = 0
        self._latency = self._work = self._level_latency = 0.0
        self._latency2 = self._work2 = self._mixed = 0.0

    def add(self, level: int, latency_s: float, work: float) -> None:
        """Add one success."""
        self.count += 1
        self._latency += latency_s
        self._work += work
        self._level_latency += level * latency_s
        self._latency2 += latency_s * latency_s
        self._work2 += work * work
        self._mixed += latency_s * work

    @property
    def seconds_per_work(self) -> float:
        """D: seconds per unit of work (an output token)."""
        return self._latency / max(self._work, 1e-12)

    @property
    def level(self) -> float:
        """Mean level, weighted by latency."""
        return self._level_latency / max(self._latency, 1e-12)

    @property
    def throughput(self) -> float:
        """Work a second, by Little's law."""
        return self.level / max(self.seconds_per_work, 1e-12)

    @property
    def error(self) -> float:
        """Relative standard error of `seconds_per_work`."""
        d = self.seconds_per_work
        squares = self._latency2 - 2.0 * d * self._mixed + d * d * self._work2
        return math.sqrt(max(0.0, squares)) / max(self._latency, 1e-12)


class Elasticity:
    """How throughput follows concurrency between two windows, with its standard error."""

    __slots__ = ("error", "value")

    def __init__(self, one: Window, two: Window) -> None:
        ratio = math.log(max(two.level, 1e-9) / max(one.level, 1e-9))
        if abs(ratio) < 0.02:
            ratio = 0.02 if ratio >= 0.0 else -0.02
        gain = math.log(max(two.throughput, 1e-12) / max(one.throughput, 1e-12))
        self.value = gain / ratio
        self.error = math.hypot(one.error, two.error) / abs(ratio)


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
