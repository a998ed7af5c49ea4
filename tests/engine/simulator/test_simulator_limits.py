from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.simulator import CapacityStep, Profile
from llmtop.adapters.simulator.admission import Admission
from llmtop.adapters.simulator.latency import Load
from llmtop.adapters.simulator.limits import FixedWindow, RampLimit, ServiceQueue, TokenBucket, sliced_minute

GAPS = st.lists(st.integers(0, 96), min_size=1, max_size=80)
"""Gaps between arrivals in 1/64 s: exact in binary."""


def arrivals(gaps: list[int]) -> list[float]:
    times, now = [], 0
    for gap in gaps:
        now += gap
        times.append(now / 64)
    return times


def let_through(limit: TokenBucket | FixedWindow, times: list[float]) -> list[float]:
    passed = []
    for now in times:
        if limit.wait_s(now, 1.0) == 0:
            limit.take(now, 1.0)
            passed.append(now)
    return passed


@given(gaps=GAPS, rate=st.sampled_from([0.5, 1.7, 2.0, 7.7]), capacity=st.sampled_from([1.0, 2.0, 5.0]))
def test_a_bucket_never_lets_more_through_than_capacity_plus_rate_times_time(
    gaps: list[int], rate: float, capacity: float
) -> None:
    passed = let_through(TokenBucket(rate, capacity, 0.0), arrivals(gaps))

    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = capacity + rate * (passed[last] - passed[first])
            assert last - first + 1 <= allowed + 1e-6


@given(gaps=GAPS, rate=st.sampled_from([0.5, 1.7, 2.0]), capacity=st.sampled_from([1.0, 2.0, 5.0]))
def test_whoever_waits_as_long_as_the_bucket_says_is_let_through(
    gaps: list[int], rate: float, capacity: float
) -> None:
    bucket = TokenBucket(rate, capacity, 0.0)

    now = 0.0
    for gap in gaps:
        now += gap / 64
        now += bucket.wait_s(now, 1.0)
        assert bucket.wait_s(now, 1.0) == 0
        bucket.take(now, 1.0)


@given(gaps=GAPS, amount=st.integers(1, 6), window_s=st.sampled_from([1.0, 2.0]))
def test_a_fixed_window_lets_exactly_its_amount_through_and_forgets_the_rest(
    gaps: list[int], amount: int, window_s: float
) -> None:
    times = arrivals(gaps)
    passed = let_through(FixedWindow(amount, window_s, 0.0), times)

    for index in {math.floor(time / window_s) for time in times}:
        came = [time for time in times if math.floor(time / window_s) == index]
        assert sum(1 for time in passed if math.floor(time / window_s) == index) == min(amount, len(came))


def test_an_amount_larger_than_the_limit_passes_when_it_is_untouched_and_the_next_waits_for_the_debt() -> (
    None
):
    bucket, window = TokenBucket(10.0, 100.0, 0.0), FixedWindow(100.0, 60.0, 0.0)

    for limit in (bucket, window):
        assert limit.wait_s(0.0, 250.0) == 0
        limit.take(0.0, 250.0)

    assert bucket.wait_s(0.0, 50.0) == pytest.approx(20.0)
    assert window.wait_s(0.0, 50.0) == pytest.approx(120.0)
    assert window.wait_s(120.0, 50.0) == 0


def test_a_rate_of_nothing_never_lets_anybody_through_again() -> None:
    bucket = TokenBucket(0.0, 1.0, 0.0)
    bucket.take(0.0, 1.0)

    assert bucket.wait_s(1e6, 1.0) == math.inf


@pytest.mark.parametrize(
    ("per_minute", "slice_s", "in_a_slice"), [(600.0, 1.0, 10.0), (60.0, 1.0, 1.0), (20.0, 3.0, 1.0)]
)
def test_a_sliced_minute_is_enforced_in_short_windows(
    per_minute: float, slice_s: float, in_a_slice: float
) -> None:
    limit = sliced_minute(per_minute, 0.0)

    limit.take(0.0, in_a_slice)

    assert limit.size == in_a_slice
    assert limit.wait_s(0.0, 1.0) == pytest.approx(slice_s)


def test_a_ramp_allows_growth_by_its_factor_from_second_to_second() -> None:
    ramp = RampLimit(factor=2.0, floor=3)
    passed = []

    for second in range(4):
        count = 0
        while ramp.wait_s(float(second)) == 0 and count < 100:
            ramp.take(float(second))
            count += 1
        passed.append(count)

    assert passed == [3, 6, 12, 24]


def test_a_service_queue_serves_in_order_with_all_its_places() -> None:
    queue = ServiceQueue(2)

    assert [queue.delay_s(0.0, 1.0) for _ in range(5)] == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert queue.delay_s(10.0, 1.0) == 1.0


def test_soft_capacity_slows_down_or_queues_but_never_refuses() -> None:
    slow = Load(Profile(soft_capacity=4, soft_style="slow", soft_slowdown=0.5))
    queue = Load(Profile(soft_capacity=1, soft_style="queue"))

    assert [slow.delay_s(0.0, 1.0, in_flight) for in_flight in (1, 4, 8)] == [1.0, 1.0, 1.5]
    assert [queue.delay_s(0.0, 1.0, 1) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_a_request_is_let_in_by_all_limits_or_takes_from_none() -> None:
    admission = Admission(Profile(requests_per_minute=10, tokens_per_minute=100), 0.0)

    assert admission.admit(0.0, 100) is None
    refusal = admission.admit(0.0, 50)

    assert refusal is not None and refusal.cause == "tokens"
    assert admission.left(0.0, "requests") == (10.0, 9.0, 6.0)


@pytest.mark.parametrize(("is_counted", "still_refused"), [(False, False), (True, True)])
def test_a_storm_of_refused_requests_keeps_itself_alive_only_where_they_count(
    is_counted: bool, still_refused: bool
) -> None:
    admission = Admission(Profile(requests_per_second=2, burst=2, count_refused=is_counted), 0.0)

    for step in range(40):
        admission.admit(0.0 if step < 2 else 0.01 * step, 0)

    assert (admission.admit(0.6, 0) is not None) is still_refused


def test_a_concurrency_cap_counts_who_is_in_and_is_free_again_after_a_release() -> None:
    admission = Admission(Profile(concurrency=2), 0.0)

    causes = [refusal and refusal.cause for refusal in (admission.admit(0.0, 0) for _ in range(3))]
    admission.release(1.0, 0)

    assert causes == [None, None, "concurrency"]
    assert admission.admit(1.0, 0) is None


def test_a_capacity_schedule_changes_the_cap_and_starts_over() -> None:
    steps = (CapacityStep(20, 0.5), CapacityStep(40, 1))
    admission = Admission(Profile(concurrency=8, capacity_steps=steps, capacity_repeat_s=60), 100.0)
    caps = []

    for now in (100.0, 121.0, 141.0, 165.0, 181.0):
        admission.admit(now, 0)
        caps.append(admission.concurrency)

    assert caps == [8, 4, 8, 8, 4]


def test_a_change_of_one_limit_leaves_the_others_as_they_are() -> None:
    before = Profile(requests_per_second=5, burst=5, tokens_per_minute=1000)
    admission = Admission(before, 0.0)
    for _ in range(5):
        admission.admit(0.0, 10)

    admission.change(Profile(requests_per_second=5, burst=5, tokens_per_minute=2000), 0.0)

    assert admission.admit(0.0, 10) is not None
    assert admission.left(0.0, "tokens") == pytest.approx((2000.0, 2000.0, 0.0))
    assert admission.in_flight == 5


def test_actual_token_charge_is_settled_at_the_end() -> None:
    admission = Admission(Profile(tokens_per_minute=600), 0.0)

    admission.admit(0.0, 100)
    admission.release(0.0, -200)

    assert admission.left(0.0, "tokens") == (600.0, 300.0, 30.0)
