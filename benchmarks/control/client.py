"""Clients in virtual time: the product's own limiter and tuner, and what they are compared with."""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.control.world import Request, Verdict, World

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import Outcome
from llmtop.policy.limiter import Cause, Cost, Ticket
from llmtop.policy.tuner import Report
from llmtop.submit.steering import LaneSettings, Steering, steering_of

Draw = Callable[[random.Random, int], Request]
"""Makes the next request with so many items."""


ALONE, ANY_NUMBER = Range(1, 1, 1), Range(1, 8, 512)


class Clock:
    """Virtual time and what is to happen in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do `act` at `when`."""
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, act = heapq.heappop(events)
            act()
        self.now = until


@dataclass(slots=True)
class Tally:
    """What came of one client's requests, as moments."""

    good_at: list[float] = field(default_factory=list)
    good_items: list[int] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    cost: float = 0.0

    def goodput(self, start: float, end: float) -> float:
        """Good items a second."""
        first, last = bisect_left(self.good_at, start), bisect_left(self.good_at, end)
        return sum(self.good_items[first:last]) / (end - start)

    def sends(self, start: float, end: float) -> int:
        """Requests that left."""
        return bisect_left(self.sent_at, end) - bisect_left(self.sent_at, start)

    def refusals(self, start: float, end: float) -> int:
        """Refusals that came back."""
        return bisect_left(self.refused_at, end) - bisect_left(self.refused_at, start)

    def mean_latency(self, start: float, end: float) -> float:
        """Of successes."""
        first, last = bisect_left(self.good_at, start), bisect_left(self.good_at, end)
        return sum(self.latency_s[first:last]) / max(1, last - first)


class Client:
    """Always has more to ask. `before` may move set-points by hand, `after` sees every answer."""

    def __init__(
        self,
        clock: Clock,
        world: World,
        draw: Draw,
        settings: LaneSettings,
        seed: int,
        *,
        before: Callable[[Client], None] | None = None,
        after: Callable[[Client, Report, float], None] | None = None,
    ) -> None:
        self.clock, self.world = clock, world
        self.tally = Tally()
        self.steering: Steering = steering_of(settings, clock.now, seed)
        self._draw = draw
        self._rng = random.Random(seed * 7919 + 1)
        self._before, self._after = before, after
        self._again: list[tuple[float, int, Request, int]] = []
        self._numbers = itertools.count()
        self._next: tuple[Request, int] | None = None
        self._output = 200.0
        self._armed_at = float("inf")
        clock.at(clock.now, self._tick)

    def _tick(self) -> None:
        now = self.clock.now
        if self._before is not None:
            self._before(self)
        until = self.steering.tick(now) if self.steering.is_tuning else now + 0.5
        self.clock.at(until, self._tick)
        self._pump()

    def _pump(self) -> None:
        limiter, now = self.steering.limiter, self.clock.now
        while True:
            request, tries = self._next or self._take(now)
            cost = Cost(request.input_tokens, self._output * request.items)
            answer = limiter.admit(now, cost)
            if isinstance(answer, Ticket):
                self._next = None
                self.steering.sent(now, answer)
                self._send(request, tries, answer)
                continue
            self._next = (request, tries)
            if answer.cause is Cause.CONCURRENCY:
                self.steering.blocked(now)
            elif answer.until < self._armed_at or self._armed_at <= now:
                self._armed_at = answer.until
                self.clock.at(answer.until, self._pump)
            return

    def _take(self, now: float) -> tuple[Request, int]:
        if self._again and self._again[0][0] <= now:
            _, _, request, tries = heapq.heappop(self._again)
            return request, tries
        return self._draw(self._rng, self.steering.tuner.choose_pack()), 0

    def _send(self, request: Request, tries: int, ticket: Ticket) -> None:
        now = self.clock.now
        self.tally.sent_at.append(now)
        verdict = self.world.arrive(now, request)
        is_served = verdict.outcome in (Outcome.OK, Outcome.PARTIAL, Outcome.FAULT) and not (
            verdict.outcome is Outcome.FAULT and self.world.trouble.is_down(now)
        )
        if is_served:
            self.clock.at(now + verdict.delay_s - 0.5 * self.world.rtt_s, self._leave)
        self.clock.at(now + verdict.delay_s, lambda: self._land(request, tries, ticket, verdict))

    def _leave(self) -> None:
        self.world.leave(self.clock.now)

    def _land(self, request: Request, tries: int, ticket: Ticket, verdict: Verdict) -> None:
        now, outcome = self.clock.now, verdict.outcome
        is_good = outcome in (Outcome.OK, Outcome.PARTIAL)
        cost = request.input_tokens + 4.0 * request.output_tokens if is_good else 0.0
        report = Report(
            outcome=outcome,
            latency_s=verdict.delay_s,
            retry_after_s=verdict.retry_after_s,
            scope=verdict.scope,
            limits=verdict.limits,
            input_tokens=request.input_tokens if is_good else 0.0,
            output_tokens=request.output_tokens if is_good else 0.0,
            items=request.items,
            items_ok=verdict.items_ok if is_good else 0,
            cost_pusd=int(cost * 1000),
        )
        self._book(now, request, report, cost)
        if not is_good:
            self._retry(now, request, tries, verdict)
        self.steering.finished(now, ticket, report)
        if self._after is not None:
            self._after(self, report, ticket.started_at)
        self._pump()

    def _book(self, now: float, request: Request, report: Report, cost: float) -> None:
        tally = self.tally
        if report.outcome.is_refusal:
            tally.refused_at.append(now)
        elif report.outcome in (Outcome.OK, Outcome.PARTIAL):
            tally.good_at.append(now)
            tally.good_items.append(report.items_ok)
            tally.latency_s.append(report.latency_s)
            tally.cost += cost
            self._output += 0.02 * (request.output_tokens / request.items - self._output)

    def _retry(self, now: float, request: Request, tries: int, verdict: Verdict) -> None:
        if verdict.outcome.is_refusal:
            again = now + (verdict.retry_after_s or self.steering.tuner.traffic.reject_latency_s)
        else:
            tries += 1
            again = now + min(30.0, 2.0 ** (tries - 1)) * self._rng.uniform(0.5, 1.5)
        heapq.heappush(self._again, (again, next(self._numbers), request, tries))


def settings_for(
    *,
    limits: LimitsConfig | None = None,
    packs: Range = ALONE,
    concurrency: Range = ANY_NUMBER,
    is_tuning: bool = True,
) -> LaneSettings:
    """Return the settings of a client."""
    return LaneSettings(
        limits=limits or LimitsConfig(),
        concurrency=concurrency,
        packs=packs,
        retry=RetryConfig(),
        tuning=TunerConfig(enabled=is_tuning),
        timeout_s=120.0,
    )


class Aimd:
    """The simple rule that most clients have: one more for each full round, half after a refusal."""

    def __init__(self) -> None:
        self.limit = 8.0
        self._cut_at = -1.0

    def __call__(self, client: Client, report: Report, sent_at: float) -> None:
        """See one answer and move the client's concurrency."""
        if report.outcome.is_refusal:
            if sent_at > self._cut_at:
                self.limit = max(1.0, self.limit / 2.0)
                self._cut_at = client.clock.now
        elif report.outcome is Outcome.OK:
            self.limit = min(512.0, self.limit + 1.0 / self.limit)
        client.steering.limiter.concurrency = int(self.limit)
