"""Was it a ceiling of slots or a rate? The wrong actuator is slow and noisy.

Each refusal that stands for an episode adds evidence between -1 (ceiling) and +1 (rate); the mode
follows with hysteresis. The weights were compared with others in `benchmarks/control`.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple

from llmtop.model import Outcome
from llmtop.policy.tuner.traffic import Traffic
from llmtop.policy.tuner.words import Flight, Mode, Phase, Report

_SWITCH = 0.25
_CONFIRMED = -0.2
_EPISODES = 6
_SCATTERED, _SOME_SCATTER, _SOME_SCATTER_WEIGHT, _FEWEST_LEVELS = 0.25, 0.12, 0.2, 4
_FAR_BELOW, _JUST_S = 0.75, 20.0
_FUTILE_S, _FUTILE_EPISODES, _FUTILE_SHARE, _FUTILE_WEIGHT, _MOST_EPISODES = 60.0, 4, 0.04, 0.7, 64
_IN_A_ROW, _CERTAIN = 2, 0.46
"""One weak sign is not enough for a rate: two in a row, or a strong one."""


class Scene(NamedTuple):
    """What was going on when a request was refused."""

    now: float
    flight: Flight
    report: Report
    traffic: Traffic
    phase: Phase
    limit: int
    cut_at: float

    @property
    def is_in_hold(self) -> bool:
        """Whether nobody had asked for more just before."""
        return self.phase is Phase.HOLD

    @property
    def is_after_cut(self) -> bool:
        """Whether it left late enough to have seen the last cut."""
        return self.flight.sent_at > self.cut_at + self.traffic.reject_latency_s

    @property
    def highest_running(self) -> int:
        """The highest level that left after the last cut and still runs; 0: none."""
        return max((other.level for other in self.traffic.running_since(self.cut_at)), default=0)


class Evidence:
    """What kind of limit refuses: `kind` is above 0 for a rate, below for a ceiling; 0: nobody knows."""

    def __init__(self) -> None:
        self.kind = 0.0
        self.mode = Mode.CONCURRENCY
        self._in_favour = 0
        self._last_wait_s: float | None = None
        self._levels: deque[int] = deque(maxlen=_EPISODES)
        self._episodes: deque[float] = deque(maxlen=_MOST_EPISODES)

    @property
    def is_ceiling_confirmed(self) -> bool:
        """Whether a wait that was asked for concerns the refused request alone."""
        return self.kind <= _CONFIRMED

    def weigh(self, scene: Scene) -> Mode:
        """Take in the refusal that opens an episode; return the mode from now on."""
        named = _named(scene.report)
        if named is not None:
            self.kind = named
            self._in_favour = _IN_A_ROW
        else:
            e = self._of_wait(scene) + (self._of_level(scene) if scene.is_after_cut else 0.0)
            e += _FUTILE_WEIGHT if self._is_futile(scene) else 0.0
            self.kind = max(-1.0, min(1.0, 0.7 * self.kind + 0.6 * e))
            self._in_favour = self._in_favour + 1 if e > 0.0 else 0
        self._last_wait_s = scene.report.wait_s
        self._levels.append(scene.flight.level)
        if self.kind > _SWITCH and (self._in_favour >= _IN_A_ROW or self.kind > _CERTAIN):
            self.mode = Mode.RATE
        elif self.kind < -_SWITCH:
            self.mode = Mode.CONCURRENCY
        return self.mode

    def _is_futile(self, scene: Scene) -> bool:
        """Whether cutting slots does not help: refused without a word time and again, of few."""
        self._episodes.append(scene.now)
        recent = sum(at > scene.now - _FUTILE_S for at in self._episodes)
        sent = _FUTILE_S * scene.traffic.rate(scene.now, _FUTILE_S / 2.0).requests
        is_by_slots = self.mode is Mode.CONCURRENCY and scene.report.wait_s is None
        return is_by_slots and recent >= _FUTILE_EPISODES and recent > _FUTILE_SHARE * sent

    def _of_wait(self, scene: Scene) -> float:
        """What Retry-After tells: a computed or long one speaks for a rate, none for a ceiling."""
        wait_s = scene.report.wait_s
        if wait_s is None:
            return -0.25 if self.mode is Mode.CONCURRENCY else 0.0
        e = 0.8 if wait_s >= 5.0 else 0.0
        is_other = self._last_wait_s is not None and abs(wait_s - self._last_wait_s) > 1e-3
        if is_other or abs(wait_s - round(wait_s)) > 1e-3:
            e += 0.4
        is_held_by_slots = scene.is_in_hold and self.mode is Mode.CONCURRENCY
        if is_held_by_slots and scene.now - scene.cut_at > scene.traffic.latency_or_s:
            e += 0.25
        return e + (0.4 if _is_lower(scene) else 0.0)

    def _of_level(self, scene: Scene) -> float:
        """What its level tells: a ceiling refuses the highest, a rate refuses at any level."""
        level, traffic = scene.flight.level, scene.traffic
        is_by_slots = self.mode is Mode.CONCURRENCY
        scatter = self._scatter(level)
        e = 0.5 if scatter > _SCATTERED else 0.0
        if is_by_slots and _SOME_SCATTER < scatter <= _SCATTERED:
            e += _SOME_SCATTER_WEIGHT
        if not is_by_slots and level >= 0.94 * max(1, traffic.top_level(scene.now)):
            return e - 0.5
        highest = scene.highest_running
        is_below = highest - level > 1 and level < 0.95 * highest
        is_far_below = is_by_slots and scene.is_in_hold and level <= 0.75 * scene.limit
        return e + 0.5 if is_below or is_far_below else e - 0.2

    def _scatter(self, level: int) -> float:
        """How much the levels of the last episodes differ from one to the next, as a share; 0: too few."""
        levels = [*self._levels, level]
        if len(levels) < _FEWEST_LEVELS:
            return 0.0
        steps = [abs(b - a) / max(1.0, (a + b) / 2.0) for a, b in itertools.pairwise(levels)]
        return sum(steps) / len(steps)


def _is_lower(scene: Scene) -> bool:
    """Whether it was refused below what others do now, or far below what succeeded just before.

    A ceiling that others move falls slowly.
    """
    level, traffic = scene.flight.level, scene.traffic
    if level < scene.highest_running and level <= 0.85 * traffic.top_level(scene.now):
        return True
    return level <= _FAR_BELOW * traffic.top_level(scene.now, _JUST_S)


def _named(report: Report) -> float | None:
    is_rate = report.outcome in (Outcome.REFUSED_RATE, Outcome.REFUSED_RAMP)
    if is_rate or report.scope in ("requests", "tokens"):
        return 1.0
    if report.outcome is Outcome.REFUSED_CONCURRENCY or report.scope == "concurrency":
        return -1.0
    return None
