"""The seconds that one run waited at the gate, by what held it back: "why am I slow?".

One waiter is enough to lose a second, and more do not lose more. The cause is marked when it
changes, so a mark costs the same whoever waits; only one cause at a time is charged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from llmtop.policy.limiter.words import Cause

_CAUSES = tuple(Cause)
_PLACES = {cause: place for place, cause in enumerate(_CAUSES)}
_NO_TIME = (0.0,) * len(_CAUSES)
_WINDOW_S = 60.0
_GRAIN_S = 1.0


class _Point(NamedTuple):
    at: float
    totals: tuple[float, ...]


class WaitMeter:
    """Seconds lost per cause. `binding` is the cause that holds the run now; None: nothing does."""

    def __init__(self, now: float, detail: Callable[[Cause], str]) -> None:
        self.binding: Cause | None = None
        self._detail = detail
        self._since = now
        self._lost = list(_NO_TIME)
        self._points: deque[_Point] = deque([_Point(now, _NO_TIME)])

    @property
    def detail(self) -> str:
        """The number behind the binding cause, as a few words; empty where nothing binds."""
        return "" if self.binding is None else self._detail(self.binding)

    def mark(self, now: float, cause: Cause | None) -> None:
        """From `now` on `cause` holds the run back (None: nobody waits)."""
        if cause is self.binding:
            return
        self._count(now)
        self.binding = cause

    def totals(self, now: float) -> tuple[tuple[Cause, float], ...]:
        """Return (cause, seconds lost since the start), largest first, causes without loss left out."""
        self._count(now)
        return _ranked(self._lost)

    def shares(self, now: float) -> tuple[tuple[Cause, float], ...]:
        """Return (cause, share 0 to 1) of the waiting of the last 60 s, largest first."""
        self._count(now)
        before = self._at(now - _WINDOW_S)
        lost = [total - then for total, then in zip(self._lost, before, strict=True)]
        whole = sum(lost)
        return () if whole <= 1e-9 else _ranked([part / whole for part in lost])

    def _count(self, now: float) -> None:
        """Charge the binding cause up to `now`; keep one point a second, and both ends of a long wait."""
        passed = now - self._since
        if passed <= 0.0:
            return
        if passed > _GRAIN_S and self._points[-1].at < self._since:
            self._keep(self._since)
        if self.binding is not None:
            self._lost[_PLACES[self.binding]] += passed
        self._since = now
        if now - self._points[-1].at >= _GRAIN_S:
            self._keep(now)

    def _keep(self, at: float) -> None:
        self._points.append(_Point(at, tuple(self._lost)))
        while len(self._points) > 2 and self._points[1].at <= at - _WINDOW_S:
            self._points.popleft()

    def _at(self, moment: float) -> tuple[float, ...]:
        """Return the totals as they were at `moment`, interpolated between two points."""
        later = _Point(self._since, tuple(self._lost))
        for point in reversed(self._points):
            if point.at <= moment:
                part = (moment - point.at) / (later.at - point.at) if later.at > point.at else 0.0
                return tuple(a + part * (b - a) for a, b in zip(point.totals, later.totals, strict=True))
            later = point
        return later.totals


def _ranked(values: list[float]) -> tuple[tuple[Cause, float], ...]:
    pairs = [(cause, value) for cause, value in zip(_CAUSES, values, strict=True) if value > 1e-9]
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))
