"""A bucket of one resource: refilled continuously in floating point, and allowed to owe.

Invariant: in any t seconds it grants at most `capacity + rate * t` plus one single amount.
Amounts are never rounded and the clock is never reset: a bucket of whole tokens reaches only
69 to 89 % of rates such as 1.7 or 7.7 a second.
"""

from __future__ import annotations

import math

from llmtop.policy.limiter.words import Resource

_SHARES: dict[Resource, tuple[float, float, float]] = {
    Resource.REQ: (1.0, 0.0, 0.0),
    Resource.IN: (0.0, 1.0, 0.0),
    Resource.OUT: (0.0, 0.0, 1.0),
    Resource.TOTAL: (0.0, 1.0, 1.0),
}
_SLACK = 1e-9
"""What rounding of times and levels may cost, so that a timer that fires on its moment finds its grant."""


class Bucket:
    """Full at the start; `rate` a second up to `capacity`; the level may fall below zero."""

    __slots__ = (
        "_last",
        "_per_input",
        "_per_output",
        "_per_request",
        "capacity",
        "level",
        "rate",
        "resource",
    )

    def __init__(self, resource: Resource, now: float, rate: float, capacity: float) -> None:
        self.resource = resource
        self.rate = rate
        self.capacity = capacity
        self.level = capacity
        self._last = now
        self._per_request, self._per_input, self._per_output = _SHARES[resource]

    def __repr__(self) -> str:
        return f"<Bucket {self.resource} {self.level:.3f}/{self.capacity:g} +{self.rate:g}/s>"

    def amount(self, input_tokens: float, output_tokens: float) -> float:
        """Return how much of this resource one request with these tokens uses."""
        return self._per_request + self._per_input * input_tokens + self._per_output * output_tokens

    def advance(self, now: float) -> None:
        """Refill up to `now`; a clock that stands or steps back refills nothing and loses nothing."""
        if now > self._last:
            self.level = min(self.capacity, self.level + self.rate * (now - self._last))
            self._last = now

    def ready_at(self, now: float, amount: float) -> float:
        """Return when `amount` may be taken: `now` or earlier means at once.

        The threshold is `min(amount, capacity)`: what is larger than the bucket passes a full
        one and leaves a debt, so there is no amount that can never pass.
        """
        self.advance(now)
        need = min(amount, self.capacity)
        missing = need - self.level
        if missing <= _SLACK * (1.0 + need + self.rate):
            return now
        return now + missing / self.rate if self.rate > 0.0 else math.inf

    def take(self, amount: float) -> None:
        """Take `amount`, into debt if need be."""
        self.level -= amount

    def give(self, now: float, amount: float) -> None:
        """Put back what was estimated and not used; a negative amount was used beyond the estimate."""
        self.advance(now)
        self.level = min(self.capacity, self.level + amount)

    def lower(self, now: float, level: float) -> None:
        """Bring the level down to `level`; never up."""
        self.advance(now)
        self.level = min(self.level, level)

    def retune(self, now: float, rate: float, capacity: float) -> None:
        """Change rate and capacity from `now` on: the past counts at the old rate, the level never rises."""
        self.advance(now)
        self.rate = rate
        self.capacity = capacity
        self.level = min(self.level, capacity)
