"""The gate in virtual time: order, cancellation, live changes, blocks, and what a grant costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from statistics import median

import pytest
from lanes import COST, Departures, lane_of, ok, turns

from llmtop.config.schema import LimitsConfig, Range, TunerConfig
from llmtop.submit.gate import Cause, Cost, Lane, Lease

pytestmark = pytest.mark.looptime


async def test_a_free_lane_grants_at_once_and_every_lease_closes_once() -> None:
    lane = lane_of(2)
    line = lane.line("a")
    first, second = line.try_acquire(COST), line.try_acquire(COST)
    assert first and second
    assert line.try_acquire(COST) is None

    first.settle(10.0, 5.0)
    first.settle(10.0, 5.0)
    first.release()
    first.finish(ok())

    assert lane.in_flight == 1
    with second:
        pass
    assert lane.in_flight == 0


async def test_waiters_leave_in_order_of_arrival_at_the_declared_rate() -> None:
    sent = Departures(lane_of(requests_per_second=2.0).line("a"))

    await asyncio.gather(*sent.send(20))

    assert sent.names == [f"w{number}" for number in range(20)]
    assert sent.times[0] == 0.0
    assert sent.times[-1] == pytest.approx((20 - 1.199) / 1.99, abs=0.02)


async def test_the_fast_path_does_not_overtake_a_waiter() -> None:
    lane = lane_of(1)
    line, other = lane.line("a"), lane.line("b")
    lease = line.try_acquire(COST)
    assert lease
    waiting = asyncio.create_task(line.acquire(COST))
    await turns()

    lane.set(concurrency=2)

    assert other.try_acquire(COST) is None
    assert isinstance(await waiting, Lease)


async def test_a_third_of_the_waiters_cancelled_costs_the_others_nothing() -> None:
    lane = lane_of(1000, requests_per_second=50.0)
    sent, rng = Departures(lane.line("a")), random.Random(5)
    tasks = sent.send(400)
    await turns()

    doomed = rng.sample(tasks, 120)
    for task in doomed:
        await asyncio.sleep(rng.uniform(0.0, 0.04))
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    cancelled = sum(isinstance(end, asyncio.CancelledError) for end in ends)
    assert len(sent.times) == 400 - cancelled
    assert sent.times[-1] <= (len(sent.times) - 1) / 49.75 * 1.002 + 0.010
    assert lane.in_flight == lane.waiting == 0


async def test_a_grant_that_meets_its_cancellation_goes_to_the_next() -> None:
    for _ in range(50):
        lane = lane_of(1)
        line = lane.line("a")
        lease = line.try_acquire(COST)
        assert lease
        first, second = (asyncio.create_task(line.acquire(COST)) for _ in range(2))
        await turns()

        lease.settle(1.0, 1.0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

        with await asyncio.wait_for(second, 1.0):
            assert lane.in_flight == 1
        assert lane.in_flight == 0


async def test_a_lease_of_a_cancelled_task_is_released() -> None:
    lane = lane_of(1)
    sent = Departures(lane.line("a"), lasting=100.0)
    (task,) = sent.send(1)
    await turns()
    assert lane.in_flight == 1

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert lane.in_flight == 0


async def test_a_changed_rate_counts_at_once_for_those_that_wait() -> None:
    lane = lane_of(1000, requests_per_second=1.0)
    sent = Departures(lane.line("a"))
    tasks = sent.send(1000)
    await asyncio.sleep(30.0)
    slow = len(sent.times)
    lane.set(request_rate=20.0)
    await asyncio.sleep(30.0)
    fast = len(sent.times) - slow
    lane.set(request_rate=0.5)
    await asyncio.sleep(60.0)
    slowest = len(sent.times) - slow - fast
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert abs(slow - 30.0) <= 1 + 0.6
    assert abs(fast - 600.0) <= 1 + 12.0
    assert abs(slowest - 30.0) <= 1 + 0.6 + 2  # the burst of 20/s shrinks to that of 0.5/s


async def test_more_concurrency_is_used_in_the_same_turn_and_less_drains() -> None:
    lane = lane_of(4)
    sent = Departures(lane.line("a"), lasting=10.0)
    tasks = sent.send(60)
    await turns()
    assert lane.in_flight == 4

    lane.set(concurrency=20)
    assert lane.in_flight == 20
    lane.set(concurrency=3)
    assert lane.in_flight == 20
    await asyncio.sleep(10.5)

    assert lane.in_flight == 3
    lane.set(concurrency=0)
    await asyncio.sleep(100.0)
    assert (lane.in_flight, len(sent.times)) == (0, 23)
    lane.set(concurrency=60)
    await asyncio.gather(*tasks)


async def test_two_runs_share_a_lane_alike_whatever_their_queues_hold() -> None:
    lane = lane_of(1000, requests_per_second=10.0)
    many, few = Departures(lane.line("many")), Departures(lane.line("few"))
    tasks = many.send(600) + few.send(150)

    await asyncio.sleep(20.0)

    assert abs(len(many.times) - len(few.times)) <= 0.1 * len(few.times)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_blocked_run_stands_aside_and_the_others_go_on() -> None:
    lane = lane_of(1)
    held, other = lane.line("held"), lane.line("other")
    held.block(Cause.BUDGET)
    held.block(Cause.MEMORY)
    waiting = asyncio.create_task(held.acquire(COST))
    await asyncio.sleep(5.0)
    assert held.try_acquire(COST) is None
    lease = other.try_acquire(COST)
    assert lease
    lease.release()

    held.unblock(Cause.MEMORY)
    await asyncio.sleep(5.0)
    assert not waiting.done()
    assert (held.waits.binding, held.waiting) == (Cause.BUDGET, 1)
    held.unblock(Cause.BUDGET)

    assert isinstance(await waiting, Lease)
    assert dict(held.waits.totals(lane.clock())) == pytest.approx({Cause.BUDGET: 10.0})


async def test_the_seconds_lost_are_charged_to_what_binds() -> None:
    lane = lane_of(1, requests_per_second=0.1)
    line = lane.line("a")
    sent = Departures(line, lasting=4.0)

    await asyncio.gather(*sent.send(2))

    lost = dict(line.waits.totals(lane.clock()))
    assert lost == pytest.approx({Cause.CONCURRENCY: 4.0, Cause.REQUESTS: sent.times[1] - 4.0})
    assert line.waits.binding is None


async def test_the_binding_cause_has_its_number() -> None:
    lane = lane_of(1, requests_per_second=2.0, tokens_per_minute=6000.0)
    line = lane.line("a")
    lease = line.try_acquire(Cost(400.0, 0.0))
    assert lease
    waiting = asyncio.create_task(line.acquire(COST))
    await turns()
    assert (line.waits.binding, line.waits.detail) == (Cause.CONCURRENCY, "1 in flight")

    lease.settle(400.0, 0.0)

    assert (line.waits.binding, line.waits.detail) == (Cause.TOKENS, "6,000 total tokens/min")
    waiting.cancel()


async def test_a_closed_line_cancels_its_waiters_and_leaves_no_trace() -> None:
    lane = lane_of(1)
    line, other = lane.line("a"), lane.line("b")
    lease = line.try_acquire(COST)
    assert lease
    waiting = [asyncio.create_task(line.acquire(COST)) for _ in range(3)]
    behind = asyncio.create_task(other.acquire(COST))
    await turns()

    line.close()
    lease.settle(1.0, 1.0)

    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert isinstance(await behind, Lease)
    assert line.try_acquire(COST) is None


async def test_jumps_of_the_wall_clock_change_nothing() -> None:
    wild = iter(random.Random(3).uniform(-1e9, 1e9) for _ in range(10_000))
    loop = asyncio.get_running_loop()
    limits = LimitsConfig(requests_per_second=5.0)
    lane = Lane(
        "test",
        limits,
        Range(1, 50, 50),
        clock=loop.time,
        wall=lambda: next(wild),
        tuning=TunerConfig(enabled=False),
    )
    sent = Departures(lane.line("a"))

    await asyncio.gather(*sent.send(50))

    assert sent.times[-1] <= (50 - 1) / 4.975 * 1.002 + 0.010


@pytest.mark.looptime(False)
async def test_ten_thousand_waiters_have_one_timer_and_few_turns_a_grant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    lane = lane_of(20_000, requests_per_second=200.0)
    sent = Departures(lane.line("a"))
    tasks = sent.send(10_000)
    await turns()
    calls: Counter[str] = Counter()

    def count(name: str) -> None:
        original = getattr(loop, name)

        def counted(*args: object, **more: object) -> object:
            calls[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(loop, name, counted)

    count("call_later")
    count("_run_once")
    before = len(sent.times)
    await asyncio.sleep(0.5)
    granted = len(sent.times) - before

    assert granted >= 50
    assert calls["call_later"] <= 2 * granted
    assert calls["_run_once"] <= 8 * granted
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_grant_costs_the_same_with_ten_and_with_ten_thousand_waiters() -> None:
    async def cpu_s(waiters: int, repeats: int) -> float:
        spent: list[float] = []
        for _ in range(repeats):
            lane = lane_of(1)
            line = lane.line("a")
            lease = line.try_acquire(COST)
            assert lease
            tasks = [asyncio.create_task(line.acquire(COST)) for _ in range(waiters)]
            await turns()
            for task in tasks[:1000]:
                start = time.perf_counter()
                lease.settle(1.0, 1.0)
                spent.append(time.perf_counter() - start)
                lease = await task
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return median(spent)

    few, many = await cpu_s(10, 100), await cpu_s(10_000, 1)

    assert many <= 2.0 * few + 3e-6
