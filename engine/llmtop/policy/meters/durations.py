"""Percentiles of durations over a sliding window, in bounded memory.

Durations are counted in classes that are 2 % wide, so a percentile is right to 1 %, whether it
stands for ten answers or for a million: no sampling, no sorting of samples. (The idea is that
of logarithmic histograms such as DDSketch: Masson et al., VLDB 2019.)
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from llmtop.snapshot import Percentiles

_SLICES = 30
_SHORTEST_S = 1e-5
_LONGEST_S = 1e7
_PER_LOG = 1.0 / math.log(1.02)
_MEDIAN_OF = 60


class Durations:
    """Durations of the last `window_s`, in slices of a thirtieth of it; adding is O(1)."""

    __slots__ = ("_counts", "_p95s", "_slice", "_slice_s", "_slices", "_total")

    def __init__(self, window_s: float) -> None:
        self._slice_s = window_s / _SLICES
        self._slice = 0
        self._counts: dict[int, int] = {}
        self._slices: deque[tuple[int, dict[int, int]]] = deque()
        self._total: dict[int, int] = {}
        self._p95s: deque[tuple[int, float]] = deque(maxlen=_MEDIAN_OF)

    def add(self, now: float, duration_s: float) -> None:
        """Count one duration that ended at `now`; what is no positive number counts as the shortest."""
        number = int(now // self._slice_s)
        if number > self._slice:
            self._turn(number)
        if not duration_s > _SHORTEST_S:
            duration_s = _SHORTEST_S
        size = int(math.log(min(duration_s, _LONGEST_S)) * _PER_LOG + 2000.0)
        self._counts[size] = self._counts.get(size, 0) + 1
        self._total[size] = self._total.get(size, 0) + 1

    def percentiles(self, now: float) -> Percentiles:
        """The p50, p95 and p99 of the window, in seconds; None each before the first."""
        self._turn(int(now // self._slice_s))
        p50, p95, p99 = _quantiles(self._total, (0.50, 0.95, 0.99))
        return Percentiles(p50, p95, p99)

    def p95_median(self, now: float) -> float | None:
        """Median of the p95 of each slice in twice the window: what is usual, to compare the present with."""
        self._turn(int(now // self._slice_s))
        values = [value for number, value in self._p95s if number > self._slice - _MEDIAN_OF]
        return median(values) if values else None

    def _turn(self, number: int) -> None:
        """Begin the slice `number`; what is older than the window goes."""
        if number <= self._slice:
            return
        if self._counts:
            p95 = _quantiles(self._counts, (0.95,))[0]
            self._p95s.append((self._slice, p95 or 0.0))
            self._slices.append((self._slice, self._counts))
            self._counts = {}
        self._slice = number
        while self._slices and self._slices[0][0] <= number - _SLICES:
            for size, count in self._slices.popleft()[1].items():
                left = self._total[size] - count
                if left:
                    self._total[size] = left
                else:
                    del self._total[size]


def _quantiles(counts: dict[int, int], shares: tuple[float, ...]) -> list[float | None]:
    """Nearest-rank quantiles, each the middle of its class."""
    if not counts:
        return [None] * len(shares)
    total = sum(counts.values())
    ranks = [max(1, math.ceil(share * total)) for share in shares]
    found: list[float | None] = []
    seen = 0
    for size in sorted(counts):
        seen += counts[size]
        while len(found) < len(ranks) and seen >= ranks[len(found)]:
            found.append(math.exp((size - 2000.0 + 0.5) / _PER_LOG))
    return found
