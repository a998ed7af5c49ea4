"""Whose turn it is: order inside a run, shares between runs (L5)."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.policy.limiter import Rotation, RunQueue


@dataclass(eq=False)
class Waiter:
    name: str
    share: float = 1.0
    is_gone: bool = False


def filled(
    rotation: Rotation[Waiter], name: str, count: int, *, weight: float = 1.0, share: float = 1.0
) -> RunQueue[Waiter]:
    queue: RunQueue[Waiter] = RunQueue(weight)
    for number in range(count):
        queue.push(Waiter(f"{name}{number}", share))
    rotation.enter(queue)
    return queue


def serve(rotation: Rotation[Waiter]) -> str | None:
    queue = rotation.head()
    if queue is None:
        return None
    waiter = queue.first()
    assert waiter is not None
    rotation.serve(queue, waiter.share)
    return waiter.name


def test_an_empty_rotation_has_no_head() -> None:
    assert Rotation[Waiter]().head() is None


@settings(max_examples=200, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), gone=st.sets(st.integers(0, 29)))
def test_each_run_is_served_in_order_of_arrival_and_the_cancelled_are_skipped(
    counts: list[int], gone: set[int]
) -> None:
    rotation: Rotation[Waiter] = Rotation()
    for run, count in enumerate(counts):
        queue: RunQueue[Waiter] = RunQueue(1.0)
        waiters = [Waiter(f"{run}.{number}") for number in range(count)]
        for waiter in waiters:
            queue.push(waiter)
        rotation.enter(queue)
        for number, waiter in enumerate(waiters):
            if number in gone:
                waiter.is_gone = True
                queue.forget()

    served: list[str] = []
    while (name := serve(rotation)) is not None:
        served.append(name)

    for run, count in enumerate(counts):
        mine = [int(name.split(".")[1]) for name in served if name.startswith(f"{run}.")]
        assert mine == [number for number in range(count) if number not in gone]


def test_two_runs_share_alike_whatever_the_length_of_their_queues() -> None:
    rotation: Rotation[Waiter] = Rotation()
    filled(rotation, "a", 1000)
    filled(rotation, "b", 60)

    served = [serve(rotation) for _ in range(100)]

    assert sum(1 for name in served if name and name[0] == "b") == 50


def test_costs_are_shared_and_not_turns() -> None:
    rotation: Rotation[Waiter] = Rotation()
    filled(rotation, "a", 100, share=3.0)
    filled(rotation, "b", 300, share=1.0)

    served = [serve(rotation) for _ in range(100)]

    assert abs(sum(1 for name in served if name and name[0] == "a") - 25) <= 1


def test_a_run_with_one_waiter_at_a_time_keeps_its_weight() -> None:
    rotation: Rotation[Waiter] = Rotation()
    heavy = filled(rotation, "h", 1, weight=3.0)
    light = filled(rotation, "l", 1)

    served = []
    for _ in range(400):
        name = serve(rotation)
        assert name
        served.append(name[0])
        queue = heavy if name[0] == "h" else light
        queue.push(Waiter(name))
        rotation.enter(queue)

    assert 290 <= served.count("h") <= 310


def test_a_late_run_has_its_share_within_one_turn_and_no_claim_on_the_past() -> None:
    rotation: Rotation[Waiter] = Rotation()
    filled(rotation, "a", 500)
    for _ in range(100):
        serve(rotation)

    filled(rotation, "b", 500)
    served = [serve(rotation) for _ in range(20)]

    assert "b0" in served[:2]
    assert sum(1 for name in served if name and name[0] == "b") in (10, 11)


def test_a_held_run_is_passed_over_and_comes_back_with_its_queue() -> None:
    rotation: Rotation[Waiter] = Rotation()
    held = filled(rotation, "a", 3)
    filled(rotation, "b", 3)
    held.is_held = True
    rotation.leave(held)

    assert [serve(rotation) for _ in range(4)] == ["b0", "b1", "b2", None]
    held.is_held = False
    rotation.enter(held)

    assert [serve(rotation) for _ in range(4)] == ["a0", "a1", "a2", None]
