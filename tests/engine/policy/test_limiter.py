"""The limiter against a virtual clock: the properties L1 to L4, L6, L7, L11, L12, L14 and L15."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.policy.limiter import Cause, Cost, Limiter, Resource, Ticket, Wait

SMALL = Cost(0.0, 0.0)


def limited(resource: Resource, rate: float, capacity: float, *, slots: int = 10**6) -> Limiter:
    limiter = Limiter(slots)
    limiter.limit(0.0, resource, rate, capacity)
    return limiter


def grant(limiter: Limiter, now: float, cost: Cost = SMALL) -> tuple[float, Ticket]:
    """Ask as the gate does: again at the moment that the limiter named."""
    for _ in range(100):
        answer = limiter.admit(now, cost)
        if isinstance(answer, Ticket):
            return now, answer
        assert now < answer.until < math.inf
        now = answer.until
    raise AssertionError("asked a hundred times without a grant")


@settings(max_examples=250, deadline=None)
@given(
    rate=st.floats(0.3, 150.0),
    capacity=st.floats(1.0, 50.0),
    steps=st.lists(
        st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 120.0), st.booleans()), min_size=1, max_size=60
    ),
)
def test_no_interval_grants_more_than_the_bucket_the_refill_and_one_request(
    rate: float, capacity: float, steps: list[tuple[float, float, bool]]
) -> None:
    limiter = limited(Resource.TOTAL, rate, capacity)
    now, granted = 0.0, []
    for pause, tokens, is_settled in steps:
        now += pause
        answer = limiter.admit(now, Cost(tokens, 0.0))
        if isinstance(answer, Ticket):
            granted.append((now, tokens))
            if is_settled:
                limiter.settle(now, answer, tokens, 0.0)

    largest = max((tokens for _, tokens in granted), default=0.0)
    for first in range(len(granted)):
        total = 0.0
        for at, tokens in granted[first:]:
            total += tokens
            assert total <= capacity + rate * (at - granted[first][0]) + largest + 1e-6 * (1 + total)


@settings(max_examples=200, deadline=None)
@given(rate=st.floats(0.3, 150.0), count=st.integers(2, 400), start=st.floats(0.0, 1e6))
def test_a_rate_is_used_up_to_two_per_mille(rate: float, count: int, start: float) -> None:
    limiter = Limiter(10**6)
    limiter.limit(start, Resource.REQ, rate, 1.0)

    now, _ = grant(limiter, start)
    assert now == start, "the first grant on a fresh lane is immediate"
    for _ in range(count - 1):
        now, _ = grant(limiter, now)

    assert now - start <= (count - 1) / rate * 1.002 + 0.010
    assert now - start >= (count - 1) / rate * 0.999


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.floats(1.0, 500_000.0), min_size=1, max_size=40),
    rate=st.floats(10.0, 10_000.0),
)
def test_a_request_of_any_size_is_granted_in_time(sizes: list[float], rate: float) -> None:
    limiter = limited(Resource.TOTAL, rate, 2.0 * rate)
    now, ahead = 0.0, 0.0
    for size in sizes:
        now, _ = grant(limiter, now, Cost(size, 0.0))
        ahead += size
        assert now <= ahead / rate + 1.0


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32), slots=st.integers(1, 20))
def test_no_token_is_lost_or_made_and_slots_stay_within_bounds(seed: int, slots: int) -> None:
    rng = random.Random(seed)
    rate, capacity = rng.uniform(50.0, 500.0), 1000.0
    limiter = limited(Resource.TOTAL, rate, capacity, slots=slots)
    now, level, last = 0.0, capacity, 0.0
    open_tickets: list[Ticket] = []

    for _ in range(300):
        now += rng.expovariate(2.0)
        level, last = min(capacity, level + rate * (now - last)), now
        verb = rng.choice(["grant", "grant", "settle", "release"])
        if verb == "grant":
            cost = Cost(rng.uniform(1, 300), rng.uniform(0, 300))
            answer = limiter.admit(now, cost)
            if isinstance(answer, Ticket):
                open_tickets.append(answer)
                level -= sum(cost)
        elif open_tickets:
            ticket = open_tickets.pop(rng.randrange(len(open_tickets)))
            if verb == "settle":
                real = rng.uniform(0, 600)
                limiter.settle(now, ticket, real, 0.0)
                level = min(capacity, level + sum(ticket.cost) - real)
            else:
                limiter.release(now, ticket)
                level = min(capacity, level + sum(ticket.cost))
        assert 0 <= limiter.in_flight == len(open_tickets) <= slots
        limiter.buckets[0].advance(now)
        assert limiter.buckets[0].level == pytest.approx(level, abs=1e-6)

    for ticket in open_tickets:
        limiter.release(now, ticket)
    assert limiter.in_flight == 0


def test_a_request_larger_than_the_bucket_leaves_from_a_full_one_and_the_next_waits_for_the_debt() -> None:
    limiter = limited(Resource.IN, 100.0, 200.0)

    assert isinstance(limiter.admit(0.0, Cost(1000.0, 0.0)), Ticket)

    assert limiter.admit(0.0, Cost(50.0, 0.0)) == Wait(8.5, Cause.TOKENS)


def test_what_waits_for_tokens_holds_no_slot_and_no_request() -> None:
    limiter = limited(Resource.REQ, 1.0, 5.0, slots=2)
    limiter.limit(0.0, Resource.TOTAL, 10.0, 20.0)
    limiter.admit(0.0, Cost(20.0, 0.0))

    for tenth in range(1, 9):
        answer = limiter.admit(tenth / 10, Cost(10.0, 0.0))
        assert isinstance(answer, Wait)
        assert answer.cause is Cause.TOKENS

    assert limiter.in_flight == 1
    assert limiter.buckets[0].level == pytest.approx(4.8)


@settings(max_examples=200, deadline=None)
@given(holds=st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 20.0)), min_size=1, max_size=10))
def test_nothing_is_granted_inside_a_hold_and_a_shorter_one_does_not_end_a_longer(
    holds: list[tuple[float, float]],
) -> None:
    limiter = Limiter(5)
    now, until = 0.0, -math.inf
    for gap, length in holds:
        now += gap
        limiter.hold(now + length, is_asked=False)
        until = max(until, now + length)
        answer = limiter.admit(now, SMALL)
        if now < until:
            assert answer == Wait(until, Cause.COOLDOWN)
        else:
            assert isinstance(answer, Ticket)
            limiter.release(now, answer)

    assert isinstance(limiter.admit(until, SMALL), Ticket)


def test_a_paused_limiter_grants_nothing_until_it_is_resumed_and_then_no_more_than_its_burst() -> None:
    limiter = limited(Resource.REQ, 1.0, 3.0)
    limiter.pause()
    assert limiter.admit(0.0, SMALL) == Wait(math.inf, Cause.PAUSE)

    limiter.resume()

    granted = [isinstance(limiter.admit(3600.0, SMALL), Ticket) for _ in range(10)]
    assert granted.count(True) == 3


def test_after_a_wait_that_was_asked_for_one_probe_leaves_and_the_rest_follow_its_answer() -> None:
    limiter = Limiter(10)
    limiter.hold(5.0, is_asked=True)

    at, probe = grant(limiter, 0.0)
    assert at == 5.0
    assert limiter.admit(5.0, SMALL) == Wait(6.0, Cause.COOLDOWN)
    limiter.settle(5.4, probe, 1.0, 1.0)

    assert all(isinstance(limiter.admit(5.4, SMALL), Ticket) for _ in range(10))


def test_the_rest_follow_a_probe_that_still_runs_when_a_refusal_would_have_come() -> None:
    limiter = Limiter(10)
    limiter.probe_patience = 0.25
    limiter.hold(5.0, is_asked=True)
    grant(limiter, 5.0)

    assert limiter.admit(5.1, SMALL) == Wait(5.25, Cause.COOLDOWN)
    assert isinstance(limiter.admit(5.25, SMALL), Ticket)
    assert isinstance(limiter.admit(5.25, SMALL), Ticket)


def test_a_refused_probe_is_followed_by_one_probe_again() -> None:
    limiter = Limiter(10)
    limiter.hold(5.0, is_asked=True)
    _, probe = grant(limiter, 5.0)
    limiter.hold(9.0, is_asked=True)
    limiter.release(5.2, probe)

    at, _ = grant(limiter, 5.2)

    assert at == 9.0
    assert isinstance(limiter.admit(9.0, SMALL), Wait)


def test_departures_are_spaced_while_a_gap_is_set() -> None:
    limiter = Limiter(10)
    limiter.space(0.1)
    grant(limiter, 0.0)

    assert limiter.admit(0.05, SMALL) == Wait(0.1, Cause.REQUESTS)
    limiter.space(0.0)
    assert isinstance(limiter.admit(0.05, SMALL), Ticket)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
def test_only_the_first_of_settle_and_release_counts(first: str, second: str) -> None:
    limiter = limited(Resource.TOTAL, 1.0, 100.0)
    ticket = limiter.admit(0.0, Cost(60.0, 20.0))
    assert isinstance(ticket, Ticket)

    def close(verb: str) -> None:
        if verb == "settle":
            limiter.settle(0.0, ticket, 50.0, 20.0)
        else:
            limiter.release(0.0, ticket)

    close(first)
    level = limiter.buckets[0].level
    close(second)

    assert limiter.buckets[0].level == level == (30.0 if first == "settle" else 100.0)
    assert limiter.in_flight == 0


def test_a_clock_that_stands_or_steps_back_changes_nothing() -> None:
    limiter = limited(Resource.REQ, 2.0, 1.0)
    grant(limiter, 10.0)

    for now in (10.0, 10.0, 3.0, 9.9, 10.0):
        answer = limiter.admit(now, SMALL)
        assert isinstance(answer, Wait)
    at, _ = grant(limiter, 10.0)

    assert at == pytest.approx(10.5)


def test_a_new_rate_counts_from_its_moment_and_never_raises_the_level() -> None:
    limiter = limited(Resource.REQ, 1.0, 1.0)
    grant(limiter, 0.0)
    limiter.limit(0.5, Resource.REQ, 10.0, 5.0)

    assert limiter.buckets[0].level == pytest.approx(0.5)
    at, _ = grant(limiter, 0.5)
    assert at == pytest.approx(0.55)


def test_what_left_before_a_limit_existed_is_not_given_back_to_it() -> None:
    limiter = Limiter(10)
    _, early = grant(limiter, 0.0, Cost(500.0, 0.0))
    limiter.limit(0.0, Resource.TOTAL, 1.0, 100.0)
    grant(limiter, 0.0, Cost(80.0, 0.0))

    limiter.release(0.0, early)

    assert limiter.buckets[0].level == pytest.approx(20.0)


def test_a_header_lowers_a_level_only_beyond_the_slack_and_never_raises_it() -> None:
    limiter = limited(Resource.REQ, 1.0, 20.0)
    _, first = grant(limiter, 0.0)
    for _ in range(3):
        grant(limiter, 0.0)

    assert limiter.correct(0.0, Resource.REQ, first, limit=100.0, remaining=99.0) is None
    assert limiter.correct(0.0, Resource.REQ, first, limit=100.0, remaining=16.5) is None, "within the slack"
    assert limiter.correct(0.0, Resource.REQ, first, limit=100.0, remaining=8.0) == (16.0, 5.0)
    assert limiter.buckets[0].level == 5.0
    assert limiter.correct(0.0, Resource.IN, first, limit=100.0, remaining=0.0) is None, "not limited"
