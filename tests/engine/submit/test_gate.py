"""The gate in virtual time: order, cancellation, live changes, blocks, holds, and what a grant costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from statistics import median

import pytest

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import Decision, LimitHeaders, Outcome
from llmtop.policy.limiter import Resource
from llmtop.submit.gate import Cause, Cost, Lane, Lease, Line, Report

pytestmark = pytest.mark.looptime

COST = Cost(10.0, 5.0)


def lane_of(
    concurrency: int = 100, *, max_wait: float = 60.0, is_tuning: bool = False, **limits: float
) -> Lane:
    clock = asyncio.get_running_loop().time
    return Lane(
        "test",
        LimitsConfig(**limits),
        Range(1, concurrency, max(512, concurrency)),
        clock=clock,
        wall=clock,
        retry=RetryConfig(max_wait=max_wait),
        tuning=TunerConfig(enabled=is_tuning),
    )


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Departures:
    """Waiters that note when they leave, and hold their lease for `lasting` seconds."""

    def __init__(self, line: Line, *, lasting: float = 0.0) -> None:
        self.line = line
        self.lasting = lasting
        self.names: list[str] = []
        self.times: list[float] = []

    def send(self, count: int, name: str = "w") -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._one(f"{name}{number}")) for number in range(count)]

    async def _one(self, name: str) -> None:
        with await self.line.acquire(COST) as lease:
            self.names.append(name)
            self.times.append(asyncio.get_running_loop().time())
            if self.lasting:
                await asyncio.sleep(self.lasting)
            lease.settle(10.0, 5.0)


def ok() -> Report:
    return Report(outcome=Outcome.OK, latency_s=0.5, input_tokens=10.0, output_tokens=5.0)


def refused(**told: float | str | None) -> Report:
    return Report(outcome=Outcome.REFUSED_RATE, latency_s=0.05, **told)  # type: ignore[arg-type]


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
