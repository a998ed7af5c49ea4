"""The refill of a bucket that nobody described, estimated from being refused.

At a refusal the bucket is empty, so what was accepted between two refusals is what was refilled. The
rules stand in order; the first that applies gives the estimate and its reason.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_CLUSTER_S = 10.0
_CONFIRM_S = 60.0
_LONG_WAIT_S, _WINDOW_S = 5.0, 20.0
_TELLING = 4.0
"""A bucket of tokens refuses before it is empty: what was accepted must be many times the refused request."""
_LONGEST_BURST_S = 10.0
"""A burst that is inferred from a fresh start is believed up to this many seconds of the refill."""
_RISES = 8


class Mark(NamedTuple):
    """What had been accepted at a moment: requests, and the amount of the resource."""

    at: float
    requests: float
    amount: float


class Probe(NamedTuple):
    """A time during which more than the refill is sent."""

    since: Mark
    extra: float
    """Above the refill, per second."""
    has_risen: bool


class Refused(NamedTuple):
    """The refusal that opens an episode."""

    now: Mark
    wait_s: float | None
    size: float
    """Amount that the refused request asked for; 0 where requests are counted."""
    recent_rate: float
    """Amount a second over the last 5 s."""


class _Excess(NamedTuple):
    rate: float
    amount: float


class Refill:
    """The estimate of one bucket: `rate` a second (None: nothing known), and the `burst` it grants."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self.burst = 0.0
        self.episodes = 0
        self._excesses: deque[_Excess] = deque(maxlen=4)
        self._rises: deque[float] = deque(maxlen=_RISES)
        self._first: Mark | None = None
        self._last: Mark | None = None
        self._cluster: Mark | None = None
        self._reset: Mark | None = None

    def refused(self, refused: Refused, unit: float, started_at: float, probe: Probe | None) -> str:
        """Take in a refusal; return the reason of the new estimate. `unit`: one request's amount."""
        now = refused.now
        why = self._estimate(refused, unit, probe)
        self._first = self._first or now
        if refused.wait_s is not None and refused.wait_s >= _LONG_WAIT_S:
            self._reset = now._replace(at=now.at + refused.wait_s)
        self._last = now
        self.episodes += 1
        if not self._excesses and self.episodes > 1:
            self.burst = self._burst_of_start(started_at)
        return why

    def rise(self, rate: float) -> None:
        """The limit has risen to `rate`; what was known before is kept, should it be an illusion."""
        if self.rate is not None:
            self._rises.append(self.rate)
        self.rate = rate

    def _burst_of_start(self, started_at: float) -> float:
        """What passed above the refill before the first refusal: the bucket was full at the start."""
        first, rate = self._first, self.rate
        if first is None or rate is None:
            return 0.0
        seen = first.amount - rate * (first.at - started_at)
        return max(0.0, min(seen, _LONGEST_BURST_S * rate))

    def _estimate(self, refused: Refused, unit: float, probe: Probe | None) -> str:
        now, last, rate = refused.now, self._last, self.rate
        if rate is None or last is None:
            self._cluster = now
            self.rate = 0.7 * refused.recent_rate
            return "first refusal: 0.7 of the last 5 s"
        since = now.at - last.at
        if since > _CLUSTER_S:
            self._cluster = now
        if (why := self._of_window(refused)) is not None:
            return why
        if since <= _CLUSTER_S:
            return self._of_cluster(refused, self._cluster or last, rate)
        if probe is not None:
            return self._of_probe(now, rate, unit, probe)
        if self.episodes == 1 and since <= _CONFIRM_S:
            return self._between(last, now)
        self.rate = 0.95 * rate
        return "refused at a rate that used to hold"

    def _of_window(self, refused: Refused) -> str | None:
        """Two long waits that end well apart: a window, and what it grants."""
        wait_s, reset = refused.wait_s, self._reset
        if wait_s is None or wait_s < _LONG_WAIT_S or reset is None:
            return None
        ends = refused.now._replace(at=refused.now.at + wait_s)
        if ends.at < reset.at + _WINDOW_S:
            return None
        return self._between(reset, ends)

    def _of_cluster(self, refused: Refused, cluster: Mark, rate: float) -> str:
        """Refused again soon: the bucket was empty at both ends, if enough went in between."""
        now = refused.now
        span, requests = now.at - cluster.at, now.requests - cluster.requests
        is_telling = now.amount - cluster.amount >= _TELLING * refused.size
        if is_telling and ((span >= 2.0 and requests >= 6) or (span >= 0.5 and requests >= 12)):
            return self._between(cluster, now)
        if self._rises:
            self.rate = self._rises.pop()
            return "the rise was an illusion"
        self.rate = 0.8 * rate
        return "refused again at once"

    def _of_probe(self, now: Mark, rate: float, unit: float, probe: Probe) -> str:
        """Refused while more was sent: what went through above the refill is the burst."""
        if probe.has_risen:
            return f"risen to {rate:.3g}/s, then refused"
        sent = rate + probe.extra
        excess = max(0.0, now.amount - probe.since.amount - rate * (now.at - probe.since.at))
        self._excesses.append(_Excess(sent, excess))
        rates = [seen.rate for seen in self._excesses]
        amounts = [seen.amount for seen in self._excesses]
        self.burst = min(amounts)
        is_same_rate = len(rates) >= 3 and max(rates) <= 1.12 * min(rates)
        if is_same_rate and max(amounts) > 1.5 * min(amounts) + 2.0 * unit:
            self.rate = max(rate, 0.96 * min(rates))
            self._excesses.clear()
            return f"refused {len(rates)} times at the same rate"
        return f"probe refused at {sent:.3g}/s, {excess:.0f} above the refill"

    def _between(self, one: Mark, two: Mark) -> str:
        """Between two moments at which the bucket was empty, what was accepted is what was refilled."""
        count, span = max(0.0, two.amount - one.amount), two.at - one.at
        self.rate = count / span
        return f"{count:.0f} accepted in {span:.1f} s between refusals"
