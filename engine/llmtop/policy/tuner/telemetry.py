"""What the tuner shows of itself: figures and words for the panel, `show` and the JSON progress."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from llmtop.policy.tuner.words import Ended, Mode, Phase

if TYPE_CHECKING:
    from llmtop.policy.tuner.tuner import Tuner

_EVERY_S = 10.0
_SAMPLES = 120
_RECENT = 6

_PHASES = {
    Phase.START: "start: growing with every answer",
    Phase.PROBE: "probe: is there more?",
    Phase.CLIMB: "climb: back to where it was",
    Phase.HOLD: "hold",
}
_ENDED = {
    Ended.LOSS: "the provider refused more",
    Ended.DELAY: "more brought no throughput",
    Ended.MAX: "the bound is reached",
}


class _Sample(NamedTuple):
    at: float
    concurrency: int
    good: int
    answers: int
    refused: int


class Telemetry:
    """Goodput and refusals of the last 20 minutes, one sample in 10 s."""

    def __init__(self) -> None:
        self._good = self._answers = self._refused = 0
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES + 1)

    def answered(self, items_ok: int, *, is_refusal: bool) -> None:
        """Count one answer."""
        self._answers += 1
        self._good += items_ok
        self._refused += is_refusal

    def tick(self, now: float, concurrency: int) -> None:
        """Take a sample where one is due."""
        if not self._samples or now >= self._samples[-1].at + _EVERY_S:
            self._samples.append(_Sample(now, concurrency, self._good, self._answers, self._refused))

    @property
    def goodput(self) -> float:
        """Good items a second over the last minute."""
        first, last = self._recent()
        return 0.0 if last.at <= first.at else (last.good - first.good) / (last.at - first.at)

    @property
    def refusals_per_1000(self) -> float:
        """Of the answers of the last minute."""
        first, last = self._recent()
        return 1000.0 * (last.refused - first.refused) / max(1, last.answers - first.answers)

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """(concurrency, good items a second) of each 10 s, oldest first."""
        samples = list(self._samples)
        pairs = itertools.pairwise(samples)
        return tuple((float(a.concurrency), (b.good - a.good) / (b.at - a.at)) for a, b in pairs)

    def _recent(self) -> tuple[_Sample, _Sample]:
        samples = self._samples
        if not samples:
            return _Sample(0.0, 0, 0, 0, 0), _Sample(0.0, 0, 0, 0, 0)
        return samples[max(0, len(samples) - 1 - _RECENT)], samples[-1]


def phase_words(tuner: Tuner) -> str:
    """Say what the tuner is doing."""
    if tuner.breaker.is_open:
        return "outage: only canaries leave"
    if tuner.is_at_floor:
        return "throttled by provider: at the floor, and still refused"
    if tuner.mode is Mode.RATE:
        return "paced: the provider limits the rate"
    phase = tuner.slots.phase
    return f"hold: {_ENDED[tuner.slots.ended]}" if phase is Phase.HOLD else _PHASES[phase]


def next_step(tuner: Tuner, now: float) -> str:
    """Say what is tried next, and when."""
    if tuner.breaker.is_open:
        return f"a canary in {max(0.0, tuner.canary_at - now):.0f} s"
    if tuner.mode is Mode.RATE:
        learners = [learner for learner in (tuner.requests, tuner.tokens) if learner.pace is not None]
        if not learners:
            return "keeps the stated limit"
        if any(learner.is_probing for learner in learners):
            return "looks for a higher rate now"
        return f"looks for a higher rate in {max(0.0, learners[0].next_probe_at - now):.0f} s"
    if tuner.slots.phase is not Phase.HOLD:
        return "grows while every slot is used and nobody complains"
    if tuner.slots.ended is Ended.LOSS:
        return f"looks for more slots in {max(0.0, tuner.slots.next_probe_at - now):.0f} s, if all are used"
    if tuner.slots.ended is Ended.DELAY:
        return f"tests fewer or more in {max(0.0, tuner.slots.next_test_at - now):.0f} s, if all are used"
    return "watches latency and refusals"


def evidence_words(tuner: Tuner, now: float) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of what the next decision rests on."""
    traffic, telemetry = tuner.traffic, tuner.telemetry
    latency = "-" if traffic.latency_s is None else f"{traffic.latency_s:.2f} s"
    rows = [
        ("goodput", f"{telemetry.goodput:.2f} items/s"),
        ("sent", f"{traffic.rate(now, 30.0).requests:.2f} requests/s"),
        ("refused", f"{telemetry.refusals_per_1000:.1f} of 1,000"),
        ("latency", latency),
        ("latency against its best", f"{tuner.slots.latency_ratio:.2f}"),
        ("kind of limit", f"{tuner.mode.value} (evidence {tuner.evidence.kind:+.2f})"),
    ]
    for learner, unit in ((tuner.requests, "requests/s"), (tuner.tokens, "tokens/s")):
        if learner.pace is not None:
            rows.append(("learned rate", f"{learner.pace:.4g} {unit}"))
    return tuple(rows)
