"""An outage is answered by the lane and not by every item: only canaries leave until one comes back.

It waits for most of the last results to be faults. 5xx do not reduce the concurrency otherwise:
with random errors, cutting loses goodput and cures nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from llmtop.policy.tuner.words import Flight

_SHARE = 0.6
_FEWEST, _MOST = 10, 32
_IN_A_ROW = 5
"""An outage fails all; random errors reach the share by chance in a long run, but not in a row as well."""
_GAPS_S = (1.0, 2.0, 4.0, 8.0)
_CANARIES = 3


class Reopened(NamedTuple):
    """The service is back: where to begin, and where to climb to."""

    start: int
    goal: int


class Breaker:
    """Closed: all leave. Open: a canary after 1, 2, 4, 8, 8 ... seconds."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self.is_open = False
        self.next_canary_at = -1e9
        """Nothing leaves before, while it is open."""
        self._uniform = uniform
        self._results: deque[tuple[bool, bool]] = deque(maxlen=_MOST)
        self._opened_at = 0.0
        self._canaries: set[int] = set()
        self._sent = 0
        self._limit = 0
        self._goal = 0
        self._succeeded_at = -1e9

    def departed(self, now: float, flight: Flight) -> None:
        """A request left; while it is open that is a canary."""
        if self.is_open:
            self._canaries.add(flight.number)
            self._wait(now)

    def landed(self, flight: Flight) -> None:
        """A request ended."""
        self._canaries.discard(flight.number)

    def failed(self, now: float, limit: int, latency_s: float, *, is_timeout: bool) -> bool:
        """A fault or time-out; return whether that opens it."""
        self._results.append((True, is_timeout))
        if self.is_open:
            return False
        last = list(self._results)[-max(_FEWEST, min(_MOST, limit // 2)) :]
        failures = sum(failed for failed, _ in last)
        is_run = all(failed for failed, _ in last[-_IN_A_ROW:])
        if len(last) < _FEWEST or failures <= _SHARE * len(last) or not is_run:
            return False
        timeouts = sum(timeout for _, timeout in last)
        is_our_queue = timeouts > failures / 2 and now - self._succeeded_at <= 3.0 * latency_s
        self.is_open = True
        self._opened_at = now
        self._limit = limit
        self._goal = max(1, limit // 2) if is_our_queue else limit
        self._sent = 0
        self._canaries.clear()
        self._wait(now)
        return True

    def succeeded(self, now: float, flight: Flight) -> Reopened | None:
        """A success; return where to go on, where it closes the breaker."""
        self._results.append((False, False))
        self._succeeded_at = now
        if not self.is_open or flight.sent_at <= self._opened_at:
            return None
        self.is_open = False
        self._results.clear()
        self._canaries.clear()
        return Reopened(min(self._goal, max(4, self._limit // 8)), self._goal)

    def tick(self, now: float) -> None:
        """Put the next canary off while three still hang."""
        if self.is_open and len(self._canaries) >= _CANARIES and now >= self.next_canary_at - 0.5:
            self.next_canary_at = now + 1.0

    def _wait(self, now: float) -> None:
        gap_s = _GAPS_S[min(self._sent, len(_GAPS_S) - 1)] * self._uniform(0.8, 1.2)
        self._sent += 1
        self.next_canary_at = now + gap_s
