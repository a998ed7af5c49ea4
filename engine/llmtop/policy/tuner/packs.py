"""How many items to put in one request: a search among neighbours, by what the pack's answers came to.

Per arm, with exponential forgetting: requests, good items, latency, cost, tokens. The value of an
arm is the logarithm of good items per share of the binding resource, less a part of the price of
a good item. Only the leader and its two neighbours are tried: the objective has one top.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llmtop.frozen import value

_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128)
_MEMORY = 600.0
_FEW, _SOME = 20.0, 60.0
_SMALLER = 0.03
"""Where nothing is gained by it, the smaller pack: a bad answer loses less."""
_MOVE_EVERY, _MOVE_NEEDS = 6, 8.0


@dataclass(slots=True)
class _Arm:
    size: int
    seen_at: int = 0
    requests: float = 0.0
    good: float = 0.0
    latency_s: float = 0.0
    cost: float = 0.0
    tokens: float = 0.0

    def fade(self, count: int) -> None:
        """Forget with the number of requests since this arm was last looked at."""
        passed, self.seen_at = count - self.seen_at, count
        if passed > 0:
            kept = math.exp(-passed / _MEMORY)
            self.requests *= kept
            self.good *= kept
            self.latency_s *= kept
            self.cost *= kept
            self.tokens *= kept

    @property
    def good_per_request(self) -> float:
        """With two pseudo-packs of optimism."""
        return (self.good + 2.0 * self.size) / (self.requests + 2.0)

    @property
    def share_good(self) -> float:
        """The yield of its items, between 0 and 1."""
        return self.good_per_request / self.size


@value(frozen=True, slots=True)
class Binding:
    """What a request takes from the lane: slots, and what limits the rate (None: no such limit)."""

    concurrency: int
    request_rate: float | None
    token_rate: float | None


class Packs:
    """Chooses the items of the next request between `low` and `high`."""

    def __init__(
        self, low: int, start: int, high: int, cost_weight: float, uniform: Callable[[float, float], float]
    ):
        sizes = [size for size in _SIZES if low <= size <= high] or [start]
        self._arms = [_Arm(size) for size in sizes]
        self._place = min(range(len(sizes)), key=lambda place: abs(sizes[place] - start))
        self._cost_weight = cost_weight
        self._uniform = uniform
        self._count = 0

    @property
    def leader(self) -> int:
        """The best size so far."""
        return self._arms[self._place].size

    @property
    def is_choosing(self) -> bool:
        """Whether there is more than one size."""
        return len(self._arms) > 1

    def set(self, size: int) -> None:
        """Go on from the size that is nearest to `size`."""
        self._place = min(range(len(self._arms)), key=lambda place: abs(self._arms[place].size - size))

    def choose(self) -> int:
        """Return the size of the next pack: the leader, or now and then a neighbour."""
        draw = self._uniform(0.0, 1.0)
        for place in self._neighbours():
            arm = self._arms[place]
            share = 0.25 if arm.requests < _FEW else 0.18 if arm.requests < _SOME else 0.05
            if draw < share:
                return arm.size
            draw -= share
        return self.leader

    def answered(
        self, size: int, good: int, latency_s: float, cost: float, tokens: float, binding: Binding
    ) -> tuple[int, int, str] | None:
        """Take in one answered pack; return (old, new, why) where the leader moves."""
        if not self.is_choosing:
            return None
        place = next((place for place, arm in enumerate(self._arms) if arm.size == size), None)
        if place is None:
            return None
        self._count += 1
        arm = self._arms[place]
        arm.fade(self._count)
        arm.requests += 1.0
        arm.good += good
        arm.latency_s += latency_s
        arm.cost += cost
        arm.tokens += tokens
        return self._lead(binding) if self._count % _MOVE_EVERY == 0 else None

    def _neighbours(self) -> list[int]:
        return [place for place in (self._place - 1, self._place + 1) if 0 <= place < len(self._arms)]

    def _lead(self, binding: Binding) -> tuple[int, int, str] | None:
        leader = self._arms[self._place]
        leader.fade(self._count)
        if leader.requests < 1.0:
            return None
        own = self._value(leader, binding)
        best, best_edge = self._place, 0.0
        for place in self._neighbours():
            arm = self._arms[place]
            arm.fade(self._count)
            if arm.requests < _MOVE_NEEDS:
                continue
            edge = self._value(arm, binding) - 0.7 * self._error(leader, arm) - own
            if edge > best_edge:
                best, best_edge = place, edge
        if best == self._place:
            return None
        self._place = best
        return leader.size, self.leader, f"{100.0 * best_edge:.1f} % more for the same"

    def _value(self, arm: _Arm, binding: Binding) -> float:
        use = arm.latency_s / arm.requests / max(1, binding.concurrency)
        if binding.request_rate:
            use = max(use, 1.0 / binding.request_rate)
        if binding.token_rate:
            use = max(use, arm.tokens / arm.requests / binding.token_rate)
        good = max(arm.good_per_request, 1e-9)
        value = math.log(good / max(use, 1e-12)) - _SMALLER * math.log(arm.size)
        if arm.cost > 0.0:
            value -= self._cost_weight * math.log(arm.cost / arm.requests / good)
        return value

    @staticmethod
    def _error(one: _Arm, two: _Arm) -> float:
        """The binomial error of the two yields, and what few requests leave open."""
        error = 0.0
        for arm in (one, two):
            items = max(1.0, arm.requests)
            good = min(0.9999, max(0.001, arm.share_good))
            error += (1.0 - good) / (good * items)
        return math.sqrt(error) + 0.02 / max(1.0, min(one.requests, two.requests))
