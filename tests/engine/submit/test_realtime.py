"""The submitter in virtual time: what leaves when, what comes back, and how it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submission import (
    ANSWER,
    BAD,
    BUG,
    COMMIT_S,
    FAULT,
    HANG,
    LATENCY_S,
    NO_MONEY,
    PRICE_PUSD,
    REFUSED,
    World,
    other_tasks,
    seqs,
)

from llmtop.policy.limiter import Cause

pytestmark = pytest.mark.looptime


async def test_a_bug_in_one_request_ends_the_run_loudly_and_leaves_nothing_behind() -> None:
    world = World(6)
    world.provider.script(2, BUG)
    for seq in (0, 1, 3):
        world.provider.script(seq, HANG)

    with pytest.raises(ZeroDivisionError):
        await world.submitter.run()

    assert not world.submitter.flights
    assert world.provider.cancelled == 3
    assert other_tasks() == set()


async def test_a_bug_of_the_source_ends_the_run_loudly() -> None:
    world = World(6)
    world.feed.take = lambda: 1 // 0  # type: ignore[method-assign,assignment,return-value]

    with pytest.raises(ZeroDivisionError):
        await world.submitter.run()

    assert other_tasks() == set()


async def test_cancelling_the_run_cancels_what_is_in_flight() -> None:
    world = World(10, concurrency=3)
    running = asyncio.create_task(world.submitter.run())
    await asyncio.sleep(COMMIT_S + 0.5)

    running.cancel()
    await asyncio.wait([running])

    assert running.cancelled()
    assert world.provider.cancelled == 3
    assert (world.lane.in_flight, world.budget.reserved, world.submitter.flights) == (0, 0, {})
    assert world.paper.ends.keys() == world.paper.attempts.keys()
    assert other_tasks() == set()


async def test_items_leave_in_the_order_of_the_input_and_never_more_than_allowed() -> None:
    world = World(20, concurrency=4)

    await world.run()

    assert seqs(world.log, "sent") == list(range(20))
    assert world.provider.most_open == 4
    assert world.statuses() == dict.fromkeys(range(20), "done")


async def test_the_attempt_is_on_disk_before_its_bytes_leave() -> None:
    world = World(9, concurrency=3)
    world.provider.script(4, FAULT, REFUSED)

    await world.run()

    for seq in range(9):
        about = [what for what, number in world.log if number == seq]
        assert about == ["attempt", "sent"] * (3 if seq == 4 else 1) + ["result"]


async def test_an_item_that_waits_to_be_asked_again_holds_no_slot() -> None:
    world = World(6, concurrency=1)
    world.provider.script(0, FAULT)

    await world.run()

    assert seqs(world.log, "sent")[:2] == [0, 1]
    first, again = world.sends(0)
    assert again > first + LATENCY_S
    assert world.results[0].attempts == 2


async def test_what_is_asked_again_goes_before_new_items_once_its_wait_is_over() -> None:
    world = World(30, concurrency=2)
    world.provider.script(0, FAULT)

    await world.run()

    _, again = world.sends(0)
    late = [seq for at, seq in world.provider.served if at > again]
    assert late == sorted(late)
    assert len(late) > 10


async def test_a_refused_item_uses_up_no_try() -> None:
    world = World(3, tries=2)
    world.provider.script(1, *[REFUSED] * 5)

    await world.run()

    assert world.statuses() == {0: "done", 1: "done", 2: "done"}
    assert world.results[1].attempts == 6


async def test_no_more_answers_than_the_concurrency_wait_for_their_commit() -> None:
    world = World(40, concurrency=4)
    running = asyncio.create_task(world.run())
    await asyncio.sleep(2 * COMMIT_S)
    world.paper.is_stuck = True

    await asyncio.sleep(60.0)

    assert world.reception.settlement.uncommitted == 4
    assert world.line.blocks == {Cause.WRITER}
    assert (len(world.results), world.shown) == (0, [])
    world.paper.unstick()
    await running
    assert len(world.shown) == 40
    assert world.paper.most_uncommitted <= 8
    assert not world.line.blocks


async def test_a_reached_budget_halts_the_run_once_it_is_at_rest_and_never_overshoots() -> None:
    world = World(20, concurrency=8, cap=10 * PRICE_PUSD)
    running = asyncio.create_task(world.submitter.run())

    await asyncio.sleep(60.0)

    assert world.halts
    assert {halt.reason for halt in world.halts} == {"budget"}
    assert world.budget.spent == len(world.results) * PRICE_PUSD == 9 * PRICE_PUSD
    assert world.budget.reserved == 0
    assert world.line.blocks == {Cause.BUDGET}
    world.budget.set_cap(None)
    world.submitter.poke()
    await running
    assert len(world.results) == 20


async def test_a_hold_breaks_off_what_is_in_flight_and_its_items_are_asked_again() -> None:
    world = World(6, concurrency=3)
    world.provider.script(0, HANG)
    running = asyncio.create_task(world.run())
    await asyncio.sleep(COMMIT_S + 0.5)

    world.line.block(Cause.PAUSE)
    world.submitter.abort()
    await asyncio.sleep(10.0)
    assert (world.provider.cancelled, world.provider.open, len(world.results)) == (3, 0, 0)
    world.line.unblock(Cause.PAUSE)
    await running

    assert world.statuses() == dict.fromkeys(range(6), "done")
    broken = [end for end in world.paper.ends.values() if end.error_type == "cancelled"]
    assert [end.is_maybe_billed for end in broken] == [True] * 3
    assert world.budget.maybe == 3 * 2 * PRICE_PUSD


@pytest.mark.parametrize("moment", [0.0, COMMIT_S / 2, COMMIT_S])
async def test_what_is_broken_off_before_it_left_goes_back_unbilled(moment: float) -> None:
    world = World(5, concurrency=2)
    running = asyncio.create_task(world.run())
    await asyncio.sleep(moment)
    while not world.submitter.flights:
        await asyncio.sleep(0)
    if moment == COMMIT_S:  # in the very turn in which the tasks were made, before their first step
        while not any(flight.task for flight in world.submitter.flights.values()):
            await asyncio.sleep(0)

    world.submitter.abort()
    await running

    assert world.statuses() == dict.fromkeys(range(5), "done")
    assert (
        world.budget.maybe == sum(end.is_maybe_billed for end in world.paper.ends.values()) * 2 * PRICE_PUSD
    )
    assert len(world.provider.served) == 5 + world.provider.cancelled


async def test_a_stop_takes_nothing_new_and_lets_what_is_in_flight_land() -> None:
    world = World(20, concurrency=3)
    running = asyncio.create_task(world.run())
    await asyncio.sleep(COMMIT_S + 0.5)

    world.submitter.stop()
    await running

    assert world.statuses() == {0: "done", 1: "done", 2: "done"}
    assert world.provider.cancelled == 0


async def test_a_stopped_submitter_goes_on_when_it_is_run_again() -> None:
    world = World(12, concurrency=3)
    running = asyncio.create_task(world.run())
    await asyncio.sleep(COMMIT_S + 0.5)
    world.submitter.stop()
    await running

    await world.run()

    assert sorted(world.shown) == list(range(12))


async def test_giving_up_ends_at_once_although_nothing_is_committed_any_more() -> None:
    world = World(20, concurrency=3)
    world.provider.script(5, HANG)
    running = asyncio.create_task(world.submitter.run())
    await asyncio.sleep(1.5 * LATENCY_S)
    world.paper.is_stuck = True
    await asyncio.sleep(10 * LATENCY_S)

    world.submitter.give_up()
    await asyncio.wait_for(running, 0.1)

    assert not world.submitter.flights
    assert other_tasks() == set()


async def test_a_ceiling_bounds_what_is_in_flight_until_it_is_lifted() -> None:
    world = World(12, concurrency=6)
    world.submitter.ceiling = 2
    running = asyncio.create_task(world.run())
    await asyncio.sleep(3 * LATENCY_S)
    assert world.provider.most_open == 2

    world.submitter.ceiling = None
    await running

    assert world.provider.most_open > 2
    assert len(world.results) == 12


async def test_a_refused_key_halts_and_fails_no_item() -> None:
    world = World(10, concurrency=2)
    world.provider.script(1, NO_MONEY)
    running = asyncio.create_task(world.run())

    await asyncio.sleep(30.0)
    assert [halt.reason for halt in world.halts] == ["refused"]
    assert 1 not in world.results
    world.lane.resume()
    await running

    assert world.statuses() == dict.fromkeys(range(10), "done")


async def test_nothing_to_do_is_done_at_once() -> None:
    world = World(0)

    await world.run()

    assert world.log == []


Scripts = list[list[Any]]


@settings(max_examples=40, deadline=None)
@given(
    scripts=st.lists(st.lists(st.sampled_from([ANSWER, FAULT, REFUSED, BAD]), max_size=4), max_size=12),
    concurrency=st.integers(1, 5),
    aborts=st.lists(st.floats(0.0, 20.0), max_size=3),
)
def test_each_item_is_reported_exactly_once_whatever_is_replied(
    scripts: Scripts, concurrency: int, aborts: list[float]
) -> None:
    async def scenario() -> World:
        world = World(len(scripts), concurrency=concurrency)
        for seq, replies in enumerate(scripts):
            world.provider.script(seq, *replies)
        for at in aborts:
            asyncio.get_running_loop().call_later(at, world.submitter.abort)
        await world.run()
        return world

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        world = runner.run(scenario())

    assert sorted(world.shown) == list(range(len(scripts)))
    assert world.provider.most_open <= concurrency
    assert world.budget.spent == sum(end.cost_pusd or 0 for end in world.paper.ends.values())
