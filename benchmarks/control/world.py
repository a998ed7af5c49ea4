"""A simulated provider in virtual time: limits that refuse, service that takes time, faults.

It is made of small parts, so that each class of provider in `scenarios` is a few words. Nothing
here knows the client; times are seconds of virtual time.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from llmtop.model import LimitHeaders, Outcome

Curve = Callable[[float], float]
"""A value that changes with time."""


@dataclass(slots=True)
class Request:
    """What arrives: `items` in one prompt."""

    items: int
    input_tokens: float
    output_tokens: float

    @property
    def tokens(self) -> float:
        """Input and output."""
        return self.input_tokens + self.output_tokens


@dataclass(slots=True)
class Verdict:
    """What the provider makes of a request: after `delay_s` the client has its answer."""

    outcome: Outcome
    delay_s: float
    retry_after_s: float | None = None
    scope: str | None = None
    limits: tuple[LimitHeaders, ...] = ()
    items_ok: int = 1


class Limit(Protocol):
    """One reason to refuse."""

    def refuses(self, now: float, request: Request) -> bool:
        """Whether this request is over the limit; counts nothing."""

    def take(self, now: float, request: Request) -> None:
        """The request was accepted."""

    def leave(self, now: float) -> None:
        """A request ended."""

    def retry_after(self, now: float) -> float | None:
        """What the refusal tells the client."""

    def headers(self, now: float) -> tuple[LimitHeaders, ...]:
        """What every answer tells the client."""


class Ceiling:
    """At most `slots(t)` at once."""

    def __init__(self, slots: Curve, wait_s: float | None = None) -> None:
        self.slots = slots
        self.wait_s = wait_s
        self.active = 0

    def refuses(self, now: float, request: Request) -> bool:
        return self.active >= int(self.slots(now))

    def take(self, now: float, request: Request) -> None:
        self.active += 1

    def leave(self, now: float) -> None:
        self.active -= 1

    def retry_after(self, now: float) -> float | None:
        return self.wait_s

    def headers(self, now: float) -> tuple[LimitHeaders, ...]:
        return ()


class Pool:
    """A bucket of requests or tokens, refilled by `rate(t)` a second."""

    def __init__(
        self,
        rate: Curve,
        burst: float,
        *,
        is_tokens: bool = False,
        says_wait: bool = True,
        has_headers: bool = False,
    ) -> None:
        self.rate, self.burst, self.is_tokens = rate, burst, is_tokens
        self.says_wait, self.has_headers = says_wait, has_headers
        self.level, self.last = burst, 0.0

    def refuses(self, now: float, request: Request) -> bool:
        self.level = min(self.burst, self.level + self.rate(now) * (now - self.last))
        self.last = now
        return self.level < min(self.burst, self._cost(request)) - 1e-9

    def take(self, now: float, request: Request) -> None:
        self.level -= self._cost(request)

    def leave(self, now: float) -> None:
        """A bucket does not care."""

    def retry_after(self, now: float) -> float | None:
        need = 0.1 * self.burst if self.is_tokens else 1.0
        return max(0.01, (need - self.level) / self.rate(now)) if self.says_wait else None

    def headers(self, now: float) -> tuple[LimitHeaders, ...]:
        if not self.has_headers:
            return ()
        resource: Literal["total_tokens", "requests"] = "total_tokens" if self.is_tokens else "requests"
        return (LimitHeaders(resource, self.rate(now) * 60.0, max(0.0, self.level), None, 60.0),)

    def _cost(self, request: Request) -> float:
        return request.tokens if self.is_tokens else 1.0


class FixedWindow:
    """At most `limit(t)` in each window; windows begin at `phase`."""

    def __init__(
        self, limit: Curve, window_s: float, phase: float, *, says_wait: bool, has_headers: bool = False
    ) -> None:
        self.limit, self.window_s, self.phase = limit, window_s, phase
        self.says_wait, self.has_headers = says_wait, has_headers
        self.index, self.used = -1, 0

    def refuses(self, now: float, request: Request) -> bool:
        index = int((now + self.phase) // self.window_s)
        if index != self.index:
            self.index, self.used = index, 0
        return self.used >= self.limit(now)

    def take(self, now: float, request: Request) -> None:
        self.used += 1

    def leave(self, now: float) -> None:
        """A window does not care."""

    def retry_after(self, now: float) -> float | None:
        if not self.says_wait:
            return None
        return float(math.ceil((self.index + 1) * self.window_s - self.phase - now))

    def headers(self, now: float) -> tuple[LimitHeaders, ...]:
        if not self.has_headers:
            return ()
        limit = self.limit(now)
        return (LimitHeaders("requests", limit, max(0.0, limit - self.used), None, self.window_s),)


class Service(Protocol):
    """How long an accepted request takes."""

    def duration(self, now: float, request: Request, active: int) -> float:
        """Seconds from arrival to answer, with `active` others being served."""


@dataclass(slots=True)
class Steady:
    """A fixed part and a part for each output token, whoever else is there."""

    base_s: float = 0.3
    per_token_s: float = 0.01
    slowdown: Curve = field(default=lambda now: 1.0)

    def duration(self, now: float, request: Request, active: int) -> float:
        return (self.base_s + self.per_token_s * request.output_tokens) * self.slowdown(now)


class Queueing:
    """`servers` work in parallel, the rest waits in line. `per_token_s` may change with time."""

    def __init__(self, servers: int, base_s: float, per_token_s: float) -> None:
        self.base_s, self.per_token_s = base_s, per_token_s
        self.free_at = [0.0] * servers

    def duration(self, now: float, request: Request, active: int) -> float:
        start = max(now, heapq.heappop(self.free_at))
        end = start + self.base_s + self.per_token_s * request.output_tokens
        heapq.heappush(self.free_at, end)
        return end - now


@dataclass(slots=True)
class Batching:
    """A GPU: tokens a second grow with the batch up to `knee`, then not; `retro` makes it worse beyond."""

    base_s: float
    per_token_s: float
    knee: float
    retro: float = 0.0

    def duration(self, now: float, request: Request, active: int) -> float:
        load = max(1.0, (active + 1) / self.knee)
        load *= 1.0 + self.retro * max(0.0, (active + 1) / self.knee - 1.0)
        return (self.base_s + self.per_token_s * request.output_tokens) * load


@dataclass(slots=True)
class Trouble:
    """Faults that are not the client's: share of random errors, overload or silence over time."""

    errors: Curve = field(default=lambda now: 0.0)
    overload: Curve = field(default=lambda now: 0.0)
    is_down: Callable[[float], bool] = field(default=lambda now: False)


class World:
    """One provider."""

    def __init__(
        self,
        limits: Sequence[Limit],
        service: Service,
        rng: random.Random,
        *,
        trouble: Trouble | None = None,
        rtt_s: float = 0.04,
        good: Callable[[random.Random, int], int] = lambda rng, items: items,
        names_limit: bool = False,
    ) -> None:
        self.limits = tuple(limits)
        self.service = service
        self.trouble = trouble or Trouble()
        self.rtt_s = rtt_s
        self.active = 0
        self._rng = rng
        self._good = good
        self._names_limit = names_limit

    def arrive(self, now: float, request: Request) -> Verdict:
        """Take a request in or refuse it."""
        trouble, quick = self.trouble, self.rtt_s * self._rng.uniform(0.8, 1.6)
        if trouble.is_down(now):
            return Verdict(Outcome.FAULT, quick)
        if self._rng.random() < trouble.overload(now):
            return Verdict(Outcome.REFUSED_OVERLOAD, quick)
        for limit in self.limits:
            if limit.refuses(now, request):
                wait_s = limit.retry_after(now)
                return Verdict(Outcome.REFUSED_UNKNOWN, quick, wait_s, limits=self._headers(now))
        for limit in self.limits:
            limit.take(now, request)
        duration = self.service.duration(now, request, self.active) + quick
        self.active += 1
        if self._rng.random() < trouble.errors(now):
            return Verdict(Outcome.FAULT, duration * self._rng.random())
        items_ok = self._good(self._rng, request.items)
        outcome = Outcome.OK if items_ok == request.items else Outcome.PARTIAL
        return Verdict(outcome, duration, limits=self._headers(now), items_ok=items_ok)

    def leave(self, now: float) -> None:
        """A request that was accepted has ended."""
        self.active -= 1
        for limit in self.limits:
            limit.leave(now)

    def _headers(self, now: float) -> tuple[LimitHeaders, ...]:
        return tuple(header for limit in self.limits for header in limit.headers(now))
