"""The gate in virtual time: what refusals, ceilings, stops and headers hold back."""

from __future__ import annotations

import asyncio

import pytest
from lanes import COST, Departures, lane_of, refused

from llmtop.model import Decision, LimitHeaders, Outcome
from llmtop.policy.limiter import Resource
from llmtop.submit.gate import Cause, Lease, Report

pytestmark = pytest.mark.looptime


async def test_a_refusal_holds_all_for_as_long_as_asked_then_one_probe_goes_first() -> None:
    lane = lane_of(50)
    line = lane.line("a")
    first = line.try_acquire(COST)
    assert first
    sent = Departures(line, lasting=0.5)
    first.finish(refused(retry_after_s=7.0))
    tasks = sent.send(10)

    await asyncio.gather(*tasks)

    assert 7.03 <= sent.times[0] <= 7.05
    assert sent.times[1] - sent.times[0] == pytest.approx(0.1, abs=0.01), "twice the time a refusal takes"
    assert sent.times[9] == sent.times[1]


async def test_while_the_provider_refuses_each_wait_is_followed_by_one_request() -> None:
    lane = lane_of(50)
    line = lane.line("a")
    times: list[float] = []

    async def stubborn() -> None:
        while True:
            lease = await line.acquire(COST)
            times.append(lane.clock())
            await asyncio.sleep(0.05)
            lease.finish(refused(retry_after_s=5.0))

    tasks = [asyncio.create_task(stubborn()) for _ in range(20)]
    await asyncio.sleep(61.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert len(times) == 20 + 12 - 1 or len(times) == 20 + 12


async def test_a_wait_beyond_the_longest_is_cut_and_said() -> None:
    lane = lane_of(50, max_wait=60.0)
    decisions: list[Decision] = []
    lane.on_decision = decisions.append
    lease = lane.line("a").try_acquire(COST)
    assert lease

    lease.finish(refused(retry_after_s=600.0))

    assert 60.03 <= lane.hold_until <= 60.05
    assert [(d.what, d.new, d.why, d.by) for d in decisions] == [
        ("hold", "60.0 s", "refused.rate, Retry-After 600 s", "server")
    ]


async def test_a_named_ceiling_holds_only_the_request_that_met_it() -> None:
    lane = lane_of(5)
    line = lane.line("a")
    lease = line.try_acquire(COST)
    assert lease

    lease.finish(Report(outcome=Outcome.REFUSED_CONCURRENCY, latency_s=0.05, retry_after_s=9.0))

    assert line.try_acquire(COST) is not None


async def test_cancelling_whoever_met_a_hold_changes_nothing_for_the_hold() -> None:
    lane = lane_of(5)
    line = lane.line("a")
    lease = line.try_acquire(COST)
    assert lease
    lease.finish(refused(retry_after_s=8.0))
    task = asyncio.create_task(line.acquire(COST))
    await asyncio.sleep(1.0)
    task.cancel()
    lane.hold(lane.clock() + 2.0, "a shorter one")

    sent = Departures(line)
    await asyncio.gather(*sent.send(1))

    assert sent.times[0] >= 8.0


@pytest.mark.parametrize("outcome", [Outcome.STOP_BILLING, Outcome.STOP_ACCESS])
async def test_a_stop_lets_nothing_leave_until_a_person_resumes(outcome: Outcome) -> None:
    lane = lane_of(5)
    line = lane.line("a")
    decisions: list[Decision] = []
    line.on_decision = decisions.append
    lease = line.try_acquire(COST)
    assert lease
    lease.finish(Report(outcome=outcome, latency_s=0.1))
    waiting = asyncio.create_task(line.acquire(COST))
    await asyncio.sleep(1000.0)
    assert not waiting.done()
    assert (lane.is_stopped, line.waits.binding) == (True, Cause.PAUSE)

    line.unblock(Cause.PAUSE)

    assert isinstance(await waiting, Lease)
    assert [d.new for d in decisions] == ["stopped", "open"]


@pytest.mark.parametrize(
    ("report", "charged"),
    [
        (Report(outcome=Outcome.OK, latency_s=1.0, input_tokens=30.0, output_tokens=20.0), 50.0),
        (Report(outcome=Outcome.PARTIAL, latency_s=1.0, input_tokens=30.0, output_tokens=20.0), 50.0),
        (Report(outcome=Outcome.TIMEOUT, latency_s=1.0), 15.0),
        (Report(outcome=Outcome.FAULT, latency_s=1.0), 0.0),
        (Report(outcome=Outcome.FAULT, latency_s=1.0, input_tokens=10.0, output_tokens=2.0), 12.0),
        (Report(outcome=Outcome.BAD, latency_s=1.0), 0.0),
        (Report(outcome=Outcome.REFUSED_RATE, latency_s=1.0), 0.0),
    ],
)
async def test_what_an_outcome_charges(report: Report, charged: float) -> None:
    lane = lane_of(5, tokens_per_minute=60_000.0)
    full = lane.levels[Resource.TOTAL]
    lease = lane.line("a").try_acquire(COST)
    assert lease

    lease.finish(report)

    assert lane.levels[Resource.TOTAL] == pytest.approx(full - charged)
    assert lane.in_flight == 0


async def test_limits_in_headers_are_enforced_and_lowered_by_what_others_use() -> None:
    lane = lane_of(500)
    line = lane.line("a")
    lease = line.try_acquire(COST)
    assert lease
    header = LimitHeaders("requests", limit=1200.0, remaining=1199.0, reset_s=0.05, window_s=60.0)
    lease.finish(Report(outcome=Outcome.OK, latency_s=1.0, limits=(header,)))
    assert lane.rates[Resource.REQ].per_s == pytest.approx(19.9)
    assert lane.rates[Resource.REQ].origin == "reported"

    lease = line.try_acquire(COST)
    assert lease
    used = LimitHeaders("requests", limit=1200.0, remaining=-40.0, reset_s=3.0, window_s=60.0)
    lease.finish(Report(outcome=Outcome.OK, latency_s=1.0, limits=(used,)))

    assert lane.levels[Resource.REQ] == pytest.approx(-40.0)


async def test_a_daily_quota_in_a_header_is_not_a_pace() -> None:
    lane = lane_of(500)
    lease = lane.line("a").try_acquire(COST)
    assert lease

    daily = LimitHeaders("requests", limit=1000.0, remaining=900.0, reset_s=3600.0, window_s=86400.0)
    lease.finish(Report(outcome=Outcome.OK, latency_s=1.0, limits=(daily,)))

    assert lane.rates == {}
