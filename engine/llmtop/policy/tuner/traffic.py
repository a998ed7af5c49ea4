"""What is on its way and what went: counts over short windows, latencies, and who was accepted.

Every operation is O(1) amortised, and memory is bounded by what left in the last 30 s.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple

from llmtop.policy.tuner.words import Flight

_LATENCY_WEIGHT = 0.05
_REJECT_WEIGHT = 0.25
_RUNNING_IS_ACCEPTED_S = 3.0
_WINDOW_S = 30.0
_TOP_WINDOW_S = 60.0
_LARGER, _LARGER_COUNT = 1.4, 5


class Amount(NamedTuple):
    """Requests and tokens."""

    requests: float
    tokens: float


_Sent = tuple[float, float, float]
"""A moment, and the requests and tokens that had left by then. Plain: every departure makes one."""


class _Size:
    """A moving mean; the first values weigh alike."""

    __slots__ = ("_weight", "count", "mean")

    def __init__(self, weight: float) -> None:
        self.count = 0
        self.mean = 0.0
        self._weight = weight

    def add(self, value: float) -> None:
        self.count += 1
        self.mean += max(self._weight, 1.0 / self.count) * (value - self.mean)


class Traffic:
    """The departures and answers of one lane, as far as its tuner looks at them."""

    def __init__(self) -> None:
        self.latency_s: float | None = None
        """Smoothed latency of successes; None before the first."""
        self.reject_latency_s = 0.2
        """Smoothed latency of refusals; a guess before the first."""
        self.running: dict[int, Flight] = {}
        """In order of departure."""
        self.blocked_at = -1e9
        """When a departure last had to wait for a slot."""
        self.is_blocked = False
        """Whether one had to since the last growth."""
        self._accepted_size = _Size(0.05)
        self._refused_size = _Size(0.1)
        self._requests = 0.0
        self._tokens = 0.0
        self._refused = Amount(0.0, 0.0)
        self._recent: deque[_Sent] = deque()
        self._unaccepted: deque[Flight] = deque()
        self._tops: deque[tuple[float, int]] = deque()
        self._numbers = itertools.count(1)
        self._has_rejects = False
        self.started_at: float | None = None

    @property
    def in_flight(self) -> int:
        """Requests on their way."""
        return len(self.running)

    @property
    def latency_or_s(self) -> float:
        """The smoothed latency, or a second while nothing is known."""
        return 1.0 if self.latency_s is None else self.latency_s

    @property
    def tokens_per_request(self) -> float:
        """Mean size of accepted requests, as expected when they left."""
        return self._accepted_size.mean

    @property
    def are_refused_larger(self) -> bool:
        """Whether refused requests are so much larger than accepted ones that tokens must be the limit."""
        refused = self._refused_size
        return refused.count >= _LARGER_COUNT and refused.mean > _LARGER * max(1.0, self._accepted_size.mean)

    @property
    def window_s(self) -> float:
        """How long a raised limit must stand without complaint."""
        return max(1.0, 3.0 * self.reject_latency_s)

    def departed(self, now: float, level: int, tokens: float) -> Flight:
        """A request left."""
        flight = Flight(next(self._numbers), now, level, tokens)
        if self.started_at is None:
            self.started_at = now
        self.running[flight.number] = flight
        self._unaccepted.append(flight)
        self._requests += 1.0
        self._tokens += tokens
        recent = self._recent
        recent.append((now, self._requests, self._tokens))
        while recent[0][0] < now - _WINDOW_S:
            recent.popleft()
        return flight

    def landed(self, flight: Flight) -> None:
        """A request ended, whatever came of it."""
        self.running.pop(flight.number, None)

    def succeeded(self, now: float, flight: Flight, latency_s: float, tokens: float) -> None:
        """It was answered well with `tokens` in all."""
        known = self.latency_s
        self.latency_s = latency_s if known is None else known + _LATENCY_WEIGHT * (latency_s - known)
        self._accepted_size.add(flight.tokens)
        tops = self._tops
        while tops and tops[-1][1] <= flight.level:
            tops.pop()
        tops.append((now, flight.level))

    def refused(self, flight: Flight, latency_s: float) -> None:
        """The provider would not start it."""
        weight = _REJECT_WEIGHT if self._has_rejects else 1.0
        self._has_rejects = True
        self.reject_latency_s += weight * (latency_s - self.reject_latency_s)
        self._refused_size.add(flight.tokens)
        self._refused = Amount(self._refused.requests + 1.0, self._refused.tokens + flight.tokens)

    def top_level(self, now: float, seconds: float = _TOP_WINDOW_S) -> int:
        """The highest level that succeeded in the last `seconds`, 60 at most."""
        tops = self._tops
        while tops and tops[0][0] < now - _TOP_WINDOW_S:
            tops.popleft()
        return next((level for at, level in tops if at >= now - seconds), 0)

    def running_since(self, moment: float) -> list[Flight]:
        """The requests that left after `moment` and still run."""
        late: list[Flight] = []
        for flight in reversed(self.running.values()):
            if flight.sent_at <= moment:
                break
            late.append(flight)
        return late

    def newly_accepted(self, now: float, answered: Flight | None = None) -> int:
        """Count the requests that are accepted by now and were not before: answered, or running for 3 s."""
        count = 0
        if answered is not None and not answered.is_accepted:
            answered.is_accepted = True
            count = 1
        waiting = self._unaccepted
        while waiting and waiting[0].sent_at <= now - _RUNNING_IS_ACCEPTED_S:
            flight = waiting.popleft()
            if not flight.is_accepted and flight.number in self.running:
                flight.is_accepted = True
                count += 1
        return count

    def rate(self, now: float, seconds: float) -> Amount:
        """What left in the last `seconds` (30 at most), per second."""
        before = self._before(now - seconds)
        span = max(1e-3, min(seconds, now - (self.started_at if self.started_at is not None else now)))
        return Amount((self._requests - before.requests) / span, (self._tokens - before.tokens) / span)

    def accepted(self, now: float) -> Amount:
        """All that left, without the refused and those that are too young to know."""
        known = self._before(now - 1.5 * self.reject_latency_s)
        return Amount(known.requests - self._refused.requests, known.tokens - self._refused.tokens)

    def _before(self, moment: float) -> Amount:
        """All that had left at `moment`."""
        for at, requests, tokens in reversed(self._recent):
            if at <= moment:
                return Amount(requests, tokens)
        if not self._recent:
            return Amount(self._requests, self._tokens)
        _, requests, tokens = self._recent[0]
        mean = (self._tokens - tokens) / max(1, len(self._recent) - 1)
        return Amount(requests - 1.0, max(0.0, tokens - mean) if requests > 1 else 0.0)
