"""The tuner: chooses the numbers that the limiter enforces, from what every request came to.

Pure and synchronous, so that it can be replayed and run against a simulation. The caller tells it of
departures, answers and blocked departures, asks it now and then (`tick`), and applies its
set-points: `concurrency`, `paces`, `min_gap`, `hold_until`, `canary_at`, `choose_pack`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from llmtop.config.schema import Range, TunerConfig
from llmtop.model import Outcome
from llmtop.policy.tuner.breaker import Breaker
from llmtop.policy.tuner.concurrency import Concurrency
from llmtop.policy.tuner.delay import Sample, Work
from llmtop.policy.tuner.evidence import Evidence, Scene
from llmtop.policy.tuner.packs import Binding, Packs
from llmtop.policy.tuner.rate import RateLearner
from llmtop.policy.tuner.telemetry import Telemetry
from llmtop.policy.tuner.traffic import Traffic
from llmtop.policy.tuner.words import Flight, Journal, Mode, Phase, Report

_FIRST_GAP_S = 0.1
_JITTER_S = (0.03, 0.05)
_OVERLOADS = 3
_THROTTLED = 200.0
"""Refusals of 1,000 answers at the floor from which on the provider is said to throttle."""
_OVERLOAD_WEIGHT = 0.1
_TICK_S, _IDLE_TICK_S = 0.1, 0.25


class Tuner:
    """The set-points of one lane. `uniform(a, b)` is the source of chance; times are of one clock."""

    def __init__(
        self,
        tuning: TunerConfig,
        bounds: Range,
        packs: Range,
        max_wait_s: float,
        timeout_s: float | None,
        uniform: Callable[[float, float], float],
    ) -> None:
        self.journal = Journal()
        self.telemetry = Telemetry()
        self.traffic = Traffic()
        self.evidence = Evidence()
        self.slots = Concurrency(tuning, bounds, timeout_s, self.traffic, self.journal)
        self.requests = RateLearner(tuning, self.traffic, self.journal, is_tokens=False)
        self.tokens = RateLearner(tuning, self.traffic, self.journal, is_tokens=True)
        self.breaker = Breaker(uniform)
        self.packs = Packs(packs.low, packs.start, packs.high, tuning.pack_cost_weight, uniform)
        self.min_gap = _FIRST_GAP_S
        self.hold_until = -1e9
        self.is_hold_asked = False
        """Whether the provider asked for the hold: then one probe goes first when it ends."""
        self.is_pack_pinned = False
        self._bounds = bounds
        self._max_wait_s = min(max_wait_s, tuning.hold_max)
        self._uniform = uniform
        self._work = Work()
        self._reacted_at = -1e9
        self._share_overloaded = 0.0
        self._overloads: deque[float] = deque(maxlen=_OVERLOADS)

    @property
    def concurrency(self) -> int:
        """How many may be in flight."""
        return self.slots.limit

    @property
    def mode(self) -> Mode:
        """What refusals are answered with."""
        return self.evidence.mode

    @property
    def learning(self) -> int:
        """Grows with everything that is learned of rates: the same number, the same rates."""
        return self.requests.version + self.tokens.version

    @property
    def is_at_floor(self) -> bool:
        """Whether the provider refuses even the least that may be asked: throttled, and not forgotten."""
        is_least = self.slots.limit <= self._bounds.low
        return is_least and self.telemetry.refusals_per_1000 > _THROTTLED

    @property
    def canary_at(self) -> float:
        """Nothing leaves before, while the breaker is open."""
        return self.breaker.next_canary_at if self.breaker.is_open else -1e9

    def choose_pack(self) -> int:
        """Return how many items the next request should carry."""
        return self.packs.leader if self.is_pack_pinned else self.packs.choose()

    def departed(self, now: float, level: int, tokens: float) -> Flight:
        """A request left, as the `level`th in flight, expected to use `tokens`."""
        flight = self.traffic.departed(now, level, tokens)
        self.breaker.departed(now, flight)
        return flight

    def blocked(self, now: float) -> None:
        """A departure has to wait for a slot."""
        self.traffic.blocked_at = now
        self.traffic.is_blocked = True

    def tick(self, now: float) -> float:
        """Let time pass; return when to be asked again."""
        self.journal.flush(now)
        self.telemetry.tick(now, self.slots.limit)
        self.breaker.tick(now)
        if not self.breaker.is_open:
            self.slots.accepted(now, self.traffic.newly_accepted(now))
            self.slots.tick(now)
            self.requests.tick(now)
            self.tokens.tick(now)
            self._make_room(now)
        return now + (_IDLE_TICK_S if self.slots.phase is Phase.HOLD else _TICK_S)

    def abandoned(self, flight: Flight) -> None:
        """A request ended without an answer of its own: cancelled, or never sent."""
        self.traffic.landed(flight)
        self.breaker.landed(flight)

    def answered(self, now: float, flight: Flight, report: Report) -> None:
        """A request ended."""
        self.abandoned(flight)
        if report.is_served:
            self.telemetry.answered(report.items_ok, is_refusal=False)
            self._succeeded(now, flight, report)
            return
        outcome = report.outcome
        self.telemetry.answered(0, is_refusal=outcome.is_refusal)
        if outcome is Outcome.BAD:
            self.min_gap = 0.0
        elif outcome is Outcome.REFUSED_OVERLOAD:
            self._overloaded(now, flight, report)
        elif outcome.is_refusal:
            self.traffic.refused(flight, report.latency_s)
            self._refused(now, flight, report)
        elif outcome in (Outcome.FAULT, Outcome.TIMEOUT):
            self._failed(now, is_timeout=outcome is Outcome.TIMEOUT)

    def _succeeded(self, now: float, flight: Flight, report: Report) -> None:
        self.min_gap = 0.0
        self._share_overloaded -= _OVERLOAD_WEIGHT * self._share_overloaded
        tokens = report.input_tokens + report.output_tokens
        self.traffic.succeeded(now, flight, report.latency_s, tokens)
        reopened = self.breaker.succeeded(now, flight)
        if reopened is not None:
            self.journal.note(now, "breaker", "open", "closed", "an answer came back")
            self.slots.restart_from(now, reopened.start, reopened.goal, "after the outage")
        if not self.breaker.is_open:
            self.slots.accepted(now, self.traffic.newly_accepted(now, flight))
            work = self._work.of(report.output_tokens, report.items)
            sample = Sample(flight.level, report.latency_s, work, max(1, report.items))
            self.slots.succeeded(now, flight, sample)
        if self.packs.is_choosing:
            self._weigh_pack(now, report, tokens)

    def _weigh_pack(self, now: float, report: Report, tokens: float) -> None:
        binding = Binding(self.slots.limit, self.requests.binding, self.tokens.binding)
        cost = float(report.cost_pusd or 0)
        good = report.items_ok - report.items_rejected
        moved = self.packs.answered(report.items, good, report.latency_s, cost, tokens, binding)
        if moved is not None and not self.is_pack_pinned:
            self.journal.note(now, "pack", *moved)

    def _failed(self, now: float, *, is_timeout: bool) -> None:
        limit, latency_s = self.slots.limit, self.traffic.latency_or_s
        if self.breaker.failed(now, limit, latency_s, is_timeout=is_timeout):
            self.journal.note(now, "breaker", "closed", "open", "most of the last requests failed")

    def _overloaded(self, now: float, flight: Flight, report: Report) -> None:
        """Three within one latency are a reason to give way; fewer are a fault."""
        self._overloads.append(now)
        self._share_overloaded += _OVERLOAD_WEIGHT * (1.0 - self._share_overloaded)
        is_many = len(self._overloads) == _OVERLOADS
        if is_many and now - self._overloads[0] <= self.traffic.latency_or_s:
            self.traffic.refused(flight, report.latency_s)
            self.slots.overloaded(now, self._share_overloaded)
        else:
            self._failed(now, is_timeout=False)
        if report.wait_s is not None:
            self._hold(now, report.wait_s, "overloaded", is_asked=True)

    def _refused(self, now: float, flight: Flight, report: Report) -> None:
        is_new = flight.sent_at > max(self._reacted_at, self.slots.cut_at)
        if is_new:
            self._weigh(now, flight, report)
        if self.evidence.mode is Mode.RATE:
            if is_new:
                self._reacted_at = now
                self._slow_down(now, flight, report)
        else:
            self.slots.refused(now, flight)
            if report.wait_s is not None and not self.evidence.is_ceiling_confirmed:
                self._hold(now, report.wait_s, f"Retry-After {report.wait_s:.3g} s", is_asked=True)

    def _weigh(self, now: float, flight: Flight, report: Report) -> None:
        old = self.evidence.mode
        slots = self.slots
        scene = Scene(now, flight, report, self.traffic, slots.phase, slots.limit, slots.cut_at)
        new = self.evidence.weigh(scene)
        if new is old:
            return
        self.journal.note(now, "mode", old.value, new.value, f"evidence {self.evidence.kind:+.2f}")
        if new is Mode.CONCURRENCY:
            self.requests.forget(now, "a ceiling of slots")
            self.tokens.forget(now, "a ceiling of slots")

    def _slow_down(self, now: float, flight: Flight, report: Report) -> None:
        learner = self._learner(report)
        if learner is self.tokens and report.scope is None and self.requests.pace is not None:
            self.requests.forget(now, "refused requests are larger: tokens")
        seconds = learner.refused(
            now, report.wait_s, flight.tokens, is_ramp=report.outcome is Outcome.REFUSED_RAMP
        )
        asked = report.wait_s is not None
        why = f"Retry-After {report.wait_s:.3g} s" if asked else "refused for rate"
        self._hold(now, seconds, why, is_asked=asked)
        self._make_room(now)

    def _learner(self, report: Report) -> RateLearner:
        if report.scope == "tokens":
            return self.tokens
        if report.scope == "requests":
            return self.requests
        if self.tokens.pace is not None:
            return self.tokens
        return self.tokens if self.traffic.are_refused_larger else self.requests

    def _make_room(self, now: float) -> None:
        """Concurrency must not bind where a rate does."""
        if self.evidence.mode is not Mode.RATE:
            return
        pace = self.requests.pace
        if pace is None and self.tokens.pace is not None:
            pace = self.tokens.pace / max(1.0, self.traffic.tokens_per_request)
        if pace is not None:
            need = int(1.5 * pace * self.traffic.latency_or_s) + 3
            self.slots.raise_to(now, need, f"room for {pace:.3g} requests/s")

    def _hold(self, now: float, seconds: float, why: str, *, is_asked: bool) -> None:
        until = now + min(seconds, self._max_wait_s) + self._uniform(*_JITTER_S)
        if until > self.hold_until:
            old = max(0.0, self.hold_until - now)
            self.journal.note(
                now, "hold", f"{old:.1f} s", f"{until - now:.1f} s", why, "server" if is_asked else "tuner"
            )
            self.hold_until = until
            self.is_hold_asked = is_asked
