"""All meters of one run, and the views that a snapshot takes from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmtop.model import ItemError, Usage
from llmtop.policy.meters.durations import Durations
from llmtop.policy.meters.rates import Ring, eta_s
from llmtop.policy.meters.troubles import TroubleCost, Troubles
from llmtop.snapshot import ErrorsView, LatencyView, ThroughputView

_SENT, _ITEMS, _INPUT, _OUTPUT = range(4)
_SHORT_S = 10.0
_LONG_S = 300.0
_HISTORY_S = 240
BATCH_WINDOW_S = 86_400.0
"""Batch jobs that ended before that say nothing about the present."""
_SURE_AFTER_S = 10.0
"""A rate over less than this says nothing about the hours to come."""


@dataclass(frozen=True, slots=True)
class MeterTotals:
    """What the ledger counted before this start of the run."""

    requests: int = 0
    retries: int = 0
    errors: ErrorsView = field(default_factory=ErrorsView)


class RunMeters:
    """Fed by events, each O(1); asked for views once a second. Memory does not grow with the run.

    `now` is a monotonic clock in seconds. Percentiles are over 5 minutes (of batch jobs: over a
    day), rates over 10 s, histories have one value a second.
    """

    def __init__(self, now: float, restored: MeterTotals | None = None) -> None:
        before = restored or MeterTotals()
        self._seconds = Ring(now, 1.0, int(_LONG_S) + 1, columns=4)
        self._request = Durations(_LONG_S)
        self._waiting = Durations(_LONG_S)
        self._lag = Durations(_LONG_S)
        self._batch = Durations(BATCH_WINDOW_S)
        self._troubles = Troubles(now, before.errors)
        self._requests = before.requests
        self._retries = before.retries
        self._first_item: float | None = None

    def sent(self, now: float, waited_s: float, is_retry: bool = False) -> None:
        """A call left, `waited_s` after it was ready to."""
        ring = self._seconds
        ring.columns[_SENT][ring.slot(now)] += 1.0
        self._waiting.add(now, waited_s)
        self._requests += 1
        if is_retry:
            self._retries += 1

    def answered(self, now: float, latency_s: float, usage: Usage | None) -> None:
        """A call was answered, whatever the answer; `usage` where it has one."""
        self._request.add(now, latency_s)
        if usage is not None:
            ring = self._seconds
            slot = ring.slot(now)
            ring.columns[_INPUT][slot] += usage.input_tokens
            ring.columns[_OUTPUT][slot] += usage.output_tokens

    def finished_items(self, now: float, count: int) -> None:
        """Items came to a result that is committed."""
        if self._first_item is None:
            self._first_item = now
        ring = self._seconds
        ring.columns[_ITEMS][ring.slot(now)] += count

    def troubled(self, now: float, at: float, error: ItemError, cost: TroubleCost, items: int = 1) -> None:
        """A call or an item went wrong; `at` is the wall clock, `cost` what it took away."""
        self._troubles.add(now, at, error, cost, items)

    def lagged(self, now: float, lag_s: float) -> None:
        """The event loop came back `lag_s` late."""
        self._lag.add(now, lag_s)

    def batch_ended(self, now: float, duration_s: float) -> None:
        """A provider's batch job ended."""
        self._batch.add(now, duration_s)

    def items_per_s_5min(self, now: float) -> float | None:
        """Items a second over the last 5 minutes; None until it says something, and when nothing finished."""
        if self._first_item is None or self._seconds.age(now) < _SURE_AFTER_S:
            return None
        return self._seconds.rate(now, _LONG_S, _ITEMS) or None

    def eta_s(self, now: float, pending: int) -> float | None:
        """Seconds to the last item by the rate of the last 5 minutes; None: unknown."""
        return eta_s(self.items_per_s_5min(now), pending)

    def throughput(self, now: float) -> ThroughputView:
        """Rates, histories and totals; states (in flight, queued, concurrency ...) the caller fills in."""
        ring = self._seconds
        requests = ring.whole(now, _HISTORY_S, _SENT)
        given, taken = ring.whole(now, _HISTORY_S, _INPUT), ring.whole(now, _HISTORY_S, _OUTPUT)
        return ThroughputView(
            requests_per_s=ring.rate(now, _SHORT_S, _SENT),
            items_per_s=ring.rate(now, _SHORT_S, _ITEMS),
            items_per_s_5min=self.items_per_s_5min(now),
            input_tokens_per_s=ring.rate(now, _SHORT_S, _INPUT),
            output_tokens_per_s=ring.rate(now, _SHORT_S, _OUTPUT),
            requests_per_s_max=max(requests, default=0.0),
            history_requests=requests,
            history_tokens=tuple(map(sum, zip(given, taken, strict=True))),
            requests=self._requests,
            retries=self._retries,
            throttled_429=self._troubles.status_429,
        )

    def latency(self, now: float) -> LatencyView:
        """Percentiles of requests, of waiting, of batch jobs, and of the event loop's lag."""
        return LatencyView(
            request=self._request.percentiles(now),
            waiting=self._waiting.percentiles(now),
            batch=self._batch.percentiles(now),
            loop_lag_p99_s=self._lag.percentiles(now).p99,
            request_p95_10min_s=self._request.p95_median(now),
        )

    def errors(self, now: float, cooldown_s: float) -> ErrorsView:
        """Errors by kind; `cooldown_s` is what is left of the provider's cooldown."""
        return self._troubles.view(now, cooldown_s)
