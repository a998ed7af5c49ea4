"""How a provider of each kind is made, with its truth (for the clairvoyant client) and its work."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.control.client import ALONE, Draw
from benchmarks.control.world import (
    Ceiling,
    Curve,
    FixedWindow,
    Limit,
    Pool,
    Queueing,
    Request,
    Service,
    Steady,
    Trouble,
    World,
)

from llmtop.config.schema import LimitsConfig, Range


@dataclass(frozen=True, slots=True)
class Truth:
    """What a clairvoyant client would set."""

    concurrency: int = 512
    request_rate: float | None = None
    token_rate: float | None = None
    pack: int = 1


@dataclass(slots=True)
class Setup:
    """One provider and the work for it."""

    world: World
    draw: Draw
    truth: Callable[[float], Truth]
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    packs: Range = ALONE
    statics: Sequence[Truth] = ()
    """What the clairvoyant client has to try, where the best is not known beforehand."""


def sizes(mean_out: float = 200.0, cv: float = 0.7, mean_in: float = 400.0, cv_in: float = 0.3) -> Draw:
    """Return a source of requests with lognormal sizes."""
    sigma, sigma_in = (math.sqrt(math.log(1.0 + c * c)) for c in (cv, cv_in))

    def draw(rng: random.Random, items: int) -> Request:
        out = sum(mean_out * math.exp(rng.gauss(0.0, sigma) - sigma * sigma / 2.0) for _ in range(items))
        tokens_in = mean_in * items * math.exp(rng.gauss(0.0, sigma_in) - sigma_in * sigma_in / 2.0)
        return Request(items, round(tokens_in), round(max(items, out)))

    return draw


def always(value: float) -> Curve:
    """Return a curve that does not change."""
    return lambda now: value


def stairs(values: Sequence[float], every_s: float) -> Curve:
    """Return a curve that takes the values in turn."""
    return lambda now: values[int(now // every_s) % len(values)]


def ceiling(slots: int, wait_s: float | None, base_s: float) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        world = World([Ceiling(always(slots), wait_s)], Steady(base_s, 0.01), rng)
        return Setup(world, sizes(), lambda now: Truth(slots))

    return make


def pooled(
    rate: float, burst: float, *, says_wait: bool, declared: bool = False, headers: bool = False
) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        pool = Pool(always(rate), burst, says_wait=says_wait, has_headers=headers)
        limits = LimitsConfig(requests_per_second=rate) if declared else LimitsConfig()
        return Setup(World([pool], Steady(), rng), sizes(), lambda now: Truth(512, rate), limits)

    return make


def windowed(
    limit: int, window_s: float, *, says_wait: bool, declared: bool = False, headers: bool = False
) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        phase = rng.uniform(0.0, window_s)
        window = FixedWindow(always(limit), window_s, phase, says_wait=says_wait, has_headers=headers)
        rate = limit / window_s
        limits = LimitsConfig(requests_per_second=rate) if declared else LimitsConfig()
        return Setup(World([window], Steady(), rng), sizes(), lambda now: Truth(512, rate), limits)

    return make


def tokens(
    rate: float, burst_s: float, cv: float, *, says_wait: bool, declared: bool = False
) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        pool = Pool(always(rate), burst_s * rate, is_tokens=True, says_wait=says_wait)
        limits = LimitsConfig(tokens_per_minute=60.0 * rate) if declared else LimitsConfig()
        draw = sizes(200.0, cv, 600.0, cv)
        return Setup(World([pool], Steady(), rng), draw, lambda now: Truth(512, None, rate), limits)

    return make


def soft(service: Callable[[], Service], levels: Sequence[int]) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        world = World([], service(), rng)
        return Setup(world, sizes(), lambda now: Truth(levels[0]), statics=[Truth(level) for level in levels])

    return make


def moving_ceiling(slots: Curve, wait_s: float | None) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        world = World([Ceiling(slots, wait_s)], Steady(0.5, 0.01), rng)
        return Setup(world, sizes(), lambda now: Truth(max(1, int(slots(now)))))

    return make


def moving_pool(rate: Curve, burst: float) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        world = World([Pool(rate, burst)], Steady(), rng)
        return Setup(world, sizes(), lambda now: Truth(512, rate(now)))

    return make


def neighbour(mean: float, swing: float, seed_shift: int) -> Callable[[random.Random], Setup]:
    """A ceiling shared with somebody whose use wanders (a random walk that is drawn back)."""

    def make(rng: random.Random) -> Setup:
        walk = random.Random(rng.random() + seed_shift)
        values, level = [], mean
        for _ in range(400):
            level += 0.1 * (mean - level) + walk.gauss(0.0, swing)
            values.append(max(4.0, level))
        slots = stairs(values, 5.0)
        world = World([Ceiling(slots, 1.0)], Steady(0.5, 0.01), rng)
        return Setup(world, sizes(), lambda now: Truth(max(1, int(slots(now)))))

    return make


def packed(binds: str) -> Callable[[random.Random], Setup]:
    """A model that loses an item now and then, more of them in large packs, behind one kind of limit."""

    def good(rng: random.Random, items: int) -> int:
        if rng.random() < (items / 50.0) ** 2:
            return 0
        return items - sum(rng.random() < 0.002 for _ in range(items))

    def draw(rng: random.Random, items: int) -> Request:
        out = sum(40.0 * math.exp(rng.gauss(-0.08, 0.4)) for _ in range(items))
        return Request(items, 300.0 + 60.0 * items, out + 10.0)

    def make(rng: random.Random) -> Setup:
        limits, truth = LimitsConfig(), Truth(512)
        parts: list[Limit] = []
        if binds == "slots":
            parts, truth = [Ceiling(always(30))], Truth(30)
        elif binds == "requests":
            limits, truth = LimitsConfig(requests_per_second=4.0), Truth(512, 4.0)
            parts = [Pool(always(4.0), 5.0)]
        else:
            limits, truth = LimitsConfig(tokens_per_minute=900_000.0), Truth(512, None, 15_000.0)
            parts = [Pool(always(15_000.0), 60_000.0, is_tokens=True)]
        world = World(parts, Steady(1.0, 0.01), rng, good=good)
        arms = [
            Truth(truth.concurrency, truth.request_rate, truth.token_rate, n)
            for n in (6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
        ]
        return Setup(world, draw, lambda now: truth, limits, Range(1, 8, 64), arms)

    return make


def troubled(trouble: Trouble, slots: int = 40) -> Callable[[random.Random], Setup]:
    def make(rng: random.Random) -> Setup:
        world = World([Ceiling(always(slots))], Steady(), rng, trouble=trouble)
        return Setup(world, sizes(), lambda now: Truth(slots))

    return make


def storm(share: float, length_s: float, every_s: float) -> Curve:
    """Return a share that comes for a while, again and again."""
    return lambda now: share if now % every_s >= every_s - length_s else 0.0


def anything(rng: random.Random) -> Setup:
    """A provider that nobody has seen."""
    slots, rate = int(math.exp(rng.uniform(math.log(4), math.log(200)))), None
    parts: list[Limit] = [Ceiling(always(slots), rng.choice([None, None, 1.0, 3.0]))]
    service: Service = Steady(rng.uniform(0.1, 2.0), rng.uniform(0.002, 0.02))
    truth = Truth(slots)
    kind = rng.choice(["slots", "slots", "pool", "minute", "queue"])
    if kind == "pool":
        rate = math.exp(rng.uniform(math.log(1.0), math.log(30.0)))
        parts, truth = (
            [Pool(always(rate), rng.uniform(1.0, 30.0), says_wait=rng.random() < 0.7)],
            Truth(512, rate),
        )
    elif kind == "minute":
        limit = int(math.exp(rng.uniform(math.log(60), math.log(1200))))
        parts = [FixedWindow(always(limit), 60.0, rng.uniform(0, 60), says_wait=True)]
        truth = Truth(512, limit / 60.0)
    elif kind == "queue":
        parts, service = [], Queueing(slots, 0.2, 0.01)
        truth = Truth(int(1.3 * slots) + 1)
    world = World(parts, service, rng, rtt_s=rng.uniform(0.02, 0.15))
    return Setup(world, sizes(rng.uniform(50, 400), rng.uniform(0.4, 0.9)), lambda now: truth)
