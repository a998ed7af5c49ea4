"""Which rate is enforced, by whose authority: user pin > declared or reported limit > learned limit.

A declared or reported limit is enforced a little below its value; a learned one may only be lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmtop.config.schema import LimitsConfig
from llmtop.policy.limiter.limiter import Limiter
from llmtop.policy.limiter.words import Resource

Origin = Literal["pinned", "declared", "reported", "learned"]

_LATENESS_S = 0.05
"""Departures this far apart may arrive together: a stated burst is lowered by what refills in it."""


class Rate(NamedTuple):
    """What the limiter enforces for one resource."""

    per_s: float
    capacity: float
    origin: Origin


@dataclass(slots=True)
class _Known:
    declared: float | None = None
    reported: float | None = None
    learned: float | None = None
    learned_burst: float | None = None
    is_pinned: bool = False


class Rates:
    """The limits of one lane, each with where it comes from. Rates are per second."""

    def __init__(self, *, margin: float, request_burst_s: float, token_burst_s: float) -> None:
        self._margin = margin
        self._request_burst_s = request_burst_s
        self._token_burst_s = token_burst_s
        self._known = {resource: _Known() for resource in Resource}
        self.burst: float | None = None
        """Requests that may leave together, where the user knows that the provider allows it."""

    def declare(self, resource: Resource, per_s: float | None, *, is_pinned: bool = False) -> None:
        """Take the user's word (None: not limited by the user); what was learned before counts no more."""
        known = self._known[resource]
        known.declared, known.is_pinned = per_s, is_pinned
        known.learned = known.learned_burst = None

    def declare_all(self, limits: LimitsConfig) -> None:
        """Take what a config file says."""
        self.burst = limits.burst
        per_minute = {
            Resource.IN: limits.input_tokens_per_minute,
            Resource.OUT: limits.output_tokens_per_minute,
            Resource.TOTAL: limits.tokens_per_minute,
        }
        self.declare(Resource.REQ, limits.request_rate)
        for resource, tokens in per_minute.items():
            self.declare(resource, None if tokens is None else tokens / 60.0)

    def report(self, resource: Resource, per_s: float) -> bool:
        """Take the provider's word; return whether it is news. The user's word goes before it."""
        known = self._known[resource]
        if known.reported is not None and abs(known.reported - per_s) <= 1e-6 * per_s:
            return False
        known.reported = per_s
        return known.declared is None

    def learn(self, resource: Resource, per_s: float | None, burst: float | None = None) -> None:
        """Take what was found out by being refused; None: nothing is known any more."""
        known = self._known[resource]
        known.learned, known.learned_burst = per_s, burst

    def unpin(self, resource: Resource) -> None:
        """Let the learned rate count again below the user's."""
        self._known[resource].is_pinned = False

    def is_pinned(self, resource: Resource) -> bool:
        """Whether the user fixed it in a live run."""
        return self._known[resource].is_pinned

    def stated(self, resource: Resource) -> float | None:
        """Return the declared limit, else the reported one, as it was said."""
        known = self._known[resource]
        return known.declared if known.declared is not None else known.reported

    def ceiling(self, resource: Resource) -> float | None:
        """Return what a learned rate may reach: a little below the stated limit."""
        stated = self.stated(resource)
        return None if stated is None else self._margin * stated

    def effective(self, resource: Resource) -> Rate | None:
        """Return what is to be enforced; None: nothing limits it."""
        known = self._known[resource]
        stated = self.stated(resource)
        if stated is not None and (known.is_pinned or known.learned is None):
            origin: Origin = (
                "reported" if known.declared is None else "pinned" if known.is_pinned else "declared"
            )
            return Rate(self._margin * stated, self._capacity(resource, self._margin * stated, None), origin)
        if known.learned is None:
            return None
        cap = known.learned if stated is None else min(known.learned, self._margin * stated)
        return Rate(cap, self._capacity(resource, cap, known.learned_burst), "learned")

    def enforced(self) -> dict[Resource, Rate]:
        """Return what is enforced for every limited resource."""
        known = ((resource, self.effective(resource)) for resource in Resource)
        return {resource: rate for resource, rate in known if rate is not None}

    def apply(self, now: float, limiter: Limiter) -> None:
        """Make the limiter enforce it from `now` on."""
        for resource in Resource:
            rate = self.effective(resource)
            if rate is None:
                limiter.unlimit(resource)
            else:
                limiter.limit(now, resource, rate.per_s, rate.capacity)

    def detail(self, resource: Resource) -> str:
        """Return the limit as a few words, as it was said or learned; empty where there is none."""
        rate = self.effective(resource)
        if rate is None:
            return ""
        said = rate.per_s if rate.origin == "learned" else self.stated(resource) or rate.per_s
        return f"{60.0 * said:,.0f} {resource} tokens/min" if resource.is_tokens else f"{said:.2f} requests/s"

    def named(self, resource: Resource) -> str:
        """Return the stated limit as a word for a decision."""
        stated = self.stated(resource)
        return "none" if stated is None else f"{stated:.4g}/s"

    def _capacity(self, resource: Resource, per_s: float, learned: float | None) -> float:
        if resource.is_tokens:
            return self._token_burst_s * per_s if learned is None else learned
        if self.burst is not None:
            return max(1.0, self.burst - _LATENESS_S * per_s)
        return 1.0 + self._request_burst_s * per_s if learned is None else learned
