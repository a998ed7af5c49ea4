"""The size of packs: where the search ends (T13)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from llmtop.policy.tuner.packs import Binding, Packs

SLOTS = Binding(30, None, None)


def search(
    good: Callable[[random.Random, int], int],
    latency_s: Callable[[int], float],
    *,
    binding: Binding = SLOTS,
    cost: Callable[[int], float] = float,
    seed: int = 1,
    requests: int = 1500,
    noise: float = 0.2,
) -> Packs:
    rng = random.Random(seed)
    packs = Packs(1, 8, 64, 0.25, rng.uniform)
    for _ in range(requests):
        size = packs.choose()
        took = latency_s(size) * rng.uniform(1.0 - noise, 1.0 + noise)
        packs.answered(size, good(rng, size), took, cost(size), 100.0 * size, binding)
    return packs


def all_good(rng: random.Random, size: int) -> int:
    return size


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_a_pack_saves_nothing_it_ends_small(seed: int) -> None:
    assert search(all_good, lambda size: 0.5 * size, seed=seed, noise=0.02).leader <= 3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_every_request_costs_much_whatever_it_holds_it_ends_large(seed: int) -> None:
    assert search(all_good, lambda size: 10.0 + 0.01 * size, seed=seed).leader >= 48


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_larger_packs_break_it_ends_below(seed: int) -> None:
    def cliff(rng: random.Random, size: int) -> int:
        return size if size < 20 else 0

    assert 12 <= search(cliff, lambda size: 3.0 + 0.05 * size, seed=seed).leader <= 16


def test_requests_that_bind_want_larger_packs_than_slots_that_bind() -> None:
    def fades(rng: random.Random, size: int) -> int:
        return 0 if rng.random() < 0.008 * size else size

    by_slots = search(fades, lambda size: 0.5 + 0.3 * size, seed=4)
    by_requests = search(fades, lambda size: 0.5 + 0.3 * size, binding=Binding(500, 2.0, None), seed=4)

    assert by_requests.leader > by_slots.leader


def test_a_fixed_size_is_never_left() -> None:
    packs = Packs(15, 15, 15, 0.25, random.Random(1).uniform)

    assert {packs.choose() for _ in range(200)} == {15}


def test_a_size_that_is_not_tried_teaches_nothing() -> None:
    packs = Packs(1, 8, 64, 0.25, random.Random(1).uniform)

    assert all(packs.answered(7, 7, 1.0, 1.0, 1.0, SLOTS) is None for _ in range(50))
    assert packs.leader == 8
