"""Batch jobs for people: pace, time left, money, and when a row warns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.batch_jobs import BatchRecord, JobState
from llmtop.policy.job_figures import (
    Pace,
    Seen,
    batches_view,
    eta_s,
    job_row,
    latency_of,
    per_s_of,
    waiting_words,
)
from llmtop.snapshot import JobView

HOUR = 3600.0
DAY = 24 * HOUR
AT = 100_000.0
QUIET = Seen()


def record(**changes: Any) -> BatchRecord:
    """Return a job of 9,000 items that was created an hour ago and has done 3,000 of them."""
    values: dict[str, Any] = {
        "number": 2,
        "tag": "lt01-0002",
        "state": "in_progress",
        "model": "m",
        "requests": 9000,
        "items": 9000,
        "input_bytes": 1,
        "input_sha256": "",
        "tokens": 90_000,
        "reserved_pusd": 9000,
        "intended_at": AT - HOUR - 5,
        "created_at": AT - HOUR,
        "batch_id": "batch_1",
        "done": 2900,
        "failed": 100,
        "polled_at": AT,
        "expires_at": AT + 23 * HOUR,
    }
    return BatchRecord(**(values | changes))


def view(job: BatchRecord, at: float = AT, seen: Seen | None = QUIET) -> JobView:
    found = job_row(job, at, 0.5, seen).job
    assert found is not None
    return found


def test_the_pace_is_that_of_the_last_looks_and_not_of_the_time_in_the_queue() -> None:
    pace = Pace()
    assert pace.per_s(0.0) is None
    pace.saw(1000.0, 0)
    assert pace.per_s(0.0) is None
    for step in range(1, 30):
        pace.saw(1000.0 + 60 * step, 120 * step)

    assert pace.per_s(0.0) == pytest.approx(2.0)


def test_a_job_that_stands_still_has_no_pace_left_and_no_time_of_its_end() -> None:
    pace = Pace()
    for step in range(25):
        pace.saw(1000.0 + 60 * step, 500)

    row = job_row(record(), AT, 0.5, Seen(per_s=pace.per_s(0.0)))

    assert row.job is not None
    assert (row.job.per_min, row.job.eta_s) == (0.0, None)


def test_one_look_gives_the_pace_since_the_creation_and_a_count_that_goes_back_begins_anew() -> None:
    pace = Pace()
    pace.saw(1100.0, 50)
    assert pace.per_s(1000.0) == 0.5
    pace.saw(1200.0, 10)
    assert pace.per_s(1000.0) == 0.05


def test_time_left_counts_failed_lines_as_done_and_runs_down_between_looks() -> None:
    assert view(record()).eta_s == pytest.approx(2 * HOUR)
    assert view(record(), AT + 600, Seen(per_s=3000 / HOUR)).eta_s == pytest.approx(2 * HOUR - 600)


def test_cost_stands_beside_the_full_price_as_soon_as_lines_are_fetched_and_before_as_a_bound() -> None:
    before, after = record(), record(state="completed", ended_at=AT, retrieved=10, cost_pusd=300)

    assert (view(before).full_pusd, view(before).at_most_pusd) == (None, 2900)
    assert (view(after).full_pusd, view(after).at_most_pusd) == (600, None)
    assert job_row(before, AT, 0.5, Seen()).cost_pusd is None
    assert job_row(after, AT, None, Seen()).job == replace(view(after), full_pusd=None)


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({}, "plain"),
        ({"expires_at": AT + 1.9 * HOUR}, "warn"),
        ({"state": "held"}, "bad"),
        ({"state": "expired", "ended_at": AT}, "warn"),
        ({"state": "completed", "ended_at": AT, "results_until": AT + 3 * DAY}, "plain"),
        ({"state": "completed", "ended_at": AT, "results_until": AT + 1.9 * DAY}, "warn"),
        ({"state": "completed", "ended_at": AT, "results_until": AT + 0.9 * DAY}, "bad"),
        ({"state": "retrieved", "ended_at": AT, "over_at": AT, "results_until": AT}, "good"),
    ],
)
def test_a_row_warns_before_a_job_expires_and_before_results_vanish(
    changes: dict[str, Any], role: str
) -> None:
    assert job_row(record(**changes), AT, 0.5, Seen()).role == role


def test_a_wish_to_cancel_is_in_the_row_until_the_provider_has_taken_it() -> None:
    wanted = Seen(is_cancel_wanted=True)

    assert job_row(record(), AT, 0.5, wanted).state == "cancel asked"
    assert job_row(record(state="cancelling"), AT, 0.5, wanted).state == "cancelling"
    assert job_row(record(state="completed", ended_at=AT), AT, 0.5, wanted).state == "fetching"


def test_a_job_of_packs_counts_its_items_and_not_its_requests() -> None:
    row = job_row(record(requests=900, items=9000, done=300, failed=0), AT, 0.5, Seen(per_s=0.1))

    assert row.job is not None
    assert (row.items_done, row.items, row.job.requests) == (3000, 9000, 900)
    assert row.job.per_min == pytest.approx(60.0)
    assert row.job.eta_s == pytest.approx(6000.0)


def test_an_open_job_that_nobody_follows_says_how_it_goes_on() -> None:
    row = job_row(record(), AT, 0.5, None)

    assert row.role == "warn"
    assert "llmtop run" in row.note


def test_what_a_run_waits_for_is_said_with_the_first_of_the_next_looks() -> None:
    looks = (Seen(next_look_at=AT + 90), Seen(next_look_at=AT + 41))
    rows = [job_row(record(number=number), AT, 0.5, seen) for number, seen in enumerate(looks, 1)]
    rows.append(job_row(record(number=3, state="retrieved", over_at=AT, ended_at=AT), AT, 0.5, Seen()))
    together = batches_view(rows, 50, 0.5)

    assert (together.open, together.over, together.items, together.full_pusd) == (2, 1, 18_000, 100)
    assert waiting_words(together, AT) == "2 jobs, 5,800 of 18,000 items done, next look in 41s"
    assert eta_s(rows) == pytest.approx(2 * HOUR)


def test_the_end_is_not_known_while_one_job_does_not_tell() -> None:
    silent = record(number=1, done=None, failed=None)

    assert eta_s([job_row(each, AT, 0.5, Seen()) for each in (silent, record())]) is None


def test_a_job_took_as_long_as_from_its_creation_to_its_results_and_a_lost_one_does_not_count() -> None:
    done = record(state="retrieved", created_at=10.0, ended_at=50.0, over_at=70.0)

    assert latency_of(done) == 60.0
    assert latency_of(replace(done, ended_at=None)) is None
    assert latency_of(replace(done, state="released")) is None
    assert per_s_of(replace(done, done=70, failed=10, retrieved=90), AT) == 2.0


_moments = st.none() | st.floats(0, 2e9)


@given(
    state=st.sampled_from(get_args(JobState)),
    requests=st.integers(0, 10**6),
    done=st.none() | st.integers(0, 10**6),
    failed=st.none() | st.integers(0, 10**6),
    retrieved=st.integers(0, 10**6),
    times=st.tuples(*([_moments] * 6)),
    at=st.floats(0, 2e9),
    per_s=st.none() | st.floats(0, 1e6),
    is_followed=st.booleans(),
)
def test_no_figure_of_any_job_is_negative(
    state: JobState,
    requests: int,
    done: int | None,
    failed: int | None,
    retrieved: int,
    times: tuple[float | None, ...],
    at: float,
    per_s: float | None,
    is_followed: bool,
) -> None:
    names = ("created_at", "polled_at", "ended_at", "expires_at", "results_until", "over_at")
    job = record(
        state=state, requests=requests, items=requests * 3, done=done, failed=failed, retrieved=retrieved,
        **dict(zip(names, times, strict=True)),
    )  # fmt: skip

    row = job_row(job, at, 0.5, Seen(per_s=per_s, next_look_at=at) if is_followed else None)

    assert row.job is not None
    figures = (row.latency_s, row.job.per_min, row.job.eta_s, row.job.full_pusd, row.job.at_most_pusd)
    assert all(each is None or each >= 0 for each in figures)
    assert batches_view([row], 0, None).open == (job.over_at is None)
