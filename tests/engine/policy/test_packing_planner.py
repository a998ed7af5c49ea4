from __future__ import annotations

import itertools
import math
import random
from collections import Counter, deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.policy.packing import PackPlanner, PackReading, split


def reading(pack: tuple[str, ...], answered: set[str]) -> PackReading:
    return PackReading(
        answers={id_: f"answer to {id_}" for id_ in pack if id_ in answered},
        missing=tuple(id_ for id_ in pack if id_ not in answered),
        malformed={},
    )


class Run:
    """A whole run against a model that some items spoil: the packs as they were asked, in order.

    `at_once` of them are out at a time and come back in an order of `chance`. As in a run, the last
    pack waits for items that may still be freed.
    """

    def __init__(
        self,
        count: int,
        size: int,
        spoilers: set[int],
        salvaged: float = 0.0,
        *,
        hopeless: bool = False,
        at_once: int = 1,
        flops: Callable[[tuple[str, ...]], bool] = lambda _pack: False,
        chance: random.Random | None = None,
        in_rounds: bool = False,
    ) -> None:
        self.packs: list[tuple[str, ...]] = []
        self.empty = 0
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []
        self.planner = PackPlanner(in_rounds=in_rounds)
        self._size = size
        self._fresh = deque(str(number) for number in range(count))
        out: list[tuple[str, ...]] = []
        chance = chance or random.Random(0)
        bad = {str(number) for number in spoilers}
        while True:
            while len(out) < at_once and (pack := self._next()):
                out.append(pack)
                self.packs.append(pack)
            if not out:
                break
            pack = out.pop(chance.randrange(len(out)))
            answered = set(pack)
            if bad & answered and (len(pack) > 1 or hopeless):
                answered = set(pack[: int(len(pack) * salvaged)])
            elif len(pack) > 1 and flops(pack):
                answered = set()
            self.empty += not answered
            self.answers.update(answered)
            self.failed += self.planner.settle(pack, reading(pack, answered))

    def _next(self) -> tuple[str, ...]:
        ordinary = self.planner.riders + len(self._fresh)
        if not self.planner.is_due and ordinary < self._size and self.planner.may_free:
            return ()
        return self.planner.next_pack(self._size, lambda: self._fresh.popleft() if self._fresh else None)

    def asked(self) -> Counter[str]:
        return Counter(id_ for pack in self.packs for id_ in pack)


counts, sizes, orders = st.integers(1, 200), st.integers(1, 40), st.randoms(use_true_random=False)


def depth_of(size: int) -> int:
    """Return log2 of a pack, rounded up."""
    return math.ceil(math.log2(size))


@given(
    count=counts,
    size=sizes,
    spoilers=st.sets(st.integers(0, 199), max_size=5),
    salvaged=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    flops=st.sets(st.integers(0, 60), max_size=4),
    at_once=st.integers(1, 5),
    chance=orders,
)
@settings(max_examples=200, deadline=None)
def test_every_item_is_answered_once_whatever_becomes_of_packs(
    count: int,
    size: int,
    spoilers: set[int],
    salvaged: float,
    flops: set[int],
    at_once: int,
    chance: random.Random,
) -> None:
    run = Run(count, size, spoilers, salvaged, at_once=at_once, flops=flops.__contains__, chance=chance)

    assert run.answers == Counter({str(number): 1 for number in range(count)})
    assert not run.failed
    assert run.planner.troubled == run.planner.waiting == 0
    assert not run.planner.is_due and not run.planner.may_free


@given(
    count=counts,
    size=sizes,
    spoilers=st.sets(st.integers(0, 199), max_size=4),
    at_once=st.integers(1, 5),
    chance=orders,
)
@settings(max_examples=300, deadline=None)
def test_an_item_that_spoils_packs_costs_at_most_log2_of_the_pack_in_extra_requests(
    count: int, size: int, spoilers: set[int], at_once: int, chance: random.Random
) -> None:
    """Extra is what is sent beside the packs, the spoiler's own request, and one for its pack's rest."""
    run = Run(count, size, spoilers, at_once=at_once, chance=chance)

    bad = sum(number < count for number in spoilers)
    needed = math.ceil(count / size) + 2 * bad
    assert len(run.packs) <= needed + bad * depth_of(size)
    assert run.empty <= bad * max(1, depth_of(size))


@given(count=counts, size=st.integers(2, 40), spoiler=st.integers(0, 199), at_once=st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_what_one_spoiler_costs_its_neighbours_is_one_more_request_each_at_most_log2_times(
    count: int, size: int, spoiler: int, at_once: int
) -> None:
    run = Run(count, size, {spoiler}, at_once=at_once)

    assert max(run.asked().values()) <= 1 + depth_of(size)


@given(size=st.integers(2, 40), salvaged=st.sampled_from([0.3, 0.5, 0.9]), spoiler=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_items_of_packs_that_answer_others_are_asked_again_at_most_log2_of_the_pack(
    size: int, salvaged: float, spoiler: int
) -> None:
    run = Run(100, size, {spoiler}, salvaged)

    assert max(run.asked().values()) <= 1 + depth_of(size)


@given(
    count=counts,
    size=sizes,
    spoilers=st.sets(st.integers(0, 199), max_size=5),
    salvaged=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
)
@settings(max_examples=100, deadline=None)
def test_in_rounds_every_item_is_answered_within_log2_of_its_pack_rounds_and_nothing_waits_for_answers(
    count: int, size: int, spoilers: set[int], salvaged: float
) -> None:
    run = Run(count, size, spoilers, salvaged, in_rounds=True)

    assert run.answers == Counter({str(number): 1 for number in range(count)})
    assert max(run.asked().values()) <= 1 + depth_of(size)
    assert run.empty <= sum(number < count for number in spoilers) * depth_of(size)
    planner = PackPlanner(in_rounds=True)
    planner.failed(tuple("abcd"))
    assert [planner.next_pack(4, lambda: None) for _ in range(3)] == [("a", "b"), ("c", "d"), ()]
    assert planner.waiting == 0


def test_the_healthy_items_of_spoiled_packs_go_on_in_full_packs() -> None:
    run = Run(160, 16, {0})

    assert Counter(map(len, run.packs)) == {16: 1 + 9, 14: 1, 8: 1, 4: 1, 2: 1, 1: 2}


def test_packs_that_come_to_nothing_by_chance_cost_less_once_that_is_known() -> None:
    full = itertools.count(1)
    run = Run(16 * 90, 16, set(), flops=lambda pack: len(pack) == 16 and next(full) % 10 == 0)

    known_by, flops = 3, (next(full) - 1) // 10
    assert len(run.packs) == 90 + known_by * 5 + (flops - known_by) * 2


def test_a_model_that_never_answers_a_pack_costs_at_most_three_requests_an_item() -> None:
    run = Run(400, 16, set(range(400)), at_once=4)

    assert set(run.answers.values()) == {1}
    assert len(run.packs) <= 3 * 400


@pytest.mark.parametrize("size", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("spoiler", [0, 1, 15, 31])
def test_where_half_of_a_broken_pack_can_be_read_the_spoiler_costs_log2_requests_in_all(
    size: int, spoiler: int
) -> None:
    run = Run(size, size, {spoiler} if spoiler < size else set(), salvaged=0.5)

    assert len(run.packs) <= 1 + math.log2(size)


def test_an_item_that_fails_alone_too_is_handed_over_once_and_the_others_are_done() -> None:
    run = Run(64, 16, {5}, hopeless=True)

    assert run.failed == ["5"]
    assert set(run.answers) == {str(number) for number in range(64)} - {"5"}
    assert sum(pack == ("5",) for pack in run.packs) == 1


def test_one_forgotten_item_rides_with_the_next_full_pack_and_then_goes_alone() -> None:
    planner = PackPlanner()
    fresh = iter(str(number) for number in range(100))
    first = planner.next_pack(8, lambda: next(fresh, None))

    planner.settle(first, reading(first, set(first) - {"3"}))
    second = planner.next_pack(8, lambda: next(fresh, None))
    planner.settle(second, reading(second, set(second) - {"3"}))
    third = planner.next_pack(8, lambda: next(fresh, None))

    assert second == ("3", "8", "9", "10", "11", "12", "13", "14")
    assert third == ("3",) or len(third) <= 2


def test_forgotten_items_cost_few_requests() -> None:
    count, size = 1600, 16
    planner = PackPlanner()
    fresh = iter(str(number) for number in range(count))
    asked: Counter[str] = Counter()
    packs = 0
    while pack := planner.next_pack(size, lambda: next(fresh, None)):
        packs += 1
        asked.update(pack)
        planner.settle(pack, reading(pack, {id_ for id_ in pack if int(id_) % 50 or asked[id_] > 1}))

    assert packs <= math.ceil(count * 1.02 / size) + 1


def test_a_pack_that_was_refused_is_asked_again_as_it_was() -> None:
    planner = PackPlanner()
    pack = planner.next_pack(3, iter(["a", "b", "c"]).__next__)

    planner.put_back(pack)
    planner.put_back(())

    assert planner.waiting == 3
    assert planner.next_pack(3, lambda: None) == pack
    assert planner.next_pack(3, lambda: None) == ()


def test_a_group_is_taken_in_parts_when_the_pack_size_has_shrunk() -> None:
    planner = PackPlanner()
    planner.put_back(("a", "b", "c", "d", "e"))

    assert planner.next_pack(2, lambda: None) == ("a", "b")
    assert planner.next_pack(9, lambda: None) == ("c", "d", "e")


def test_half_of_a_pack_that_came_to_nothing_is_asked_and_what_becomes_of_it_says_who_is_next() -> None:
    planner = PackPlanner()
    pack = tuple("abcdefgh")

    assert planner.failed(pack) == ()
    assert planner.next_pack(8, lambda: None) == ("a", "b", "c", "d")
    assert planner.next_pack(8, lambda: None) == ()
    assert planner.may_free and planner.waiting == 4

    planner.settle(("a", "b", "c", "d"), reading(("a", "b", "c", "d"), {"a", "b", "c", "d"}))
    assert planner.next_pack(8, lambda: None) == ("e", "f")
    planner.failed(("e", "f"))

    assert planner.next_pack(8, lambda: None) == ("e",)
    assert planner.next_pack(8, lambda: None) == ("f",)
    fresh = iter(["i", "j"])
    assert planner.next_pack(8, lambda: next(fresh, None)) == ("g", "h", "i", "j")
    assert planner.failed(("x",)) == ("x",)


def test_a_half_that_was_refused_is_asked_again_before_anything_is_concluded() -> None:
    planner = PackPlanner()
    planner.failed(tuple("abcdef"))
    half = planner.next_pack(6, lambda: None)

    planner.put_back(half)

    assert not planner.may_free and planner.waiting == 6
    assert planner.next_pack(6, lambda: None) == half
    assert planner.next_pack(6, lambda: None) == ()


def test_a_search_goes_on_when_the_pack_size_has_shrunk_to_one() -> None:
    planner = PackPlanner()
    planner.failed(tuple("abcdef"))

    assert [planner.next_pack(1, lambda: None) for _ in range(7)] == [*map(tuple, "abcdef"), ()]


def test_a_half_answered_in_part_clears_no_one_else_and_its_rest_goes_on() -> None:
    planner = PackPlanner()
    planner.failed(tuple("abcdefgh"))
    half = planner.next_pack(8, lambda: None)

    planner.settle(half, reading(half, {"a", "b"}))
    packs = [planner.next_pack(8, lambda: None) for _ in range(3)]

    assert sorted(packs) == [(), ("c", "d"), ("e", "f")]
    assert planner.waiting == 2


def test_halves_hold_everything_in_order() -> None:
    assert split(("a", "b", "c")) == (("a", "b"), ("c",))
