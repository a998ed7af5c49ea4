"""Several items in one request, from the dispatcher to the ledger, in virtual time."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submission import ANSWER, BAD, FAULT, PRICE_PUSD, REFUSED, World

from llmtop.model import ItemError, Usage

pytestmark = pytest.mark.looptime


def _own_answers(world: World, count: int) -> None:
    """Every item is done with its own answer, and the shares of money are the whole of it."""
    assert {seq: result.output for seq, result in world.results.items()} == {
        seq: f"fine {seq}" for seq in range(count)
    }
    assert sum(result.cost_pusd or 0 for result in world.results.values()) == world.budget.spent


async def test_items_share_requests_and_each_ends_with_its_own_answer() -> None:
    world = World(10, packs=4)

    await world.run()

    assert world.provider.packs == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert len(world.provider.served) == 3
    _own_answers(world, 10)
    assert world.budget.spent == 3 * PRICE_PUSD


async def test_the_shares_of_usage_time_and_money_add_up_to_the_pack() -> None:
    world = World(3, packs=3)

    await world.run()

    results = list(world.results.values())
    (end,) = world.paper.ends.values()
    assert end.usage is not None
    assert sum(result.usage.input_tokens for result in results) == end.usage.input_tokens
    assert sum(result.usage.output_tokens for result in results) == end.usage.output_tokens
    assert sum(result.cost_pusd or 0 for result in results) == end.cost_pusd
    assert sum(result.latency_ms or 0 for result in results) == end.latency_ms
    assert {result.pack_id for result in results} == {"p00001"}
    assert world.paper.attempts[1].packed == (1, 2)


async def test_with_one_item_a_request_nothing_is_packed() -> None:
    world = World(5, packs=1)

    await world.run()

    assert world.provider.packs == []
    assert len(world.provider.served) == 5
    assert {result.pack_id for result in world.results.values()} == {None}


async def test_an_item_that_cannot_share_a_request_goes_alone() -> None:
    world = World(5, packs=4)
    world.provider.loners = {2}

    await world.run()

    assert all(2 not in pack for pack in world.provider.packs)
    _own_answers(world, 5)


async def test_only_what_a_pack_left_out_is_asked_again() -> None:
    world = World(8, packs=4)
    world.provider.forgets = {1: 1}

    await world.run()

    assert len(world.provider.served) == 3
    _own_answers(world, 8)


_CUT = replace(
    BAD,
    error=ItemError("truncated", "cut", 200),
    usage=Usage(input_tokens=80, output_tokens=30),
    text='{"answers": [{"id": "0", "answer": "fine 0"}, {"id": "1", "answer": "fine 1"}, {"id": "2", "ans',
)


async def test_of_a_cut_answer_the_whole_entries_are_taken_and_the_rest_is_asked_again() -> None:
    world = World(4, packs=4)
    world.provider.script(0, _CUT)

    await world.run()

    assert world.provider.packs == [(0, 1, 2, 3), (2, 3)]
    _own_answers(world, 4)


async def test_a_cut_answer_without_a_whole_entry_has_its_pack_searched_by_halves() -> None:
    world = World(4, packs=4)
    world.provider.script(0, replace(_CUT, text='{"answers": [{"id": "0", "answer": "fi'))

    await world.run()

    assert world.provider.packs == [(0, 1, 2, 3), (0, 1)]
    assert len(world.provider.served) == 4
    assert world.paper.ends[1].error_type == "truncated"
    _own_answers(world, 4)


async def test_other_packs_go_on_while_an_item_is_searched_and_its_neighbours_ride_with_them() -> None:
    world = World(160, packs=16, concurrency=2)
    world.provider.poison = {0}

    await world.run()

    packs = [set(pack) for pack in world.provider.packs]
    assert len(world.provider.served) <= 10 + math.log2(16) + 2
    assert packs.index(set(range(8))) <= 3
    assert any(set(range(8, 16)) < pack for pack in packs)
    _own_answers(world, 160)


async def test_the_healthy_rests_of_the_last_packs_go_together() -> None:
    world = World(32, packs=16, concurrency=4)
    world.provider.poison = {0, 16}

    await world.run()

    assert len(world.provider.packs[-1]) == 32 - 16 - 2 * 2
    assert len(world.provider.served) == 2 + 2 * (math.log2(16) - 1 + 2) + 2
    _own_answers(world, 32)


async def test_a_stop_in_the_middle_of_a_search_loses_nobody() -> None:
    world = World(32, packs=16, concurrency=4)
    world.provider.poison = {3}
    running = asyncio.create_task(world.submitter.run())
    await asyncio.sleep(2.5)

    world.submitter.stop()
    await running

    assert 0 < len(world.results) < 32
    await world.run()
    assert {seq: result.output for seq, result in world.results.items()} == {
        seq: f"fine {seq}" for seq in range(32)
    }


async def test_a_half_that_is_refused_is_asked_again_and_the_search_goes_on() -> None:
    world = World(16, packs=16)
    world.provider.poison = {9}
    world.provider.script(0, replace(ANSWER, text="no JSON"), REFUSED, FAULT)

    await world.run()

    assert world.provider.packs[:3] == [tuple(range(16)), tuple(range(8)), tuple(range(8, 12))]
    _own_answers(world, 16)


async def test_a_refused_pack_goes_again_as_it_was() -> None:
    world = World(4, packs=4)
    world.provider.script(0, REFUSED, FAULT)

    await world.run()

    assert world.provider.packs == [(0, 1, 2, 3)]
    assert len(world.provider.served) == 3
    assert {result.attempts for result in world.results.values()} == {3}
    _own_answers(world, 4)


async def test_a_live_change_of_the_size_reaches_the_next_request() -> None:
    world = World(12, packs=2, concurrency=1)

    world.lane.set(items_per_request=5)
    await world.run()

    assert [len(pack) for pack in world.provider.packs] == [5, 5, 2]


async def test_a_stop_puts_gathered_items_back() -> None:
    world = World(10, packs=4, concurrency=1)
    running = asyncio.create_task(world.submitter.run())
    await asyncio.sleep(0.5)

    world.submitter.stop()
    await running

    assert sorted(world.results) == [0, 1, 2, 3]
    await world.run()
    _own_answers(world, 10)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40),
    size=st.integers(2, 16),
    poison=st.sets(st.integers(0, 39), max_size=3),
    forgets=st.dictionaries(st.integers(0, 39), st.integers(1, 3), max_size=4),
    faults=st.sets(st.integers(0, 39), max_size=3),
)
def test_whatever_packs_do_every_item_ends_once_with_its_own_answer(
    count: int, size: int, poison: set[int], forgets: dict[int, int], faults: set[int]
) -> None:
    async def play() -> None:
        world = World(count, packs=size)
        world.provider.poison = poison
        world.provider.forgets = dict(forgets)
        for seq in faults:
            world.provider.script(seq, FAULT)
        await world.run()
        _own_answers(world, count)
        depth = math.ceil(math.log2(size))
        extra = len([seq for seq in poison if seq < count]) * (depth + 2)
        extra += len([seq for seq in forgets if seq < count]) * (depth + 1) + len(faults)
        assert len(world.provider.served) <= math.ceil(count / size) + extra

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play())
