"""A rate that nobody declared, learned from being refused: of requests, or of tokens.

On a refusal: estimate the refill from what was accepted between two moments at which the bucket
was empty, pace a little below it, and look for more after a gap. A bucket explains only so much
excess; beyond that the limit has risen. One reaction an episode.
"""

from __future__ import annotations

from collections import deque

from llmtop.config.schema import TunerConfig
from llmtop.policy.tuner.refill import Mark, Probe, Refill, Refused
from llmtop.policy.tuner.traffic import Amount, Traffic
from llmtop.policy.tuner.words import Journal

_UNCONFIRMED_GAP_S, _MIN_GAP_S, _MAX_GAP_S = 4.0, 8.0, 120.0
_EXCESS_SPREAD_S = 25.0
_STEP_S = 8.0
_BETWEEN_RISES_S, _LARGEST_RISE = 5.0, 0.33
_FLOOR = 0.02
"""Requests a second that are tried at the least: one a minute, so that nothing freezes."""
_USED, _UNUSED_S = 0.85, 20.0
_STRIKES, _STRIKES_S = 3, 60.0
_RAMPS, _RAMP_GROWTH, _RAMP_S = 2, 0.5, 900.0
"""Told twice to slow down, growth is bounded for the rest of the run; once may be a form of words."""


class RateLearner:
    """The refill rate of one resource (`is_tokens`: tokens, else requests), per second.

    `pace` is the set-point; None: not limited by anything learned. `cap` is a declared or reported
    limit: it is believed until it was refused three times in a minute.
    """

    def __init__(self, tuning: TunerConfig, traffic: Traffic, journal: Journal, *, is_tokens: bool) -> None:
        self.pace: float | None = None
        self.cap: float | None = None
        self.is_tokens = is_tokens
        self.version = 0
        """Grows with every change of the pace and every refusal."""
        self.is_pinned = False
        """A person fixed the rate: a refusal only holds."""
        self.next_probe_at = 0.0
        """When more is looked for again."""
        self._tuning = tuning
        self._traffic = traffic
        self._journal = journal
        self._refill = Refill()
        self._strikes: deque[float] = deque(maxlen=_STRIKES)
        self._slow_until = -1e9
        self._gap_s = _UNCONFIRMED_GAP_S
        self._probe: Probe | None = None
        self._stepped_at = self._used_at = 0.0
        self._ramps = 0
        self._ramp: tuple[float, float] | None = None

    @property
    def episodes(self) -> int:
        """Refusals that were reacted to since it began to learn."""
        return self._refill.episodes

    @property
    def binding(self) -> float | None:
        """What limits this resource, learned or stated."""
        return self.cap if self.pace is None else self.pace

    @property
    def is_probing(self) -> bool:
        """Whether it sends more than the known refill to look for more."""
        return self._probe is not None

    def forget(self, now: float, why: str) -> None:
        """Nothing is known any more."""
        self._set_pace(now, None, why)
        self._refill = Refill()
        self._probe = None

    def refused(self, now: float, wait_s: float | None, tokens: float, *, is_ramp: bool) -> float:
        """A request of `tokens` was refused, which opens an episode; return the seconds to hold all for."""
        self._strikes.append(now)
        if self.is_pinned or self._is_stated_believed(now):
            return wait_s if wait_s is not None else min(1.0, self._unit / max(self.cap or 1.0, 1e-3))
        refill, traffic = self._refill, self._traffic
        recent = self._of(traffic.rate(now, 5.0))
        refused = Refused(self._mark(now), wait_s, tokens if self.is_tokens else 0.0, recent)
        why = refill.refused(refused, self._unit, traffic.started_at or 0.0, self._probe)
        rate = max(refill.rate or 0.0, _FLOOR * self._unit)
        refill.rate = rate if self.cap is None else min(rate, self.cap)
        self._ramps += is_ramp
        if is_ramp and self._ramps >= _RAMPS:
            self._ramp = (now, refill.rate)
        self._slow_until = now + (8.0 if self.is_tokens else 4.0)
        self.version += 1
        self._end_probe(now)
        self._apply(now, why)
        return wait_s if wait_s is not None else min(5.0, self._unit / rate)

    def tick(self, now: float) -> None:
        """Growth of the rate."""
        rate, probe = self._refill.rate, self._probe
        if rate is None:
            return
        if probe is None:
            if now >= self._slow_until:
                self._apply(now, "the bucket has refilled")
            if now >= self.next_probe_at and self._is_used(now):
                self._begin_probe(now, rate)
        elif self._is_used(now):
            self._used_at = now
            self._step_probe(now, rate, probe)
        elif now > self._used_at + _UNUSED_S:
            self._end_probe(now)
            self._apply(now, "not used")
        else:
            self._step_probe(now, rate, probe)

    def _is_stated_believed(self, now: float) -> bool:
        """Whether a stated limit still counts: until it was refused three times in a minute."""
        is_struck = len(self._strikes) == _STRIKES and now - self._strikes[0] <= _STRIKES_S
        return self.cap is not None and self._refill.rate is None and not is_struck

    @property
    def _unit(self) -> float:
        """One request in units of this resource."""
        return max(1.0, self._traffic.tokens_per_request) if self.is_tokens else 1.0

    def _of(self, amount: Amount) -> float:
        return amount.tokens if self.is_tokens else amount.requests

    def _mark(self, now: float) -> Mark:
        accepted = self._traffic.accepted(now)
        return Mark(now, accepted.requests, self._of(accepted))

    def _begin_probe(self, now: float, rate: float) -> None:
        room = self._room(now)
        if room is not None and rate >= 0.999 * room:
            if self._ramp is None:
                self.forget(now, "back at the stated limit")
            return
        first = (2.0 * self._refill.burst + 3.0 * self._unit) / _EXCESS_SPREAD_S
        extra = min(max(first, 0.03 * rate), 0.25 * rate)
        if self.cap is not None:
            extra = max(0.02 * rate, 0.25 * (self.cap - rate))
        self._probe = Probe(self._mark(now), extra, has_risen=False)
        self._stepped_at = self._used_at = now
        self._apply(now, "probe: is there more?")

    def _step_probe(self, now: float, rate: float, probe: Probe) -> None:
        mark = self._mark(now)
        excess = mark.amount - probe.since.amount - rate * (now - probe.since.at)
        is_settled = not probe.has_risen or now >= probe.since.at + _BETWEEN_RISES_S
        if is_settled and excess > 2.0 * self._refill.burst + 3.0 * self._unit:
            self._rise(mark, rate + probe.extra, probe.extra)
            self._apply(now, f"risen: no bucket explains {excess:.0f} above {rate:.3g}/s")
        elif now >= self._stepped_at + _STEP_S:
            self._stepped_at = now
            self._probe = probe._replace(extra=min(1.5 * probe.extra, 0.4 * rate))
            self._apply(now, "no refusal for 8 s")
        self._stay_below(self._room(now))

    def _rise(self, mark: Mark, rate: float, extra: float) -> None:
        self._refill.rise(rate)
        self._probe = Probe(mark, min(2.0 * extra, _LARGEST_RISE * rate), has_risen=True)
        self._stepped_at = mark.at

    def _stay_below(self, room: float | None) -> None:
        """Look for no more than the room that there is."""
        rate, probe = self._refill.rate, self._probe
        if room is None or rate is None or probe is None or rate + probe.extra < room:
            return
        if rate >= 0.999 * room:
            self._probe = None
            self._refill.rate = room
        else:
            self._probe = probe._replace(extra=room - rate)

    def _end_probe(self, now: float) -> None:
        """Choose the next gap."""
        probe, self._probe = self._probe, None
        longest = 1.0 / max(1e-9, self._tuning.probe_budget * self._traffic.rate(now, 30.0).requests)
        longest = max(_MIN_GAP_S, min(_MAX_GAP_S, longest))
        if self.episodes <= 1:
            self._gap_s = _UNCONFIRMED_GAP_S
        elif probe is not None and probe.has_risen:
            self._gap_s = max(_MIN_GAP_S, 0.35 * longest)
        else:
            factor = 1.0 if probe is None else 2.0
            self._gap_s = max(_MIN_GAP_S, min(longest, factor * self._gap_s))
        self.next_probe_at = now + self._gap_s

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
        rate = self._refill.rate
        if rate is None:
            return
        if self._probe is not None:
            pace = rate + self._probe.extra
        else:
            pace = self._tuning.margin_learned * rate
            if now < self._slow_until:
                pace *= 0.85 if self.is_tokens else 0.95
        self._set_pace(now, pace, why)

    def _set_pace(self, now: float, pace: float | None, why: str) -> None:
        if pace == self.pace:
            return
        old = "none" if self.pace is None else f"{self.pace:.4g}/s"
        new = "none" if pace is None else f"{pace:.4g}/s"
        self.pace = pace
        self.version += 1
        self._journal.note(now, "rate:total" if self.is_tokens else "rate:req", old, new, why)
