"""Rates, percentiles and error counts, replayed on a clock of our own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.model import ItemError, Usage
from llmtop.policy.meters import Durations, MeterTotals, Ring, RunMeters, eta_s
from llmtop.snapshot import ErrorKind, ErrorsView

START = 5000.25


def test_a_steady_rate_is_that_rate_whatever_the_moment_in_the_second() -> None:
    ring = Ring(START, 1.0, 301)
    for tick in range(600):
        ring.add(START + tick * 0.1)

    for later in (0.0, 0.3, 0.5, 0.74):
        assert ring.rate(START + 60.0 + later, 10.0) == pytest.approx(10.0, rel=0.11)


def test_the_first_second_is_not_divided_by_less_than_a_second() -> None:
    ring = Ring(START, 1.0, 301)
    ring.add(START + 0.001, 5)

    assert ring.rate(START + 0.002, 10.0) == 5.0


def test_a_rate_falls_to_nothing_when_nothing_comes() -> None:
    ring = Ring(START, 1.0, 301)
    ring.add(START, 1000)

    assert ring.rate(START + 5, 10.0) > 100
    assert ring.rate(START + 12, 10.0) == 0.0
    assert ring.rate(START + 10_000_000, 10.0) == 0.0


def test_a_clock_that_goes_back_counts_in_the_newest_second() -> None:
    ring = Ring(START, 1.0, 10)
    ring.add(START + 5)
    ring.add(START + 3)

    assert ring.last(START + 5, 1) == (2.0,)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 9)), max_size=60), st.integers(1, 30))
def test_a_history_holds_exactly_what_happened_in_its_seconds(
    gaps: list[tuple[float, int]], count: int
) -> None:
    ring = Ring(START, 1.0, 31)
    now, events = START, []
    for gap, amount in gaps:
        now += gap
        ring.add(now, amount)
        events.append((now, amount))

    shown = ring.whole(now, count)

    newest = int(now)
    first = max(newest - count, int(START))
    expected = [sum(a for at, a in events if int(at) == second) for second in range(first, newest)]
    assert list(shown) == expected


@given(st.lists(st.floats(0.001, 5000), min_size=1, max_size=300))
def test_percentiles_are_right_to_one_percent(durations: list[float]) -> None:
    meter = Durations(300.0)
    for duration in durations:
        meter.add(START, duration)

    shown = meter.percentiles(START)

    ordered = sorted(durations)
    for share, value in ((0.5, shown.p50), (0.95, shown.p95), (0.99, shown.p99)):
        exact = ordered[max(1, math.ceil(share * len(ordered))) - 1]
        assert value == pytest.approx(exact, rel=0.0101)


def test_percentiles_are_unknown_before_the_first_and_after_the_last_went_out_of_the_window() -> None:
    meter = Durations(300.0)
    assert meter.percentiles(START).p50 is None

    meter.add(START, 2.0)

    assert meter.percentiles(START + 280).p50 == pytest.approx(2.0, rel=0.01)
    assert meter.percentiles(START + 311).p50 is None


def test_an_old_slow_hour_does_not_colour_the_present() -> None:
    meter = Durations(300.0)
    for second in range(1000):
        meter.add(START + second, 30.0 if second < 600 else 1.0)

    assert meter.percentiles(START + 1000).p99 == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("nonsense", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_a_nonsense_duration_is_counted_and_breaks_nothing(nonsense: float) -> None:
    meter = Durations(300.0)
    meter.add(START, nonsense)

    assert meter.percentiles(START).p50 is not None


def test_the_usual_p95_is_the_median_of_ten_minutes() -> None:
    meter = Durations(300.0)
    for second in range(600):
        meter.add(START + second, 9.0 if 300 <= second < 350 else 2.0)

    assert meter.p95_median(START + 600) == pytest.approx(2.0, rel=0.01)
    assert meter.p95_median(START + 6000) is None


def test_memory_of_a_meter_does_not_grow_with_events() -> None:
    meter = Durations(300.0)
    for event in range(50_000):
        meter.add(START + event * 0.1, 0.001 * (1 + event % 997))

    assert len(meter._slices) <= 30
    assert len(meter._total) < 1500


def test_the_throughput_view_says_what_happened() -> None:
    meters = RunMeters(START, MeterTotals(requests=100, retries=4))
    for second in range(60):
        now = START + second
        meters.sent(now, waited_s=0.5, is_retry=second % 10 == 0)
        meters.sent(now, waited_s=0.5)
        meters.answered(now, 1.5, Usage(input_tokens=400, output_tokens=80))
        meters.finished_items(now, 3)

    view = meters.throughput(START + 59.7)

    assert view.requests_per_s == pytest.approx(2.0, rel=0.1)
    assert view.items_per_s == pytest.approx(3.0, rel=0.1)
    assert view.items_per_s_5min == pytest.approx(3.0, rel=0.1)
    assert view.input_tokens_per_s == pytest.approx(400, rel=0.1)
    assert view.output_tokens_per_s == pytest.approx(80, rel=0.1)
    assert view.history_requests == (2.0,) * 59
    assert view.history_tokens == (480.0,) * 59
    assert view.requests_per_s_max == 2.0
    assert (view.requests, view.retries) == (100 + 120, 4 + 6)


def test_the_history_is_at_most_four_minutes() -> None:
    meters = RunMeters(START)
    for second in range(1000):
        meters.sent(START + second, 0.0)

    assert len(meters.throughput(START + 1000).history_requests) == 240


def test_latency_waiting_batches_and_lag_are_told_apart() -> None:
    meters = RunMeters(START)
    meters.sent(START, waited_s=4.0)
    meters.answered(START, 2.0, None)
    meters.batch_ended(START, 2460.0)
    meters.lagged(START, 0.004)

    view = meters.latency(START + 1)

    assert view.waiting.p50 == pytest.approx(4.0, rel=0.01)
    assert view.request.p95 == pytest.approx(2.0, rel=0.01)
    assert view.batch.p50 == pytest.approx(2460, rel=0.01)
    assert view.loop_lag_p99_s == pytest.approx(0.004, rel=0.01)


def test_the_end_is_unknown_until_items_finish_and_known_from_their_rate() -> None:
    meters = RunMeters(START)
    assert meters.eta_s(START + 60, 100) is None

    for second in range(60):
        meters.finished_items(START + second, 2)

    assert meters.eta_s(START + 60, 100) == pytest.approx(50, rel=0.05)
    assert meters.eta_s(START + 60, 0) == 0.0
    assert meters.eta_s(START + 600, 100) is None


def test_a_rate_of_a_few_seconds_says_nothing_about_the_end() -> None:
    meters = RunMeters(START)
    meters.finished_items(START + 1, 50)

    assert meters.eta_s(START + 2, 100) is None


@pytest.mark.parametrize(("rate", "pending", "seconds"), [(None, 5, None), (0.0, 5, None), (2.0, 5, 2.5)])
def test_the_end_follows_from_rate_and_what_is_pending(
    rate: float | None, pending: int, seconds: float | None
) -> None:
    assert eta_s(rate, pending) == seconds


def test_errors_are_counted_by_kind_with_what_they_cost() -> None:
    meters = RunMeters(START)
    for second in range(12):
        refused = ItemError("rate_limit", f"wait {second}", 429)
        meters.troubled(START + second * 10, 1e9 + second, refused, "wait")
    meters.troubled(START + 1, 1e9, ItemError("timeout", "after 120 s"), "try")
    meters.troubled(START + 2, 1e9, ItemError("server_error", "boom", 503), "item failed", 15)
    meters.troubled(START + 3, 1e9, ItemError("server_error", "boom", 500), "try")

    view = meters.errors(START + 120, cooldown_s=2.5)

    by_name = {kind.name: kind for kind in view.kinds}
    assert [kind.name for kind in view.kinds] == ["rate_limit", "server_error", "timeout"]
    assert by_name["rate_limit"].cost == "12 waits"
    assert by_name["rate_limit"].per_min == pytest.approx(6, abs=1)
    assert (by_name["rate_limit"].last_at, by_name["rate_limit"].last_message) == (1e9 + 11, "wait 11")
    assert by_name["server_error"].cost == "15 items failed, 1 try"
    assert (view.status_429, view.status_5xx, view.timeouts, view.cooldown_s) == (12, 2, 1, 2.5)
    assert sum(view.history_429) == 12
    assert sum(view.history_5xx) == 2


def test_a_history_of_errors_is_one_value_a_minute_for_an_hour() -> None:
    meters = RunMeters(0.0)
    for minute in range(100):
        meters.troubled(minute * 60.0 + 1, 0.0, ItemError("rate_limit", "", 429), "wait")

    view = meters.errors(99 * 60.0 + 5, 0.0)

    assert view.history_429 == (1,) * 60
    assert view.status_429 == 100


def test_counts_of_earlier_starts_are_kept_and_grow() -> None:
    before = ErrorsView(
        kinds=(ErrorKind("rate_limit", 40, 0.0, 1e9, "", "earlier"),), status_429=40, status_5xx=3
    )
    meters = RunMeters(START, MeterTotals(errors=before))
    meters.troubled(START, 2e9, ItemError("rate_limit", "now", 429), "wait")

    view = meters.errors(START, 0.0)

    assert (view.status_429, view.status_5xx) == (41, 3)
    assert (view.kinds[0].count, view.kinds[0].last_message) == (41, "now")
    assert meters.throughput(START).throttled_429 == 41


def test_a_long_error_message_is_cut() -> None:
    meters = RunMeters(START)
    meters.troubled(START, 0.0, ItemError("connection", "x" * 10_000), "try")

    assert len(meters.errors(START, 0.0).kinds[0].last_message) == 300
