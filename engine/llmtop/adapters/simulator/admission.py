"""Who is let in: all limits of a profile together. Pure; the caller says what time it is.

A request is let in by every limit or by none. `left` and `refuse` speak of requests, tokens,
concurrency, ramp and quota; what that looks like on the wire is for `refusals`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmtop.adapters.simulator.limits import FixedWindow, Limit, RampLimit, TokenBucket, sliced_minute
from llmtop.adapters.simulator.profile import Profile

Cause = Literal["requests", "tokens", "concurrency", "ramp", "quota"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in, and for how long."""

    cause: Cause
    wait_s: float
    limit: float
    """What the limit holds."""
    used: float
    requested: float
    per: str
    """"second" or "minute"; empty where the limit is not one in time."""


_PLACE_FREE_S = 1.0
"""What a refusal for concurrency says about when to come back: nobody knows when a place gets free."""


class _Wanted(NamedTuple):
    """What a limit is made of: equal ones are the same limit."""

    cause: Literal["requests", "tokens"]
    per: Literal["second", "minute"]
    amount: float
    style: str
    burst: float
    offset_s: float


class _Named(NamedTuple):
    made_of: _Wanted
    limit: Limit


class Admission:
    """All limits of one simulated provider. Whoever is let in is to be released, once."""

    def __init__(self, profile: Profile, started_at: float) -> None:
        self._started_at = started_at
        self.in_flight = 0
        self.answered = 0
        """Answers given so far, for the quota."""
        self._set(profile, started_at, is_anew=True)

    def __repr__(self) -> str:
        limits = [each.limit for each in self._limits]
        return f"Admission({self.in_flight} in flight of {self.concurrency or 'any'}, {limits})"

    def change(self, profile: Profile, now: float) -> None:
        """Obey other settings from now on. A limit whose settings changed starts untouched."""
        self._set(profile, now, is_anew=False)

    def start(self, now: float) -> None:
        """Let schedules and windows begin here."""
        self._started_at = now
        self._set(self._profile, now, is_anew=True)

    @property
    def concurrency(self) -> int:
        """The cap at this moment of the schedule; 0: none."""
        cap = self._profile.concurrency
        return max(1, round(cap * self._factor)) if cap else 0

    def admit(self, now: float, tokens: float) -> Refusal | None:
        """Let a request of so many tokens in, or say why not."""
        if self._is_free:
            self.in_flight += 1
            return None
        self._follow_schedule(now)
        refusal = self._refuse(now, tokens)
        if refusal is None:
            self.in_flight += 1
            self._ramp_take(now)
            self._take(now, tokens)
        elif self._profile.count_refused:
            self._count_refused(now)
        return refusal

    def release(self, now: float, unused_tokens: float) -> None:
        """A request is over; give back tokens that it did not use (negative: it used more)."""
        self.in_flight -= 1
        if unused_tokens:
            for each in self._limits:
                if each.made_of.cause == "tokens":
                    each.limit.take(now, -unused_tokens)

    def left(self, now: float, cause: Literal["requests", "tokens"]) -> tuple[float, float, float] | None:
        """Return (limit a minute, left of it, seconds to reset) of the tightest such limit, for the headers.

        As the real providers count: what was used and is not refilled yet is missing from the minute's limit.
        """
        found = [each.limit for each in self._limits if each.made_of.cause == cause]
        if not found:
            return None
        limit = min(found, key=lambda each: each.left(now))
        used = limit.size - limit.left(now)
        return limit.per_minute, max(0.0, limit.per_minute - used), limit.reset_s(now)

    def _refuse(self, now: float, tokens: float) -> Refusal | None:
        profile = self._profile
        if profile.quota_requests and self.answered >= profile.quota_requests:
            return Refusal("quota", math.inf, profile.quota_requests, self.answered, 1, "")
        worst: Refusal | None = None
        for each in self._limits:
            amount = 1.0 if each.made_of.cause == "requests" else tokens
            wait_s = each.limit.wait_s(now, amount)
            if wait_s > 0 and (worst is None or wait_s > worst.wait_s):
                used = each.limit.size - each.limit.left(now)
                worst = Refusal(each.made_of.cause, wait_s, each.limit.size, used, amount, each.made_of.per)
        if worst is not None:
            return worst
        cap = self.concurrency
        if cap and self.in_flight >= cap:
            return Refusal("concurrency", _PLACE_FREE_S, cap, self.in_flight, 1, "")
        wait_s = self._ramp.wait_s(now) if self._ramp else 0.0
        return Refusal("ramp", wait_s, 0, 0, 1, "") if wait_s > 0 else None

    def _take(self, now: float, tokens: float) -> None:
        for each in self._limits:
            each.limit.take(now, 1.0 if each.made_of.cause == "requests" else tokens)

    def _count_refused(self, now: float) -> None:
        for each in self._limits:
            if each.made_of.cause == "requests":
                each.limit.count_refused(now)

    def _ramp_take(self, now: float) -> None:
        if self._ramp:
            self._ramp.take(now)

    def _set(self, profile: Profile, now: float, *, is_anew: bool) -> None:
        self._profile = profile
        before = {} if is_anew else {each.made_of: each for each in self._limits}
        self._limits: list[_Named] = [
            before.get(made_of) or _named(made_of, now) for made_of in _wanted(profile)
        ]
        self._ramp = RampLimit(profile.ramp_factor, profile.ramp_floor) if profile.ramp_factor else None
        self._is_free = not (self._limits or self._ramp or profile.concurrency or profile.quota_requests)
        self._factor = 1.0
        for each in self._limits:
            each.limit.resize(now, 1.0)
        self._follow_schedule(now)

    def _follow_schedule(self, now: float) -> None:
        steps = self._profile.capacity_steps
        if not steps:
            return
        at_s = now - self._started_at
        if self._profile.capacity_repeat_s:
            at_s %= self._profile.capacity_repeat_s
        factor = next((step.factor for step in reversed(steps) if step.at_s <= at_s), 1.0)
        if factor != self._factor:
            self._factor = factor
            for each in self._limits:
                each.limit.resize(now, factor)


def _wanted(profile: Profile) -> list[_Wanted]:
    offset_s = profile.window_offset_s
    per_s, per_min = profile.requests_per_second, profile.minute_style
    burst = profile.burst or max(1.0, per_s)
    wanted = [
        _Wanted("requests", "second", per_s, profile.second_style, burst, offset_s),
        _Wanted("requests", "minute", profile.requests_per_minute, per_min, 0.0, offset_s),
        _Wanted("tokens", "minute", profile.tokens_per_minute, per_min, 0.0, offset_s),
    ]
    return [each for each in wanted if each.amount]


def _named(made_of: _Wanted, now: float) -> _Named:
    window_s = 1.0 if made_of.per == "second" else 60.0
    origin = now - made_of.offset_s % window_s
    limit: Limit
    if made_of.style == "bucket":
        limit = TokenBucket(made_of.amount / window_s, made_of.burst or made_of.amount, now)
    elif made_of.style == "fixed":
        limit = FixedWindow(made_of.amount, window_s, origin)
    else:
        limit = sliced_minute(made_of.amount, origin)
    return _Named(made_of, limit)
