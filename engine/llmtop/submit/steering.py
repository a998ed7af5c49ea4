"""What steers a lane's limiter: the settings, the server's headers and waits, and the tuner.

Synchronous and without a clock of its own: the gate drives it with real time, the benchmark of
the tuner with a simulated one. With the tuner off, a plain cooldown answers refusals.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import LimitHeaders, Outcome
from llmtop.policy.limiter import Cooldown, Cost, Limiter, Rates, Resource, Ticket
from llmtop.policy.tuner import Flight, Journal, Report, Tuner

_RESOURCES: dict[str, Resource] = {
    "requests": Resource.REQ,
    "input_tokens": Resource.IN,
    "output_tokens": Resource.OUT,
    "total_tokens": Resource.TOTAL,
}
_QUOTA_WINDOW_S = 3600.0
"""A limit per hour or more is a quota to be used up, not a pace to be kept."""
_JITTER_S = (0.03, 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """What the config says of one lane."""

    limits: LimitsConfig
    concurrency: Range
    packs: Range
    """Items in one request."""
    retry: RetryConfig
    tuning: TunerConfig
    timeout_s: float | None
    """Total time of one request."""


class Steering:
    """The numbers that one limiter enforces, and who set them."""

    def __init__(self, limiter: Limiter, settings: LaneSettings, rng: random.Random, now: float) -> None:
        tuning = settings.tuning
        self.limiter = limiter
        self.rates = Rates(
            margin=tuning.margin_declared,
            request_burst_s=tuning.request_burst_s,
            token_burst_s=tuning.token_burst_s,
        )
        max_wait_s = settings.retry.max_wait
        self.tuner = Tuner(
            tuning, settings.concurrency, settings.packs, max_wait_s, settings.timeout_s, rng.uniform
        )
        self.is_tuning = tuning.enabled
        self.pack: int | None = settings.packs.start if settings.packs.is_fixed else None
        """Items in a request, where that is fixed."""
        self._cooldown = Cooldown(min(max_wait_s, tuning.hold_max))
        self._rng = rng
        self._flights: dict[Ticket, Flight] = {}
        self._learned: dict[Resource, float | None] = {Resource.REQ: None, Resource.TOTAL: None}
        self._seen = 0
        self._episodes = {Resource.REQ: 0, Resource.TOTAL: 0}
        self.rates.declare_all(settings.limits)
        self.change(now)

    @property
    def journal(self) -> Journal:
        """The decisions."""
        return self.tuner.journal

    @property
    def pinned(self) -> frozenset[str]:
        """What a person has fixed."""
        rates = {f"rate:{resource}" for resource in Resource if self.rates.is_pinned(resource)}
        if self.tuner.slots.is_pinned:
            rates.add("concurrency")
        if self.tuner.is_pack_pinned:
            rates.add("pack")
        return frozenset(rates)

    def pin_rate(self, now: float, resource: Resource, per_s: float | None, by: str) -> None:
        """Fix a rate (None: no limit); `change` enforces it."""
        old = self.rates.named(resource)
        self.rates.declare(resource, per_s, is_pinned=True)
        self._learned.pop(resource, None)
        self._seen = -1
        self.journal.note(now, f"rate:{resource}", old, self.rates.named(resource), f"set by {by}", by)

    def pin_concurrency(self, now: float, number: int, by: str) -> None:
        """Fix the concurrency, at once."""
        self.tuner.slots.pin(now, number, f"set by {by}", by)
        self.limiter.concurrency = number

    def pin_pack(self, now: float, size: int, by: str) -> None:
        """Fix the items of a request, from the next one on."""
        old, self.pack = self.pack_size, size
        self.tuner.is_pack_pinned = True
        self.journal.note(now, "pack", str(old), str(size), f"set by {by}", by)

    @property
    def pack_size(self) -> int:
        """How many items a request carries, as a rule."""
        return self.tuner.packs.leader if self.pack is None else self.pack

    def choose_pack(self) -> int:
        """Return how many items the next request should carry."""
        if self.pack is not None or not self.is_tuning:
            return self.pack_size
        return self.tuner.choose_pack()

    def hand_back(self, now: float, name: str, by: str) -> None:
        """Give the tuner one thing back that a person has fixed, by its name in `pinned`."""
        if name == "concurrency":
            self.tuner.slots.resume_from(now, self.limiter.concurrency)
        elif name == "pack":
            if self.pack is not None:
                self.tuner.packs.set(self.pack)
            self.pack, self.tuner.is_pack_pinned = None, False
        else:
            self.rates.unpin(Resource(name.removeprefix("rate:")))
        self.journal.note(now, name, "by hand", "auto", f"set by {by}", by)

    def switch(self, now: float, is_on: bool, by: str) -> None:
        """Switch the tuner; on, it goes on from what was pinned."""
        if is_on:
            for resource in Resource:
                self.rates.unpin(resource)
            self.tuner.slots.resume_from(now, self.limiter.concurrency)
            self.tuner.min_gap = 0.0
            if self.pack is not None:
                self.tuner.packs.set(self.pack)
            self.pack, self.tuner.is_pack_pinned = None, False
        if is_on is not self.is_tuning:
            words = ("off", "on")
            self.journal.note(now, "mode", words[self.is_tuning], words[is_on], f"set by {by}", by)
        self.is_tuning = is_on
        self.change(now)

    def change(self, now: float) -> None:
        """Settings, pins or limits changed: enforce them from `now` on."""
        for resource, learner in ((Resource.REQ, self.tuner.requests), (Resource.TOTAL, self.tuner.tokens)):
            learner.cap = self.rates.ceiling(resource)
            learner.is_pinned = self.rates.is_pinned(resource) or not self.is_tuning
        self._apply_set_points(now)
        self.rates.apply(now, self.limiter)

    def sent(self, now: float, ticket: Ticket) -> None:
        """A request leaves."""
        if self.is_tuning:
            self._flights[ticket] = self.tuner.departed(now, ticket.level, sum(ticket.cost))
            self.limiter.delay_canary(self.tuner.canary_at)

    def blocked(self, now: float) -> None:
        """A request has to wait for a slot."""
        self.tuner.blocked(now)

    def tick(self, now: float) -> float:
        """Let time pass; return when to be asked again."""
        until = self.tuner.tick(now)
        self._apply_set_points(now)
        return until

    def settled(self, now: float, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        """A request ended, and nothing more is said of it than its usage."""
        self.limiter.settle(now, ticket, input_tokens, output_tokens)
        self._forget(ticket)
        self.tuner.min_gap = 0.0
        self.limiter.space(0.0)

    def released(self, now: float, ticket: Ticket) -> None:
        """A request was never sent, or nothing is known of it."""
        self.limiter.release(now, ticket)
        self._forget(ticket)

    def finished(self, now: float, ticket: Ticket, report: Report) -> None:
        """A request was answered or lost."""
        self._close(now, ticket, report)
        if report.outcome.is_stop:
            self.stop(now, f"the provider refused: {report.outcome.value}")
        flight = self._flights.pop(ticket, None)
        if self.is_tuning and flight is not None:
            self.tuner.answered(now, flight, report)
        else:
            self._cool_down(now, ticket, report)
        if report.limits and self._read_limits(now, ticket, report.limits):
            self.change(now)
        self._apply_set_points(now)

    def stop(self, now: float, why: str) -> None:
        """Let nothing leave until a person has mended it and resumes."""
        if not self.limiter.is_paused:
            self.limiter.pause()
            self.journal.note(now, "state", "open", "stopped", why, "server")

    def _forget(self, ticket: Ticket) -> None:
        flight = self._flights.pop(ticket, None)
        if flight is not None:
            self.tuner.abandoned(flight)

    def _close(self, now: float, ticket: Ticket, report: Report) -> None:
        """Close the ticket with what the request used, as far as its outcome lets one know."""
        outcome = report.outcome
        has_usage = outcome is Outcome.FAULT and report.input_tokens + report.output_tokens > 0.0
        if has_usage or report.is_served:
            self.limiter.settle(now, ticket, report.input_tokens, report.output_tokens)
        elif outcome is Outcome.TIMEOUT:  # it may have been billed
            self.limiter.settle(now, ticket, *ticket.cost)
        else:
            self.limiter.release(now, ticket)

    def _apply_set_points(self, now: float) -> None:
        """Give the limiter what the tuner chose."""
        tuner, limiter = self.tuner, self.limiter
        if not self.is_tuning:
            return
        limiter.concurrency = tuner.concurrency
        if limiter.min_gap != tuner.min_gap:
            limiter.space(tuner.min_gap)
        if tuner.hold_until > limiter.hold_until:
            limiter.hold(tuner.hold_until, is_asked=tuner.is_hold_asked)
        limiter.delay_canary(tuner.canary_at)
        limiter.probe_patience = min(1.0, max(0.05, 2.0 * tuner.traffic.reject_latency_s))
        if tuner.learning != self._seen:
            self._seen = tuner.learning
            self._apply_learned(now)

    def _apply_learned(self, now: float) -> None:
        """Enforce the learned rates; after a refusal for rate the provider's bucket is empty."""
        for resource, learner in ((Resource.REQ, self.tuner.requests), (Resource.TOTAL, self.tuner.tokens)):
            if learner.pace != self._learned.get(resource):
                self._learned[resource] = learner.pace
                self.rates.learn(resource, learner.pace)
                self.rates.apply(now, self.limiter)
            if learner.episodes > self._episodes[resource]:
                self.limiter.lower(now, resource, 0.0)
            self._episodes[resource] = learner.episodes

    def _cool_down(self, now: float, ticket: Ticket, report: Report) -> None:
        """Answer a refusal without a tuner: keep the wait that was asked for, else double one's own."""
        outcome = report.outcome
        if report.is_served:
            self._cooldown.accepted(ticket.started_at)
        is_for_all = outcome in (Outcome.REFUSED_RATE, Outcome.REFUSED_RAMP, Outcome.REFUSED_UNKNOWN)
        if outcome in (Outcome.REFUSED_OVERLOAD, Outcome.FAULT):
            is_for_all = report.wait_s is not None
        if not is_for_all:
            return
        self.limiter.probe_patience = min(1.0, max(0.05, 2.0 * report.latency_s))
        seconds = self._cooldown.refused(now, ticket.started_at, report.retry_after_s)
        if seconds is not None:
            asked = "none" if report.wait_s is None else f"{report.wait_s:.3g} s"
            self.hold(
                now, now + seconds + self._rng.uniform(*_JITTER_S), f"{outcome.value}, Retry-After {asked}"
            )

    def hold(self, now: float, until: float, why: str) -> None:
        """Let nothing leave before `until`."""
        old = max(0.0, self.limiter.hold_until - now)
        if self.limiter.hold(until, is_asked=True):
            self.journal.note(now, "hold", f"{old:.1f} s", f"{until - now:.1f} s", why, "server")

    def _read_limits(self, now: float, ticket: Ticket, limits: tuple[LimitHeaders, ...]) -> bool:
        """Take in the headers of an answer; return whether a limit is news."""
        is_news = False
        for said in limits:
            resource = _RESOURCES[said.resource]
            if said.limit is None or said.limit <= 0.0 or said.window_s >= _QUOTA_WINDOW_S:
                continue
            is_news |= self.rates.report(resource, said.limit / said.window_s)
            if said.remaining is None:
                continue
            corrected = self.limiter.correct(now, resource, ticket, said.limit, said.remaining)
            if corrected is not None:
                why = f"server: {said.remaining:g} {resource} left"
                self.journal.note(now, "bucket", *corrected, why, "server")
        return is_news


def steering_of(settings: LaneSettings, now: float, seed: int | str) -> Steering:
    """Return a lane's limiter and what steers it, at its start."""
    return Steering(Limiter(settings.concurrency.start), settings, random.Random(seed), now)


__all__ = ["Cost", "LaneSettings", "Report", "Steering", "steering_of"]
