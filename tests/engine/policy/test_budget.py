"""The cap holds: over any order of events, over restarts, and whatever is lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llmtop.policy.budget import Budget, ItemCosts, project


class BudgetMachine(RuleBasedStateMachine):
    """Many calls in flight at once, ending in any order, with crashes between."""

    @initialize(cap=st.integers(0, 1000))
    def start(self, cap: int) -> None:
        self.cap = cap
        self.budget = Budget(cap)
        self.in_flight: list[int] = []
        self.spent = 0
        self.lost = 0

    @rule(amount=st.integers(0, 300))
    def reserve(self, amount: int) -> None:
        bound = self.spent + self.lost + sum(self.in_flight)
        granted = self.budget.try_reserve(amount)
        assert granted == (bound + amount <= self.cap)
        if granted:
            self.in_flight.append(amount)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle_within_the_estimate(self, data: st.DataObject) -> None:
        reserved = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        actual = data.draw(st.integers(0, reserved))
        self.budget.settle(reserved, actual)
        self.spent += actual

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), is_lost=st.booleans())
    def end_without_an_answer(self, data: st.DataObject, is_lost: bool) -> None:
        reserved = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        if is_lost:
            self.budget.lose(reserved)
            self.lost += reserved
        else:
            self.budget.release(reserved)

    @rule()
    def crash_and_restart_from_the_ledger(self) -> None:
        self.lost += sum(self.in_flight)
        self.in_flight = []
        self.budget = Budget(self.cap, self.spent, self.lost)

    @rule(more=st.integers(0, 500))
    def raise_the_cap(self, more: int) -> None:
        self.cap += more
        self.budget.set_cap(self.cap)

    @invariant()
    def the_cap_holds(self) -> None:
        if not hasattr(self, "budget"):
            return
        assert self.budget.spent == self.spent
        assert self.budget.reserved == sum(self.in_flight)
        assert self.budget.maybe == self.lost
        assert self.spent + self.lost + sum(self.in_flight) <= self.cap
        assert self.budget.room == self.cap - self.spent - self.lost - sum(self.in_flight)


TestBudgetMachine = BudgetMachine.TestCase


def test_a_refused_reservation_holds_nothing() -> None:
    budget = Budget(100)

    assert not budget.try_reserve(101)
    assert (budget.reserved, budget.room) == (0, 100)


def test_a_call_dearer_than_its_estimate_is_counted_in_full_and_nothing_more_is_granted() -> None:
    budget = Budget(100)
    budget.try_reserve(90)

    budget.settle(90, 120)

    assert (budget.spent, budget.room) == (120, 0)
    assert not budget.try_reserve(1)


def test_waiting_can_help_while_something_is_in_flight_and_not_after() -> None:
    budget = Budget(100)
    budget.try_reserve(60)
    assert not budget.try_reserve(50)
    assert not budget.is_exhausted(50)

    budget.settle(60, 55)

    assert not budget.try_reserve(50)
    assert budget.is_exhausted(50)


def test_a_cap_lowered_below_what_is_bound_grants_nothing_and_takes_nothing_back() -> None:
    budget = Budget(100)
    budget.try_reserve(60)

    budget.set_cap(10)

    assert (budget.reserved, budget.room) == (60, 0)
    assert budget.is_exhausted(11)
    budget.settle(60, 60)
    assert budget.spent == 60


def test_without_a_cap_everything_is_granted_and_counted() -> None:
    budget = Budget(None)

    assert budget.try_reserve(10**18)
    budget.settle(10**18, 10**18)

    assert (budget.spent, budget.room, budget.is_exhausted(10**20)) == (10**18, None, False)


def test_what_was_never_reserved_cannot_be_settled() -> None:
    budget = Budget(100)
    budget.try_reserve(10)

    with pytest.raises(ValueError, match="never reserved"):
        budget.settle(11, 5)


@pytest.mark.parametrize("call", ["try_reserve", "set_cap", "release"])
def test_money_is_never_negative(call: str) -> None:
    with pytest.raises(ValueError, match="never negative"):
        getattr(Budget(100), call)(-1)


def test_nothing_is_projected_before_the_first_finished_item() -> None:
    assert project(0, 0, 100, ItemCosts()) is None


def test_equal_items_project_without_a_doubt() -> None:
    costs = ItemCosts()
    for _ in range(10):
        costs.add(500)

    assert project(5000, 10, 100, costs) == (50_000, 50_000, 50_000)


def test_after_the_last_item_the_projection_is_what_was_spent() -> None:
    costs = ItemCosts()
    for cost in (100, 900, 250):
        costs.add(cost)

    assert project(1250, 3, 3, costs) == (1250, 1250, 1250)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.integers(0, 1000))
def test_the_range_holds_the_expected_end_and_is_never_below_what_is_spent(
    paid: list[int], left: int
) -> None:
    costs = ItemCosts()
    for cost in paid:
        costs.add(cost)

    expected, low, high = project(sum(paid), len(paid), len(paid) + left, costs) or (0, 0, 0)

    assert sum(paid) <= low <= expected <= high


def test_the_range_holds_the_real_end_in_nineteen_of_twenty_runs() -> None:
    held = 0
    for seed in range(200):
        rng = random.Random(seed)
        prices = [int(rng.lognormvariate(10, 0.7)) for _ in range(400)]
        costs = ItemCosts()
        for cost in prices[:60]:
            costs.add(cost)
        _, low, high = project(sum(prices[:60]), 60, 400, costs) or (0, 0, 0)
        held += low <= sum(prices) <= high

    assert held >= 180
