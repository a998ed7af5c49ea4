"""Runs clients against providers and gives figures."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from benchmarks.control.client import Aimd, Client, Clock, Tally, settings_for
from benchmarks.control.providers import Setup, Truth
from benchmarks.control.scenarios import Scenario

from llmtop.config.schema import Range
from llmtop.policy.limiter import Resource


@dataclass(frozen=True, slots=True)
class Score:
    """One client in one world."""

    share: float
    """Of the clairvoyant client's goodput in the steady window."""
    refusals_per_1000: float
    refusals_per_min: float
    settle_s: float | None
    """Seconds from cold to 90 % of the steady goodput."""
    latency_ratio: float
    """Mean latency against the clairvoyant's."""
    cost_ratio: float
    tally: Tally
    ideal: float

    def without_tally(self) -> Score:
        """The same without its moments, small enough to be handed to another process."""
        return replace(self, tally=Tally())


def setup_of(scenario: Scenario, seed: int) -> Setup:
    """Return a fresh provider."""
    return scenario.make(random.Random(f"{scenario.name} {seed}"))


def clairvoyant(scenario: Scenario, seed: int) -> Tally:
    """Return the tally of a client that knows the truth; the best of all that have to be tried."""
    setup = setup_of(scenario, seed)
    tries = [_follow(scenario, seed, fixed) for fixed in setup.statics] or [_follow(scenario, seed, None)]
    best = max(tally.goodput(scenario.warm_s, scenario.end_s) for tally in tries)
    return next(t for t in tries if t.goodput(scenario.warm_s, scenario.end_s) >= 0.99 * best)


def _follow(scenario: Scenario, seed: int, fixed: Truth | None) -> Tally:
    setup, clock = setup_of(scenario, seed), Clock()
    first = fixed or setup.truth(0.0)

    def before(client: Client) -> None:
        limiter, now = client.steering.limiter, clock.now
        truth = fixed or setup.truth(now)
        limiter.concurrency = truth.concurrency
        if truth.request_rate is not None:
            limiter.limit(now, Resource.REQ, truth.request_rate, 1.0 + 0.1 * truth.request_rate)
        if truth.token_rate is not None:
            limiter.limit(now, Resource.TOTAL, truth.token_rate, 2.0 * truth.token_rate)

    pack = Range(first.pack, first.pack, first.pack)
    client = Client(
        clock, setup.world, setup.draw, settings_for(packs=pack, is_tuning=False), seed, before=before
    )
    clock.run(scenario.end_s)
    return client.tally


def tuned(scenario: Scenario, seed: int) -> Client:
    """Run the product's tuner."""
    setup, clock = setup_of(scenario, seed), Clock()
    client = Client(
        clock, setup.world, setup.draw, settings_for(limits=setup.limits, packs=setup.packs), seed
    )
    clock.run(scenario.end_s)
    client.steering.journal.flush()
    return client


def static(scenario: Scenario, seed: int, concurrency: int) -> Client:
    """Run a fixed concurrency that keeps the waits it is told of."""
    setup, clock = setup_of(scenario, seed), Clock()
    fixed = Range(concurrency, concurrency, concurrency)
    pack = Range(setup.packs.start, setup.packs.start, setup.packs.start)
    settings = settings_for(limits=setup.limits, packs=pack, concurrency=fixed, is_tuning=False)
    client = Client(clock, setup.world, setup.draw, settings, seed)
    clock.run(scenario.end_s)
    return client


def aimd(scenario: Scenario, seed: int) -> Client:
    """Run the simple rule."""
    setup, clock = setup_of(scenario, seed), Clock()
    pack = Range(setup.packs.start, setup.packs.start, setup.packs.start)
    settings = settings_for(limits=setup.limits, packs=pack, is_tuning=False)
    client = Client(clock, setup.world, setup.draw, settings, seed, after=Aimd())
    clock.run(scenario.end_s)
    return client


def score(scenario: Scenario, tally: Tally, ideal: Tally) -> Score:
    """Compare a tally with the clairvoyant's."""
    start, end = scenario.warm_s, scenario.end_s
    best, got = ideal.goodput(start, end), tally.goodput(start, end)
    sends, refused = tally.sends(start, end), tally.refusals(start, end)
    ideal_cost = ideal.cost / max(1, sum(ideal.good_items))
    return Score(
        share=got / best if best else 0.0,
        refusals_per_1000=1000.0 * refused / max(1, sends),
        refusals_per_min=60.0 * refused / (end - start),
        settle_s=_settled(tally, got, start),
        latency_ratio=tally.mean_latency(start, end) / max(1e-9, ideal.mean_latency(start, end)),
        cost_ratio=(tally.cost / max(1, sum(tally.good_items))) / max(1e-9, ideal_cost),
        tally=tally,
        ideal=best,
    )


def _settled(tally: Tally, steady: float, before: float) -> float | None:
    """The first moment from which ten seconds hold 90 % of the steady goodput."""
    moment = 0.0
    while moment < before:
        if tally.goodput(moment, moment + 10.0) >= 0.9 * steady:
            return moment
        moment += 1.0
    return None


@dataclass(frozen=True, slots=True)
class Sharing:
    """Two programs on one key, each with a tuner of its own."""

    total: float
    """Of what one clairvoyant client gets."""
    refusals_per_1000: float
    jain: float
    """Fairness of the last five minutes: 1 is equal, 0.5 is all for one."""


def shared(scenario: Scenario, seed: int, end_s: float = 1200.0) -> Sharing:
    """Run two clients; the second comes a minute later."""
    setup, clock = setup_of(scenario, seed), Clock()
    first = Client(clock, setup.world, setup.draw, settings_for(limits=setup.limits), seed)
    clock.run(60.0)
    second = Client(clock, setup.world, setup.draw, settings_for(limits=setup.limits), seed + 1000)
    clock.run(end_s)
    start = end_s - 300.0
    got = [client.tally.goodput(start, end_s) for client in (first, second)]
    sent = sum(client.tally.sends(start, end_s) for client in (first, second))
    refused = sum(client.tally.refusals(start, end_s) for client in (first, second))
    best = clairvoyant(scenario, seed).goodput(scenario.warm_s, scenario.end_s)
    jain = sum(got) ** 2 / (2.0 * sum(x * x for x in got))
    return Sharing(sum(got) / best, 1000.0 * refused / max(1, sent), jain)
