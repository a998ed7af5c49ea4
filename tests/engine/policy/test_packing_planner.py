from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

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
    """A whole run against a model that some items spoil: the packs as they were asked, in order."""

    def __init__(
        self, count: int, size: int, spoilers: set[int], salvaged: float, hopeless: bool = False
    ) -> None:
        self.packs: list[tuple[str, ...]] = []
        self.empty = 0
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []
        self.planner = PackPlanner()
        bad = {str(number) for number in spoilers}
        fresh: Iterator[str] = iter([str(number) for number in range(count)])
        while pack := self.planner.next_pack(size, lambda: next(fresh, None)):
            self.packs.append(pack)
            answered = set(pack)
            if bad & answered and (len(pack) > 1 or hopeless):
                answered = set(pack[: int(len(pack) * salvaged)])
            self.empty += not answered
            self.answers.update(answered)
            self.failed += self.planner.settle(pack, reading(pack, answered))

    def asked(self) -> Counter[str]:
        return Counter(id_ for pack in self.packs for id_ in pack)


runs = given(
    count=st.integers(1, 200),
    size=st.integers(1, 40),
    spoilers=st.sets(st.integers(0, 199), max_size=5),
    salvaged=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
)


@runs
@settings(max_examples=150, deadline=None)
def test_every_item_is_answered_once_and_asked_again_at_most_log2_of_its_pack(
    count: int, size: int, spoilers: set[int], salvaged: float
) -> None:
    run = Run(count, size, spoilers, salvaged)

    assert run.answers == Counter({str(number): 1 for number in range(count)})
    assert not run.failed
    assert max(run.asked().values()) <= 1 + math.ceil(math.log2(size))
    assert run.planner.troubled == run.planner.waiting == 0


@runs
@settings(max_examples=150, deadline=None)
def test_an_item_that_spoils_whole_packs_costs_at_most_log2_of_the_pack_in_vain(
    count: int, size: int, spoilers: set[int], salvaged: float
) -> None:
    run = Run(count, size, spoilers, salvaged=0.0)

    bad = sum(number < count for number in spoilers)
    depth = math.ceil(math.log2(size))
    assert run.empty <= bad * depth
    assert len(run.packs) <= math.ceil(count / size) + 2 * bad * depth


@pytest.mark.parametrize("size", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("spoiler", [0, 1, 15, 31])
def test_where_half_of_a_broken_pack_can_be_read_the_spoiler_costs_log2_requests_in_all(
    size: int, spoiler: int
) -> None:
    run = Run(size, size, {spoiler} if spoiler < size else set(), salvaged=0.5)

    assert len(run.packs) <= 1 + math.log2(size)


def test_an_item_that_fails_alone_too_is_handed_over_once_and_the_others_are_done() -> None:
    run = Run(64, 16, {5}, salvaged=0.0, hopeless=True)

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


def test_a_pack_that_comes_to_nothing_is_halved() -> None:
    planner = PackPlanner()

    assert planner.failed(("a", "b", "c", "d", "e")) == ()

    assert planner.next_pack(5, lambda: "f") == ("a", "b", "c")
    assert planner.next_pack(5, lambda: "f") == ("d", "e")
    assert planner.failed(("x",)) == ("x",)


def test_halves_hold_everything_in_order() -> None:
    assert split(("a", "b", "c")) == (("a", "b"), ("c",))
