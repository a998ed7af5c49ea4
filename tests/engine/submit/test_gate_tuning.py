"""A lane with its tuner, in virtual time: set-points reach the limiter, pins hold, decisions are heard."""

from __future__ import annotations

import asyncio
import random

import pytest

from llmtop.config.schema import LimitsConfig, Range, RetryConfig
from llmtop.model import Decision, Outcome
from llmtop.policy.limiter import Resource
from llmtop.policy.tuner import Mode
from llmtop.submit.gate import Cause, Cost, Lane, Line, Report

pytestmark = pytest.mark.looptime

COST = Cost(100.0, 50.0)


class Provider:
    """A ceiling of slots and a rate, behind a lane with tuner; `run` keeps a line full of work."""

    def __init__(self, *, slots: int = 10**6, latency_s: float = 1.0, **limits: float) -> None:
        clock = asyncio.get_running_loop().time
        self.slots, self.latency_s = slots, latency_s
        self.active = self.top = self.refused = 0
        self.times: list[float] = []
        self.decisions: list[Decision] = []
        self.lane = Lane(
            "test",
            LimitsConfig(**limits),
            Range(1, 8, 128),
            clock=clock,
            wall=clock,
            retry=RetryConfig(max_wait=60.0),
        )
        self.lane.on_decision = self.decisions.append
        self.line = self.lane.line("a")

    async def run(self, seconds: float) -> None:
        workers = [asyncio.create_task(self._work()) for _ in range(200)]
        await asyncio.sleep(seconds)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            with await self.line.acquire(COST) as lease:
                self.times.append(self.lane.clock())
                lease.finish(await self._ask())

    async def _ask(self) -> Report:
        if self.active >= self.slots:
            self.refused += 1
            await asyncio.sleep(0.05)
            return Report(outcome=Outcome.REFUSED_UNKNOWN, latency_s=0.05)
        self.active += 1
        self.top = max(self.top, self.active)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.active -= 1
        return Report(outcome=Outcome.OK, latency_s=self.latency_s, input_tokens=100.0, output_tokens=50.0)


async def test_the_concurrency_follows_an_unknown_ceiling_that_halves_and_doubles_back() -> None:
    provider = Provider(slots=40)
    await provider.run(60.0)
    assert 38 <= provider.lane.concurrency <= 42

    provider.slots = 20
    await provider.run(20.0)
    assert 16 <= provider.lane.concurrency <= 22

    provider.slots = 40
    await provider.run(90.0)
    assert 36 <= provider.lane.concurrency <= 44
    assert provider.refused <= 0.02 * len(provider.times)


async def test_a_declared_rate_binds_and_the_concurrency_does_not_grow_beyond_its_need() -> None:
    provider = Provider(requests_per_second=4.0, latency_s=2.0)

    await provider.run(60.0)

    assert len(provider.times) == pytest.approx(4.0 * 60.0 * 0.995, abs=6)
    assert provider.lane.concurrency <= 16
    assert provider.line.waits.totals(provider.lane.clock())[0][0] is Cause.REQUESTS


async def test_ten_requests_against_two_a_second_are_never_refused_and_done_within_nine_seconds() -> None:
    means = []
    for seed in range(5):
        rng, loop = random.Random(seed), asyncio.get_running_loop()
        lane = Lane(
            "test", LimitsConfig(requests_per_second=2.0, burst=2.0), Range(1, 8, 512), clock=loop.time
        )
        line, level, last, start = lane.line("a"), 2.0, loop.time(), loop.time()

        async def ask(latency_s: float, line: Line = line, loop: asyncio.AbstractEventLoop = loop) -> None:
            nonlocal level, last
            with await line.acquire(COST) as lease:
                level, last = min(2.0, level + 2.0 * (loop.time() - last)), loop.time()
                assert level >= 1.0, "a strict server would refuse"
                level -= 1.0
                await asyncio.sleep(latency_s)
                lease.finish(Report(outcome=Outcome.OK, latency_s=latency_s, output_tokens=50.0))

        await asyncio.gather(*(ask(rng.uniform(2.0, 5.0)) for _ in range(10)))
        means.append(loop.time() - start)

    assert sum(means) / len(means) < 9.0


async def test_who_joins_the_queue_is_told_how_long_it_will_take() -> None:
    provider = Provider(slots=4, latency_s=1.0, requests_per_second=4.0)
    workers = asyncio.create_task(provider.run(30.0))
    await asyncio.sleep(29.0)

    assert provider.lane.estimated_wait_s == pytest.approx(200 / 4.0, rel=0.15)
    await workers


async def test_departures_are_spaced_until_the_first_answer() -> None:
    provider = Provider(latency_s=2.0)

    await provider.run(1.95)

    gaps = [b - a for a, b in zip(provider.times, provider.times[1:], strict=False)]
    assert len(provider.times) == 8
    assert min(gaps) >= 0.099


async def test_a_hand_set_concurrency_stays_until_the_tuner_is_switched_on() -> None:
    provider = Provider(slots=30)
    await provider.run(40.0)
    provider.lane.set(concurrency=12, by="operator@host")
    await provider.run(60.0)
    assert (provider.lane.concurrency, provider.lane.pinned) == (12, frozenset({"concurrency"}))

    provider.lane.tune(True, by="operator@host")
    await provider.run(60.0)

    assert provider.lane.pinned == frozenset()
    assert 27 <= provider.lane.concurrency <= 32
    said = [d for d in provider.decisions if d.by == "operator@host"]
    assert [(d.what, d.new) for d in said] == [("concurrency", "12")]


async def test_a_hand_set_rate_is_pinned_and_shown_as_such() -> None:
    provider = Provider(requests_per_second=4.0)

    provider.lane.set(request_rate=8.0)
    await provider.run(30.0)

    assert provider.lane.rates[Resource.REQ].origin == "pinned"
    assert len(provider.times) == pytest.approx(8.0 * 30.0, rel=0.05)
    provider.lane.tune(True)
    assert provider.lane.rates[Resource.REQ].origin == "declared"
    assert provider.lane.stated(Resource.REQ) == 8.0


async def test_with_the_tuner_off_nothing_moves() -> None:
    provider = Provider(slots=6)
    provider.lane.tune(False)

    await provider.run(60.0)

    assert provider.lane.concurrency == 8
    assert not provider.lane.is_tuning
    assert {d.what for d in provider.decisions} == {"mode", "hold"}


async def test_every_decision_reaches_the_lane_and_its_lines() -> None:
    provider = Provider(slots=20)
    heard: list[Decision] = []
    provider.line.on_decision = heard.append

    await provider.run(30.0)

    assert heard == provider.decisions
    assert all(d.why and d.by in ("tuner", "server") for d in heard)
    assert any(d.what == "concurrency" for d in heard)


async def test_an_outage_is_asked_by_canaries_and_ends_when_one_comes_back() -> None:
    provider = Provider(slots=20)
    await provider.run(30.0)
    works = provider._ask

    async def down() -> Report:
        await asyncio.sleep(0.02)
        return Report(outcome=Outcome.FAULT, latency_s=0.02)

    provider._ask = down  # type: ignore[method-assign]
    before = len(provider.times)
    await provider.run(60.0)
    assert len(provider.times) - before <= 45
    provider._ask = works  # type: ignore[method-assign]
    await provider.run(40.0)

    assert 16 <= provider.lane.concurrency <= 22
    assert [d.new for d in provider.decisions if d.what == "breaker"] == ["open", "closed"]


async def test_a_named_rate_switches_the_mode_and_holds_all() -> None:
    provider = Provider()
    await provider.run(3.0)
    lease = await provider.line.acquire(COST)

    lease.finish(Report(outcome=Outcome.REFUSED_RATE, latency_s=0.1, retry_after_s=5.0, scope="requests"))

    assert provider.lane.tuner.mode is Mode.RATE
    assert provider.lane.hold_until == pytest.approx(provider.lane.clock() + 5.04, abs=0.02)
    assert provider.line.try_acquire(COST) is None
    assert provider.lane.rates[Resource.REQ].origin == "learned"


async def test_the_timer_of_the_tuner_stops_when_nothing_is_on_its_way() -> None:
    provider = Provider()
    await provider.run(5.0)
    await asyncio.sleep(1.0)

    assert not provider.lane._ticker.is_set
