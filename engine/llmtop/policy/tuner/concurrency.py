"""How many requests may be in flight: start, cut, climb, probe, hold.

N grows only where a departure had to wait for a slot since the last growth: a trickle of work
banks no untested limit. A refusal tells the ceiling: the requests that still run afterwards.
"""

from __future__ import annotations

from llmtop.config.schema import Range, TunerConfig
from llmtop.policy.tuner.delay import Sample
from llmtop.policy.tuner.hold_tests import HoldTests, Move
from llmtop.policy.tuner.probing import Prober
from llmtop.policy.tuner.traffic import Traffic
from llmtop.policy.tuner.validation import Validation
from llmtop.policy.tuner.words import Ended, Flight, Journal, Phase

_OTHERS_SHARE = 0.90
"""Refused without having asked for more: somebody else takes slots, so leave room to converge."""

_WAY, _GIVEN_WAY, _MOSTLY = 0.85, 0.7, 0.5
"""How an overload is answered: each cut, the least share of what was before, and when that does not hold."""


class Concurrency:
    """The limit N of one lane and the phase that moves it."""

    def __init__(
        self, tuning: TunerConfig, bounds: Range, timeout_s: float | None, traffic: Traffic, journal: Journal
    ) -> None:
        self.limit = bounds.start
        self.phase = Phase.START
        self.ended = Ended.MAX
        self.cut_at = -1e9
        self.is_pinned = False
        self._bounds = bounds
        self._traffic = traffic
        self._journal = journal
        self._validation = Validation(tuning.e_min, float(bounds.start))
        self._prober = Prober(tuning.probe_budget)
        self._tests = HoldTests(tuning, timeout_s)
        self._floor = bounds.low
        self._goal = bounds.high
        self._climbed_at = 0.0
        self._shadow_at = -1e9

    @property
    def next_probe_at(self) -> float:
        """When more is looked for again, while the phase is hold after a refusal."""
        return self._prober.next_at

    @property
    def next_test_at(self) -> float:
        """When the next test of fewer or more is due, while growth was ended by delay."""
        return self._tests.next_at

    @property
    def latency_ratio(self) -> float:
        """Seconds per unit of work now against the best of 15 minutes."""
        return self._tests.ratio_to_best()

    def belongs_to_last_cut(self, flight: Flight) -> bool:
        """Whether a refused request had left before the last cut: it tells nothing new."""
        return flight.sent_at <= self.cut_at

    def accepted(self, now: float, count: int) -> None:
        """`count` more requests were accepted: slow start grows by as many."""
        if self.phase is not Phase.START or not count or not self._traffic.is_blocked:
            return
        cap = min(self._bounds.high, max(self._validation.start_cap, self._bounds.start))
        self._grow(now, min(cap, self.limit + count), "accepted, and more wait")
        if self.limit >= self._bounds.high:
            self._settle(now, Ended.MAX, is_first=True)

    def succeeded(self, now: float, flight: Flight, sample: Sample) -> None:
        """One success: is the growth worth its latency, and do the tests tell something?"""
        is_holding = self.phase is Phase.HOLD
        is_delay = self.ended is Ended.DELAY
        if not self._tests.is_testing and not (is_holding and is_delay):
            stop = self._validation.add(sample, self.limit, is_holding=is_holding)
            if stop is not None:
                why = f"throughput elasticity {stop.elasticity:.2f}: more bring nothing"
                self._move(now, max(self._bounds.low, int(stop.level)), why)
                self._settle(now, Ended.DELAY, is_first=True)
                return
        if is_holding:
            move = self._tests.add(now, flight.sent_at, sample, self.limit, is_delay=is_delay)
            if move is not None:
                self._follow(now, move)

    def refused(self, now: float, flight: Flight) -> None:
        """A ceiling of slots refused a request (it has left `traffic` already)."""
        running = self._traffic.in_flight
        if self.belongs_to_last_cut(flight):
            self._move(now, min(self.limit, max(running, self._floor)), "same burst")
            self._prober.base = min(self._prober.base, self.limit)
            return
        since_cut = now - self.cut_at
        if self._tests.abort(now) is None and self.phase is Phase.PROBE:
            self._end_probe(now, running)
        elif self.phase is not Phase.START and since_cut <= self._traffic.latency_or_s:
            self._fall(now, flight.level, running)
        else:
            self._cut(now, running)
        self.cut_at = now

    def overloaded(self, now: float, share_refused: float) -> None:
        """The provider says that it has too much to do: give way once per latency, and come back.

        Where most are accepted all the same, going below a part of what used to work cures
        nothing: it is not our load.
        """
        if now < self.cut_at + max(1.0, self._traffic.latency_or_s):
            return
        before = self._goal if self.phase is Phase.CLIMB else self.limit
        least = self._bounds.low if share_refused > _MOSTLY else int(_GIVEN_WAY * before)
        self._tests.abort(now)
        self._move(now, min(self.limit, max(least, int(_WAY * self.limit))), "overloaded: give way")
        self.cut_at = now
        self._validation.restart(float(before))
        self._climb(now, before)

    def raise_to(self, now: float, limit: int, why: str) -> None:
        """Make room: at least `limit`, since something else binds."""
        if limit > self.limit:
            self._move(now, min(limit, self._bounds.high), why)

    def restart_from(self, now: float, limit: int, goal: int, why: str) -> None:
        """Begin low and climb to `goal`: after an outage."""
        self._move(now, max(self._bounds.low, limit), why)
        self._validation.restart(float(max(1, goal)))
        self._climb(now, goal)

    def pin(self, now: float, limit: int, why: str, by: str) -> None:
        """A person fixed it; what would be done is only written down until `resume_from`."""
        if limit != self.limit:
            self._journal.note(now, "concurrency", self.limit, limit, why, by)
        self.limit = limit
        self.is_pinned = True

    def resume_from(self, now: float, limit: int) -> None:
        """Go on from a value that a person set, in phase hold with the first gap."""
        self.limit = max(self._bounds.low, min(self._bounds.high, limit))
        self.is_pinned = False
        self._validation.restart(float(max(1, limit)))
        self._floor = self._bounds.low
        self._settle(now, Ended.LOSS, is_first=True)

    def tick(self, now: float) -> None:
        """Growth steps and scheduled tests."""
        if self.phase is Phase.CLIMB:
            self._tick_climb(now)
        elif self.phase is Phase.PROBE:
            self._tick_probe(now)
        elif self.phase is Phase.HOLD:
            self._tick_hold(now)

    def _tick_climb(self, now: float) -> None:
        window_s = self._traffic.window_s
        if now < self._climbed_at + window_s or self._traffic.blocked_at < self._climbed_at + 0.5 * window_s:
            return
        self._climbed_at = now
        step = max(1, (self._goal - self.limit) // 2)
        self._grow(now, min(self._goal, self.limit + step), "filled, nobody complained")
        if self.limit >= self._goal:
            self._settle(now, Ended.LOSS, is_first=True)

    def _tick_probe(self, now: float) -> None:
        prober, window_s = self._prober, self._traffic.window_s
        cap = min(self._bounds.high, max(self._validation.probe_cap, prober.base))
        is_used = self._traffic.blocked_at >= prober.filled_since(window_s)
        if prober.is_step_done(now, window_s) and is_used and self.limit > prober.base:
            prober.accept(now, self.limit)
            if self.limit >= self._bounds.high:
                self._end_growth(now, Ended.MAX)
                return
        elif prober.is_stale(now, window_s) and not is_used:
            self._end_growth(now, self.ended)
            return
        self._grow(now, prober.limit(now, window_s, cap), "probe: is there more?")

    def _tick_hold(self, now: float) -> None:
        if now - self._traffic.blocked_at > self._traffic.window_s:
            return
        is_probe_due = now >= self._prober.next_at and not self._tests.is_testing
        if self.ended is Ended.LOSS and is_probe_due and self.limit < self._bounds.high:
            self.phase = Phase.PROBE
            self._prober.begin(now, self.limit)
            return
        move = None
        if self.ended is Ended.DELAY:
            move = self._tests.due(now, self.limit, (self._bounds.low, self._bounds.high))
        if move is not None:
            self._follow(now, move)

    def _follow(self, now: float, move: Move) -> None:
        limit = max(self._bounds.low, min(self._bounds.high, move.limit))
        if limit == self.limit:
            self._journal.note(now, "test", limit, limit, move.why)
        self._move(now, limit, move.why, what=move.what)
        if move.what == "test":
            return
        self._validation.restart(float(limit))
        if move.step:
            self.phase = Phase.PROBE
            self._prober.begin(now, limit, move.step)
        else:
            self.ended = Ended.DELAY

    def _cut(self, now: float, running: int) -> None:
        new = min(self.limit, running)
        if self.phase is Phase.HOLD:
            new = min(new, int(_OTHERS_SHARE * running))
        self._floor = self._bounds.low
        self._move(now, max(self._floor, new), f"refused: {running} still running")
        self._settle(now, Ended.LOSS, is_first=True)

    def _fall(self, now: float, level: int, running: int) -> None:
        """Refused again soon after a cut: the ceiling has come down under us."""
        self._floor = self._bounds.low
        new = max(self._floor, min(running, int(0.8 * self.limit)))
        self._move(now, new, f"refused again after the cut: {running} still running")
        self._validation.restart(float(new))
        self._climb(now, max(new + 1, level - 1))

    def _climb(self, now: float, goal: int) -> None:
        self.phase = Phase.CLIMB
        self._goal = min(self._bounds.high, goal)
        self._climbed_at = now
        self._prober.base = self.limit

    def _end_probe(self, now: float, running: int) -> None:
        base = max(self._bounds.low, self._prober.base)
        self._floor = base
        self._move(now, base, f"probe refused: {running} still running")
        self._end_growth(now, Ended.LOSS)

    def _end_growth(self, now: float, ended: Ended) -> None:
        self._prober.end(now, self._traffic.rate(now, 30.0).requests)
        self._move(now, max(self._bounds.low, self._prober.base), "probe ended")
        self._settle(now, ended, is_first=False)

    def _settle(self, now: float, ended: Ended, *, is_first: bool) -> None:
        self.phase = Phase.HOLD
        self.ended = ended
        self._prober.base = self.limit
        if is_first:
            self._prober.rest(now, is_first=True)
        self._tests.enter(now, is_down_next=ended is Ended.DELAY)

    def _grow(self, now: float, limit: int, why: str) -> None:
        if limit > self.limit:
            self._move(now, limit, why)
            self._traffic.is_blocked = False

    def _move(self, now: float, limit: int, why: str, *, what: str = "concurrency") -> None:
        limit = max(self._bounds.low, min(self._bounds.high, limit))
        if limit == self.limit:
            return
        if self.is_pinned:
            if now >= self._shadow_at + 10.0:
                self._shadow_at = now
                self._journal.note(now, "test", self.limit, limit, f"shadow, pinned: {why}")
            return
        self._journal.note(now, what, self.limit, limit, why)
        self.limit = limit
