"""Was it a ceiling of slots or a rate? The wrong actuator is slow and noisy.

Each refusal that stands for an episode adds evidence between -1 (ceiling) and +1 (rate); the mode
follows with hysteresis. Source: section 4.3 of the control specification, compared in simulation.
"""

from __future__ import annotations

import itertools
from collections import deque

from llmtop.model import Outcome
from llmtop.policy.tuner.traffic import Traffic
from llmtop.policy.tuner.words import Flight, Mode, Phase, Report

_SWITCH = 0.25
_CONFIRMED = -0.2
_EPISODES = 6
_SCATTERED, _SOME_SCATTER, _SOME_SCATTER_WEIGHT, _FEWEST_LEVELS = 0.25, 0.12, 0.2, 4
_FAR_BELOW, _JUST_S = 0.75, 20.0
_IN_A_ROW, _CERTAIN = 2, 0.46
"""One weak sign is not enough for a rate: two in a row, or a strong one."""


class Evidence:
    """What kind of limit refuses; 0: nobody knows."""

    def __init__(self) -> None:
        self.kind = 0.0
        self.mode = Mode.CONCURRENCY
        self._in_favour = 0
        self._last_wait_s: float | None = None
        self._levels: deque[int] = deque(maxlen=_EPISODES)

    @property
    def is_ceiling_confirmed(self) -> bool:
        """Whether a wait that was asked for concerns the refused request alone."""
        return self.kind <= _CONFIRMED

    def weigh(
        self,
        now: float,
        flight: Flight,
        report: Report,
        traffic: Traffic,
        phase: Phase,
        limit: int,
        cut_at: float,
    ) -> Mode:
        """Take in the refusal that opens an episode; return the mode from now on."""
        named = _named(report)
        if named is not None:
            self.kind = named
        else:
            since_cut = now - cut_at
            e = self._of_wait(report.wait_s, flight, traffic, phase, since_cut)
            highest = max((other.level for other in traffic.running_since(cut_at)), default=0)
            if report.wait_s is not None and self._is_lower(now, flight.level, traffic, highest):
                e += 0.4
            if flight.sent_at > cut_at + traffic.reject_latency_s:
                e += self._of_level(now, flight, traffic, phase, limit, highest)
            self.kind = max(-1.0, min(1.0, 0.7 * self.kind + 0.6 * e))
            self._in_favour = self._in_favour + 1 if e > 0.0 else 0
        self._last_wait_s = report.wait_s
        self._levels.append(flight.level)
        if self.kind > _SWITCH and (self._in_favour >= _IN_A_ROW or self.kind > _CERTAIN):
            self.mode = Mode.RATE
        elif self.kind < -_SWITCH:
            self.mode = Mode.CONCURRENCY
        return self.mode

    def _of_wait(
        self,
        wait_s: float | None,
        flight: Flight,
        traffic: Traffic,
        phase: Phase,
        since_cut: float,
    ) -> float:
        if wait_s is None:
            return -0.25
        e = 0.8 if wait_s >= 5.0 else 0.0
        is_other = self._last_wait_s is not None and abs(wait_s - self._last_wait_s) > 1e-3
        if is_other or abs(wait_s - round(wait_s)) > 1e-3:
            e += 0.4
        is_held_by_slots = phase is Phase.HOLD and self.mode is Mode.CONCURRENCY
        if is_held_by_slots and since_cut > traffic.latency_or_s:
            e += 0.25
        return e

    @staticmethod
    def _is_lower(now: float, level: int, traffic: Traffic, highest: int) -> bool:
        """Whether it was refused below what others do now, or far below what succeeded just before.

        A ceiling that others move falls slowly; a rate refuses at any level.
        """
        if level < highest and level <= 0.85 * traffic.top_level(now):
            return True
        return level <= _FAR_BELOW * traffic.top_level(now, _JUST_S)

    def _of_level(
        self, now: float, flight: Flight, traffic: Traffic, phase: Phase, limit: int, highest: int
    ) -> float:
        level = flight.level
        scatter = self._scatter(level)
        e = 0.5 if scatter > _SCATTERED else 0.0
        if self.mode is Mode.CONCURRENCY and _SOME_SCATTER < scatter <= _SCATTERED:
            e += _SOME_SCATTER_WEIGHT
        if self.mode is Mode.RATE and level >= 0.94 * max(1, traffic.top_level(now)):
            return e - 0.5
        is_below = highest - level > 1 and level < 0.95 * highest
        is_far_below = phase is Phase.HOLD and self.mode is Mode.CONCURRENCY and level <= 0.75 * limit
        if is_below or is_far_below:
            return e + 0.5
        return e - 0.2

    def _scatter(self, level: int) -> float:
        """How much the levels of the last episodes differ from one to the next, as a share; 0: too few."""
        levels = [*self._levels, level]
        if len(levels) < _FEWEST_LEVELS:
            return 0.0
        steps = [abs(b - a) / max(1.0, (a + b) / 2.0) for a, b in itertools.pairwise(levels)]
        return sum(steps) / len(steps)


def _named(report: Report) -> float | None:
    if report.outcome in (Outcome.REFUSED_RATE, Outcome.REFUSED_RAMP) or report.scope in (
        "requests",
        "tokens",
    ):
        return 1.0
    if report.outcome is Outcome.REFUSED_CONCURRENCY or report.scope == "concurrency":
        return -1.0
    return None
