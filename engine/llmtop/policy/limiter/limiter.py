"""What a lane may send now: requests, tokens and concurrency, granted together or not at all.

Pure: every verb takes the moment, nothing here waits. The gate owns the queue and the timer.

- A grant takes one slot and the estimated cost of every limited resource in one step.
- Its ticket is closed exactly once: `settle` with the real usage, or `release` when the request
  was refused or never left. Later calls change nothing.
- A hold only ever extends. After a hold that the provider asked for one probe leaves first; the
  others follow when it was answered, or when it still runs after the time in which a refusal
  would have come. So all may leave "at once, for all", but never into a limit that still stands.
"""

from __future__ import annotations

import math

from llmtop.policy.limiter.bucket import Bucket
from llmtop.policy.limiter.words import Cause, Cost, Resource, Wait


class Ticket:
    """One grant: what was charged, and how much had been sent with it."""

    __slots__ = ("_charged", "cost", "is_open", "level", "sent", "started_at")

    def __init__(
        self,
        now: float,
        cost: Cost,
        level: int,
        sent: tuple[float, float, float],
        charged: tuple[Bucket, ...],
    ) -> None:
        self.started_at = now
        self.cost = cost
        self.level = level
        """Requests of the lane in flight when it left, itself included."""
        self.sent = sent
        """Requests, input and output tokens granted by the lane so far, itself included."""
        self.is_open = True
        self._charged = charged

    def close(self, now: float, input_tokens: float, output_tokens: float, requests: int) -> None:
        """Give back the difference between the estimate and what was used."""
        self.is_open = False
        for bucket in self._charged:
            estimate = bucket.amount(*self.cost)
            used = bucket.amount(input_tokens, output_tokens) if requests else 0.0
            bucket.give(now, estimate - used)


class Limiter:
    """The state of one lane. Times are seconds of one monotonic clock."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self.min_gap = 0.0
        """Seconds between two departures at the least."""
        self.hold_until = -math.inf
        self.is_paused = False
        self.canary_at = -math.inf
        """Nothing leaves before; unlike a hold it may be set back."""
        self.probe_patience = 1.0
        """Seconds after which a probe without an answer counts as not refused."""
        self._sent = (0.0, 0.0, 0.0)
        self._last_departure = -math.inf
        self._buckets: dict[Resource, Bucket] = {}
        self._limited: tuple[Bucket, ...] = ()
        self._is_probe_due = False
        self._probe: Ticket | None = None
        self._probe_until = -math.inf
        self._is_braked = False

    def __repr__(self) -> str:
        return f"<Limiter {self.in_flight}/{self.concurrency} {list(self._limited)}>"

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The limited resources."""
        return self._limited

    @property
    def sent(self) -> tuple[float, float, float]:
        """Requests, input and output tokens granted so far, as estimated."""
        return self._sent

    def admit(self, now: float, cost: Cost) -> Ticket | Wait:
        """Take everything that `cost` needs, or nothing and say when to ask again and what binds."""
        if self._is_braked and (wait := self._braked(now)) is not None:
            return wait
        if self.in_flight >= self.concurrency:
            return Wait(math.inf, Cause.CONCURRENCY)
        if self._limited and (wait := self._short(now, cost)) is not None:
            return wait
        for bucket in self._limited:
            bucket.take(bucket.amount(*cost))
        self.in_flight += 1
        self._last_departure = now
        requests, inputs, outputs = self._sent
        self._sent = (requests + 1.0, inputs + cost.input_tokens, outputs + cost.output_tokens)
        ticket = Ticket(now, cost, self.in_flight, self._sent, self._limited)
        if self._is_probe_due:
            self._is_probe_due = False
            self._probe = ticket
            self._probe_until = now + self.probe_patience
        return ticket

    def settle(self, now: float, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        """The request ended: free its slot, charge what it really used."""
        self._close(now, ticket, input_tokens, output_tokens, 1)

    def release(self, now: float, ticket: Ticket) -> None:
        """The request was refused or never sent: free its slot, charge nothing."""
        self._close(now, ticket, 0.0, 0.0, 0)

    def share(self, cost: Cost) -> float:
        """Return the largest part of a limited resource that `cost` takes, in seconds of its rate."""
        rated = [bucket.amount(*cost) / bucket.rate for bucket in self._limited if bucket.rate > 0.0]
        return max(rated, default=1.0)

    def hold(self, until: float, *, is_asked: bool) -> bool:
        """Let nothing leave before `until`; return whether that extends the hold.

        `is_asked`: the provider asked for it, so one probe goes first when it ends.
        """
        if until <= self.hold_until:
            return False
        self.hold_until = until
        if is_asked:
            self._is_probe_due = True
            self._probe = None
        self._is_braked = True
        return True

    def pause(self) -> None:
        """Grant nothing until `resume`."""
        self.is_paused = True
        self._is_braked = True

    def resume(self) -> None:
        """Go on; the levels never rose above their capacity meanwhile."""
        self.is_paused = False

    def space(self, gap_s: float) -> None:
        """Keep departures at least `gap_s` apart from now on; 0: no spacing."""
        self.min_gap = gap_s
        self._is_braked = True

    def delay_canary(self, until: float) -> None:
        """Let nothing leave before `until`, which may be earlier than before."""
        if until != self.canary_at:
            self.canary_at = until
            self._is_braked = True

    def limit(self, now: float, resource: Resource, rate: float, capacity: float) -> None:
        """Limit a resource from `now` on: a new bucket is full, the level of an old one never rises."""
        bucket = self._buckets.get(resource)
        if bucket is None:
            self._buckets[resource] = Bucket(resource, now, rate, capacity)
            self._limited = tuple(self._buckets.values())
        else:
            bucket.retune(now, rate, capacity)

    def unlimit(self, resource: Resource) -> None:
        """Take the limit off a resource."""
        if self._buckets.pop(resource, None) is not None:
            self._limited = tuple(self._buckets.values())

    def lower(self, now: float, resource: Resource, level: float) -> None:
        """Bring a bucket down to `level`, where the provider has shown that it holds no more."""
        if (bucket := self._buckets.get(resource)) is not None:
            bucket.lower(now, level)

    def correct(
        self, now: float, resource: Resource, ticket: Ticket, limit: float, remaining: float
    ) -> tuple[float, float] | None:
        """Lower a level to what the answer to `ticket` says is left; return (old, new) where it did.

        Only downwards, since a header tells the server's past; and only beyond the slack of one
        request and 2 % of the limit, since a correction on every answer costs throughput. What the
        bucket refilled since the request left counts for it: the header is that old at the most.
        """
        bucket = self._buckets.get(resource)
        if bucket is None:
            return None
        bucket.advance(now)
        requests, inputs, outputs = (
            total - then for total, then in zip(self._sent, ticket.sent, strict=True)
        )
        sent_since = requests if resource is Resource.REQ else bucket.amount(inputs, outputs)
        refilled = bucket.rate * max(0.0, now - ticket.started_at)
        left = min(limit, remaining + refilled) - sent_since
        slack = max(1.0, bucket.amount(*ticket.cost))
        if bucket.level <= left + slack + 0.02 * limit:
            return None
        old = bucket.level
        bucket.lower(now, left)
        return old, left

    def _close(self, now: float, ticket: Ticket, inputs: float, outputs: float, requests: int) -> None:
        if not ticket.is_open:
            return
        ticket.close(now, inputs, outputs, requests)
        self.in_flight -= 1
        if ticket is self._probe:
            self._probe = None

    def _short(self, now: float, cost: Cost) -> Wait | None:
        """Return which bucket is short for the longest, if any is."""
        latest, binding = now, None
        for bucket in self._limited:
            ready_at = bucket.ready_at(now, bucket.amount(*cost))
            if ready_at > latest:
                latest, binding = ready_at, bucket
        if binding is None:
            return None
        return Wait(latest, Cause.TOKENS if binding.resource.is_tokens else Cause.REQUESTS)

    def _braked(self, now: float) -> Wait | None:
        """Return what stops all, whatever they cost; take the brake off where nothing does any more."""
        if self.is_paused:
            return Wait(math.inf, Cause.PAUSE)
        if now < self.hold_until:
            return Wait(self.hold_until, Cause.COOLDOWN)
        if now < self.canary_at:
            return Wait(self.canary_at, Cause.COOLDOWN)
        if self._probe is not None and now < self._probe_until:
            return Wait(self._probe_until, Cause.COOLDOWN)
        if now < self._last_departure + self.min_gap:
            return Wait(self._last_departure + self.min_gap, Cause.REQUESTS)
        self._is_braked = self.min_gap > 0.0 or self._is_probe_due
        return None
