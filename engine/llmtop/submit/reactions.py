"""What an answered request tells its lane: the real usage, the server's headers, a wait for all, a stop."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from llmtop.config.schema import RetryConfig, TunerConfig
from llmtop.model import LimitHeaders, Outcome
from llmtop.policy.limiter import Cooldown, Limiter, Resource, Ticket
from llmtop.policy.limiter.rates import Rates

_RESOURCES: dict[str, Resource] = {
    "requests": Resource.REQ,
    "input_tokens": Resource.IN,
    "output_tokens": Resource.OUT,
    "total_tokens": Resource.TOTAL,
}
_QUOTA_WINDOW_S = 3600.0
"""A limit per hour or more is a quota to be used up, not a pace to be kept."""
_JITTER_S = (0.03, 0.05)

Note = Callable[[str, str, str, str, str], None]
"""Records a decision: what, old, new, why, by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How one request ended, for the lane that let it leave. Tokens: the provider's count, 0: unknown."""

    outcome: Outcome
    latency_s: float
    retry_after_s: float | None = None
    scope: str | None = None
    """`requests`, `tokens` or `concurrency`, where the refusal named it."""
    limits: tuple[LimitHeaders, ...] = ()
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    items: int = 1
    items_ok: int = 1
    """Items whose answer had the right form; what a filter thinks of it does not count."""
    cost_pusd: int | None = None


class Reactions:
    """Shared holds and header feedback of one lane."""

    def __init__(
        self,
        limiter: Limiter,
        rates: Rates,
        retry: RetryConfig,
        tuning: TunerConfig,
        rng: random.Random,
        note: Note,
    ) -> None:
        self._limiter = limiter
        self._rates = rates
        self._cooldown = Cooldown(min(retry.max_wait, tuning.hold_max))
        self._rng = rng
        self._note = note
        self._reject_latency_s: float | None = None

    def close(self, now: float, ticket: Ticket, report: Report) -> None:
        """Close the ticket with what the request used, as far as its outcome lets one know."""
        outcome, limiter = report.outcome, self._limiter
        has_usage = outcome is Outcome.FAULT and report.input_tokens + report.output_tokens > 0.0
        if has_usage or outcome in (Outcome.OK, Outcome.PARTIAL):
            limiter.settle(now, ticket, report.input_tokens, report.output_tokens)
        elif outcome is Outcome.TIMEOUT:  # it may have been billed
            limiter.settle(now, ticket, *ticket.cost)
        else:
            limiter.release(now, ticket)

    def react(self, now: float, ticket: Ticket, report: Report) -> bool:
        """Take in what an answer says; return whether a limit changed."""
        outcome = report.outcome
        if outcome.is_stop:
            self.stop(f"the provider refused: {outcome.value}")
            return False
        if outcome.is_refusal:
            self._learn_reject_latency(report.latency_s)
        if self._asks_all_to_wait(report):
            self._hold(now, ticket, report)
        elif not outcome.is_refusal:
            self._cooldown.accepted(ticket.started_at)
        return self._read_limits(now, ticket, report.limits)

    def stop(self, why: str) -> None:
        """Let nothing leave until a person has mended it and resumes."""
        if not self._limiter.is_paused:
            self._limiter.pause()
            self._note("state", "open", "stopped", why, "server")

    def _asks_all_to_wait(self, report: Report) -> bool:
        """A ceiling of slots holds only the refused request; a wait asked for, or a rate, holds all."""
        if report.outcome is Outcome.REFUSED_CONCURRENCY:
            return False
        if report.outcome in (Outcome.REFUSED_RATE, Outcome.REFUSED_RAMP, Outcome.REFUSED_UNKNOWN):
            return True
        has_wait = report.retry_after_s is not None and report.retry_after_s > 0.0
        return has_wait and report.outcome in (Outcome.REFUSED_OVERLOAD, Outcome.FAULT)

    def _hold(self, now: float, ticket: Ticket, report: Report) -> None:
        seconds = self._cooldown.refused(now, ticket.started_at, report.retry_after_s)
        if seconds is None:
            return
        old = max(0.0, self._limiter.hold_until - now)
        if self._limiter.hold(now + seconds + self._rng.uniform(*_JITTER_S), is_asked=True):
            asked = report.retry_after_s
            why = f"{report.outcome.value}, Retry-After {'none' if asked is None else f'{asked:.3g} s'}"
            self._note("hold", f"{old:.1f} s", f"{seconds:.1f} s", why, "server")

    def _learn_reject_latency(self, latency_s: float) -> None:
        known = self._reject_latency_s
        self._reject_latency_s = latency_s if known is None else known + 0.25 * (latency_s - known)
        self._limiter.probe_patience = min(1.0, max(0.05, 2.0 * self._reject_latency_s))

    def _read_limits(self, now: float, ticket: Ticket, limits: tuple[LimitHeaders, ...]) -> bool:
        is_changed = False
        for said in limits:
            resource = _RESOURCES[said.resource]
            if said.limit is None or said.limit <= 0.0 or said.window_s >= _QUOTA_WINDOW_S:
                continue
            is_changed |= self._rates.report(resource, said.limit / said.window_s)
            if said.remaining is None:
                continue
            corrected = self._limiter.correct(now, resource, ticket, said.limit, said.remaining)
            if corrected is not None:
                old, new = corrected
                self._note(
                    "bucket",
                    f"{old:.1f}",
                    f"{new:.1f}",
                    f"server: {said.remaining:g} {resource} left",
                    "server",
                )
        return is_changed
