"""A rate that nobody declared, learned from being refused: of requests, or of tokens.

On a refusal: estimate the refill from what was accepted between two moments at which the bucket
was empty, pace a little below it, and look for more after a gap. A bucket explains only so much
excess; beyond that the limit has risen. One reaction an episode.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from llmtop.config.schema import TunerConfig
from llmtop.policy.tuner.traffic import Amount, Traffic
from llmtop.policy.tuner.words import Journal

_CLUSTER_S = 10.0
_CONFIRM_S = 60.0
_UNCONFIRMED_GAP_S, _MIN_GAP_S, _MAX_GAP_S = 4.0, 8.0, 120.0
_EXCESS_SPREAD_S = 25.0
_STEP_S = 8.0
_BETWEEN_RISES_S, _LARGEST_RISE = 5.0, 0.33
_FLOOR = 0.02
"""Requests a second that are tried at the least: one a minute, so that nothing freezes."""
_TELLING = 4.0
"""A bucket of tokens refuses before it is empty: what was accepted must be many times the refused request."""
_LONGEST_BURST_S = 10.0
"""A burst that is inferred from a fresh start is believed up to this many seconds of the refill."""
_USED = 0.85
_STRIKES, _STRIKES_S = 3, 60.0
_RAMP_GROWTH, _RAMP_S = 0.5, 900.0


class _Refusal(NamedTuple):
    at: float
    accepted: Amount


class _Excess(NamedTuple):
    rate: float
    amount: float


class RateLearner:
    """The refill rate of one resource (`is_tokens`: tokens, else requests), per second.

    `pace` is the set-point; None: not limited by anything learned. `cap` is a declared or reported
    limit: it is believed until it was refused three times in a minute.
    """

    def __init__(self, tuning: TunerConfig, traffic: Traffic, journal: Journal, *, is_tokens: bool) -> None:
        self.pace: float | None = None
        self.cap: float | None = None
        self.is_tokens = is_tokens
        self.episodes = 0
        """Refusals that were reacted to since it began to learn."""
        self.is_pinned = False
        """A person fixed the rate: a refusal only holds."""
        self._tuning = tuning
        self._traffic = traffic
        self._journal = journal
        self._refused_size = 1.0
        self._refill: float | None = None
        self._burst = 0.0
        self._bursts: deque[_Excess] = deque(maxlen=4)
        self._stack: list[float] = []
        self._first: _Refusal | None = None
        self._last: _Refusal | None = None
        self._cluster: _Refusal | None = None
        self._reset: _Refusal | None = None
        self._strikes: deque[float] = deque(maxlen=_STRIKES)
        self._slow_until = -1e9
        self._gap_s = _UNCONFIRMED_GAP_S
        self._next_probe_at = 0.0
        self._inc = 0.0
        self._probe: _Refusal | None = None
        self._stepped_at = 0.0
        self._has_risen = False
        self._ramp: tuple[float, float] | None = None
        self._used_at = 0.0

    @property
    def binding(self) -> float | None:
        """What limits this resource, learned or stated."""
        return self.cap if self.pace is None else self.pace

    @property
    def is_probing(self) -> bool:
        """Whether it sends more than the known refill to look for more."""
        return self._probe is not None

    @property
    def next_probe_at(self) -> float:
        """When more is looked for again."""
        return self._next_probe_at

    def forget(self, now: float, why: str) -> None:
        """Nothing is known any more."""
        self._set_pace(now, None, why)
        self._refill = None
        self._probe = self._last = self._cluster = self._reset = None
        self._stack.clear()
        self._bursts.clear()
        self._burst = 0.0
        self.episodes = 0

    def refused(self, now: float, wait_s: float | None, tokens: float, *, is_ramp: bool) -> float:
        """A request of `tokens` was refused, which opens an episode; return the seconds to hold all for."""
        self._refused_size = tokens if self.is_tokens else 1.0
        self._strikes.append(now)
        is_struck = len(self._strikes) == _STRIKES and now - self._strikes[0] <= _STRIKES_S
        is_believed = self.cap is not None and self._refill is None and not is_struck
        if is_believed or self.is_pinned:
            return wait_s if wait_s is not None else min(1.0, self._unit / max(self.cap or 1.0, 1e-3))
        accepted = self._traffic.accepted(now)
        why = self._estimate(now, accepted, wait_s)
        if self.episodes == 0:
            self._first = _Refusal(now, accepted)
        refill = max(self._refill or 0.0, _FLOOR * self._unit)
        if self.cap is not None:
            refill = min(refill, self.cap)
        self._refill = refill
        if is_ramp:
            self._ramp = (now, refill)
        if wait_s is not None and wait_s >= 5.0:
            self._reset = _Refusal(now + wait_s, accepted)
        self._last = _Refusal(now, accepted)
        self.episodes += 1
        if not self._bursts and self.episodes > 1:
            self._burst = self._first_burst(refill)
        self._slow_until = now + (8.0 if self.is_tokens else 4.0)
        self._end_probe(now)
        self._apply(now, why)
        return wait_s if wait_s is not None else min(5.0, self._unit / refill)

    def tick(self, now: float) -> None:
        """Growth of the rate."""
        refill = self._refill
        if refill is None:
            return
        probe = self._probe
        if probe is None:
            if now >= self._slow_until:
                self._apply(now, "the bucket has refilled")
            if now >= self._next_probe_at and self._is_used(now):
                self._begin_probe(now, refill)
            return
        if self._is_used(now):
            self._used_at = now
        elif now > self._used_at + 20.0:
            self._end_probe(now)
            self._apply(now, "not used")
            return
        self._step_probe(now, refill, probe)

    @property
    def _unit(self) -> float:
        """One request in units of this resource."""
        return max(1.0, self._traffic.tokens_per_request) if self.is_tokens else 1.0

    def _of(self, amount: Amount) -> float:
        return amount.tokens if self.is_tokens else amount.requests

    def _since(self, accepted: Amount, then: _Refusal) -> float:
        return max(0.0, self._of(accepted) - self._of(then.accepted))

    def _first_burst(self, refill: float) -> float:
        """What passed above the refill before the first refusal: the bucket was full at the start."""
        first, start = self._first, self._traffic.started_at
        if first is None or start is None:
            return 0.0
        seen = self._of(first.accepted) - refill * (first.at - start)
        return max(0.0, min(seen, _LONGEST_BURST_S * refill))

    def _estimate(self, now: float, accepted: Amount, wait_s: float | None) -> str:
        """Set `_refill` by the first rule that applies; return why."""
        last, refill = self._last, self._refill
        if refill is None or last is None:
            self._cluster = _Refusal(now, accepted)
            self._refill = 0.7 * self._of(self._traffic.rate(now, 5.0))
            return "first refusal: 0.7 of the last 5 s"
        since = now - last.at
        is_clustered = since <= _CLUSTER_S
        if not is_clustered:
            self._cluster = _Refusal(now, accepted)
        reset = self._reset
        if wait_s is not None and wait_s >= 5.0 and reset is not None and now + wait_s >= reset.at + 20.0:
            count = self._since(accepted, reset)
            self._refill = count / (now + wait_s - reset.at)
            return f"{count:.0f} accepted in a window of {now + wait_s - reset.at:.0f} s"
        if is_clustered:
            return self._estimate_in_cluster(now, accepted, refill)
        if self._probe is not None:
            return self._estimate_in_probe(now, accepted, refill, self._probe)
        if self.episodes == 1 and since <= _CONFIRM_S:
            count = self._since(accepted, last)
            self._refill = count / since
            return f"{count:.0f} accepted in {since:.1f} s between refusals"
        self._refill = 0.95 * refill
        return "refused at a rate that used to hold"

    def _estimate_in_cluster(self, now: float, accepted: Amount, refill: float) -> str:
        cluster = self._cluster
        assert cluster is not None  # a refusal came before this one
        span = now - cluster.at
        requests = accepted.requests - cluster.accepted.requests
        count = self._since(accepted, cluster)
        is_telling = count >= _TELLING * self._refused_size or not self.is_tokens
        if is_telling and ((span >= 2.0 and requests >= 6) or (span >= 0.5 and requests >= 12)):
            self._refill = count / span
            return f"{count:.0f} accepted in {span:.1f} s between refusals"
        if self._stack:
            self._refill = self._stack.pop()
            return "the rise was an illusion"
        self._refill = 0.8 * refill
        return "refused again at once"

    def _estimate_in_probe(self, now: float, accepted: Amount, refill: float, probe: _Refusal) -> str:
        if self._has_risen:
            return f"risen to {refill:.3g}/s, then refused"
        sent = refill + self._inc
        excess = max(0.0, self._since(accepted, probe) - refill * (now - probe.at))
        self._bursts.append(_Excess(sent, excess))
        self._burst = min(seen.amount for seen in self._bursts)
        rates = [seen.rate for seen in self._bursts]
        amounts = [seen.amount for seen in self._bursts]
        is_same_rate = len(rates) >= 3 and max(rates) <= 1.12 * min(rates)
        if is_same_rate and max(amounts) > 1.5 * min(amounts) + 2.0 * self._unit:
            self._refill = max(refill, 0.96 * min(rates))
            self._bursts.clear()
            return f"refused {len(rates)} times at the same rate"
        return f"probe refused at {sent:.3g}/s, {excess:.0f} above the refill"

    def _begin_probe(self, now: float, refill: float) -> None:
        room = self._room(now)
        if room is not None and refill >= 0.999 * room:
            if self._ramp is None:
                self.forget(now, "back at the stated limit")
            return
        first = (2.0 * self._burst + 3.0 * self._unit) / _EXCESS_SPREAD_S
        self._inc = min(max(first, 0.03 * refill), 0.25 * refill)
        if self.cap is not None:
            self._inc = max(0.02 * refill, 0.25 * (self.cap - refill))
        self._probe = _Refusal(now, self._traffic.accepted(now))
        self._stepped_at = self._used_at = now
        self._has_risen = False
        self._apply(now, "probe: is there more?")

    def _step_probe(self, now: float, refill: float, probe: _Refusal) -> None:
        accepted = self._traffic.accepted(now)
        excess = self._since(accepted, probe) - refill * (now - probe.at)
        is_settled = not self._has_risen or now >= probe.at + _BETWEEN_RISES_S
        if is_settled and excess > 2.0 * self._burst + 3.0 * self._unit:
            self._stack.append(refill)
            del self._stack[:-8]
            self._refill = refill + self._inc
            self._inc = min(2.0 * self._inc, _LARGEST_RISE * self._refill)
            self._probe = _Refusal(now, accepted)
            self._stepped_at = now
            self._has_risen = True
            self._apply(now, f"risen: no bucket explains {excess:.0f} above {refill:.3g}/s")
        elif now >= self._stepped_at + _STEP_S:
            self._stepped_at = now
            self._inc = min(1.5 * self._inc, 0.4 * refill)
            self._apply(now, "no refusal for 8 s")
        room = self._room(now)
        if room is not None and self._refill is not None and self._refill + self._inc >= room:
            if self._refill >= 0.999 * room:
                self._probe = None
                self._refill = room
            self._inc = max(0.0, room - self._refill)

    def _end_probe(self, now: float) -> None:
        """Choose the next gap."""
        is_risen, was_probing = self._has_risen, self._probe is not None
        self._probe, self._inc, self._has_risen = None, 0.0, False
        longest = 1.0 / max(1e-9, self._tuning.probe_budget * self._traffic.rate(now, 30.0).requests)
        longest = max(_MIN_GAP_S, min(_MAX_GAP_S, longest))
        if self.episodes <= 1:
            self._gap_s = _UNCONFIRMED_GAP_S
        elif is_risen:
            self._gap_s = max(_MIN_GAP_S, 0.35 * longest)
        elif was_probing:
            self._gap_s = max(_MIN_GAP_S, min(longest, 2.0 * self._gap_s))
        else:
            self._gap_s = max(_MIN_GAP_S, min(longest, self._gap_s))
        self._next_probe_at = now + self._gap_s

    def _room(self, now: float) -> float | None:
        """The highest refill that may be looked for: a stated limit, or slow growth after "slow down"."""
        if self._ramp is None:
            return self.cap
        at, rate = self._ramp
        ramp = rate * (1.0 + _RAMP_GROWTH * (now - at) / _RAMP_S)
        return ramp if self.cap is None else min(self.cap, ramp)

    def _is_used(self, now: float) -> bool:
        pace = self.pace or 0.0
        span = min(30.0, max(5.0, 20.0 * self._unit / max(pace, 1e-9)))
        return self._of(self._traffic.rate(now, span)) >= _USED * pace

    def _apply(self, now: float, why: str) -> None:
        refill = self._refill
        if refill is None:
            return
        if self._probe is not None:
            pace = refill + self._inc
        else:
            pace = self._tuning.margin_learned * refill
            if now < self._slow_until:
                pace *= 0.85 if self.is_tokens else 0.95
        self._set_pace(now, pace, why)

    def _set_pace(self, now: float, pace: float | None, why: str) -> None:
        if pace == self.pace:
            return
        old = "none" if self.pace is None else f"{self.pace:.4g}/s"
        new = "none" if pace is None else f"{pace:.4g}/s"
        self.pace = pace
        self._journal.note(now, "rate:total" if self.is_tokens else "rate:req", old, new, why)
