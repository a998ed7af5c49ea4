"""How many items make a job, when to look at it, and whether it is there."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.batch_jobs import RemoteBatch
from llmtop.model import ItemError, Outcome, ProviderError
from llmtop.policy.batching import (
    Adopt,
    Filling,
    Hold,
    Intent,
    JobLimits,
    LookAgain,
    NotThere,
    Patience,
    after_line,
    are_results_lost,
    backoff,
    choose_way,
    countdown_words,
    is_lost,
    poll_delay,
    reconcile,
)

TAGGED = Intent(tag="lt1-1", file_id="file-1", requests=10, intended_at=1000.0, has_tag=True)
BARE = Intent(tag="lt1-1", file_id=None, requests=10, intended_at=1000.0, has_tag=False)


def remote(name: str, **shown: object) -> RemoteBatch:
    return RemoteBatch(name, "in_progress", "in_progress", **shown)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 50)), max_size=60))
def test_no_job_ever_passes_a_limit(lines: list[tuple[int, int]]) -> None:
    limits = JobLimits(max_requests=10, max_bytes=1000, max_enqueued_tokens=120)
    filling = Filling(limits, overhead_bytes=2, between_bytes=1, enqueued_tokens=20)
    for size, tokens in lines:
        if filling.takes(size, tokens):
            filling.add(size, tokens)
    assert filling.requests <= 10
    assert filling.size_bytes <= 950
    assert filling.tokens + 20 <= 120


def test_a_line_that_no_job_can_hold_is_known() -> None:
    filling = Filling(JobLimits(max_requests=10, max_bytes=1000), overhead_bytes=2, between_bytes=1)
    assert filling.is_too_large(949)
    assert not filling.is_too_large(948)


def test_the_first_line_fits_the_queue_when_nothing_else_waits() -> None:
    limits = JobLimits(max_requests=10, max_bytes=1000, max_enqueued_tokens=5)
    assert Filling(limits, 0, 1).takes(10, 50)
    assert not Filling(limits, 0, 1, enqueued_tokens=1).takes(10, 50)


@given(st.floats(0, 1e6), st.floats(0.01, 600), st.integers(0, 100), st.integers(0))
def test_a_look_never_comes_sooner_than_wished_nor_much_later_than_a_minute(
    age_s: float, shortest_s: float, done: int, seed: int
) -> None:
    delay_s = poll_delay(age_s, shortest_s, random.Random(seed), done=done, requests=100)
    assert shortest_s <= delay_s <= 1.2 * max(60.0, shortest_s)


def test_looks_become_rare_with_age_and_frequent_near_the_end() -> None:
    rng = random.Random(1)
    young, old = poll_delay(10, 5, rng), poll_delay(3600, 5, rng)
    near = poll_delay(3600, 5, rng, done=9990, requests=10_000)
    assert young < 10 < 55 < old
    assert near < 7
    assert backoff(1, 5, rng) < 7
    assert backoff(50, 5, rng) >= 60


def test_a_job_is_found_by_its_tag_or_its_file_and_never_by_anothers() -> None:
    others = [remote("b-9", tag="lt1-11"), remote("b-8", tag="lt2-1", input_file="file-2")]
    assert reconcile(TAGGED, [*others, remote("b-1", tag="lt1-1")], (), 1, is_late=True) == Adopt(
        "b-1", is_proven=True
    )
    assert reconcile(TAGGED, [remote("b-2", input_file="file-1")], (), 1, is_late=True) == Adopt(
        "b-2", is_proven=True
    )
    assert reconcile(TAGGED, others, (), 3, is_late=True) == LookAgain()
    assert reconcile(TAGGED, others, (), 4, is_late=True) == NotThere()
    assert reconcile(TAGGED, others, (), 99, is_late=False) == LookAgain(), "the list may be late"


def test_without_a_tag_the_only_unknown_job_of_its_size_and_time_is_taken_on_trust() -> None:
    mine = remote("b-1", requests=10, created_at=1001.0)
    others = [
        remote("b-2", requests=11, created_at=1001.0),
        remote("b-3", requests=10, created_at=900.0),
        remote("b-4", requests=10, created_at=1002.0),
    ]
    assert reconcile(BARE, [mine, *others], {"b-4"}, 1, is_late=True) == Adopt("b-1", is_proven=False)
    held = reconcile(BARE, [mine, *others], (), 1, is_late=True)
    assert isinstance(held, Hold)
    assert "b-4" in held.why


def test_a_404_is_weather_for_ten_minutes() -> None:
    assert not is_lost(None, 1e9)
    assert not is_lost(1000.0, 1599.0)
    assert is_lost(1000.0, 1600.0)


def test_results_that_are_paid_for_outlast_an_outage_and_a_404_is_believed_after_some_looks() -> None:
    assert not are_results_lost(0.0, 3600.0, 500, is_gone=False)
    assert are_results_lost(0.0, 86_400.0, 2, is_gone=False)
    assert not are_results_lost(0.0, 1e6, 5, is_gone=True)
    assert are_results_lost(0.0, 1.0, 6, is_gone=True)


@given(st.floats(0.1, 1e5), st.lists(st.floats(0.0, 1e4), max_size=40))
def test_patience_is_over_when_the_row_of_refusals_has_lasted_for_so_long(
    most_s: float, waits: list[float]
) -> None:
    patience, now = Patience(most_s), 50.0
    assert not patience.is_over(now)
    for wait_s in waits:
        now += wait_s
        assert patience.is_over(now) == (now - 50.0 >= most_s)
    patience.eased()
    assert not patience.is_over(now + 1e6)


@pytest.mark.parametrize(
    ("error", "tries", "sends", "follows"),
    [
        (ProviderError(ItemError("bad_request", "no"), Outcome.BAD, is_final=True), 1, 1, "fail"),
        (ProviderError(ItemError("server_error", "no"), Outcome.FAULT), 5, 5, "again"),
        (ProviderError(ItemError("server_error", "no"), Outcome.FAULT), 6, 6, "fail"),
        (ProviderError(ItemError("cancelled", "no"), Outcome.FAULT), 0, 18, "fail"),
        (
            ProviderError(ItemError("quota_exhausted", "no"), Outcome.STOP_BILLING, is_final=True),
            6,
            6,
            "again",
        ),
    ],
)
def test_what_follows_the_error_of_a_line(error: ProviderError, tries: int, sends: int, follows: str) -> None:
    assert after_line(error, tries, sends, 6) == follows


@pytest.mark.parametrize(
    ("items", "settings", "mode", "word"),
    [
        (999, {}, "realtime", "999 items"),
        (1000, {}, "batch", "50%"),
        (1000, {"batch_factor": None}, "batch", "as a rule"),
        (1000, {"batch_factor": 1.0}, "realtime", "no less"),
        (9000, {"deadline_s": 3600.0}, "realtime", "within 60 min"),
        (9000, {"has_batches": False}, "realtime", "no batch API"),
        (9000, {"has_checks": True}, "realtime", "pack_check"),
    ],
)
def test_auto_chooses_by_size_price_and_deadline_and_says_why(
    items: int, settings: dict[str, object], mode: str, word: str
) -> None:
    usual: dict[str, object] = {
        "has_batches": True,
        "batch_factor": 0.5,
        "deadline_s": None,
        "window_s": 86400.0,
        "has_checks": False,
    }
    way = choose_way(items, **(usual | settings))  # type: ignore[arg-type]
    assert (way.mode, word in way.why) == (mode, True)


def test_a_countdown_says_what_is_left() -> None:
    def words(**more: object) -> str:
        return countdown_words(
            1000.0,
            **({"expires_at": 8200.0, "results_until": None, "is_terminal": False} | more),  # type: ignore[arg-type]
        )

    assert words() == "expires in 2 h"
    assert words(is_terminal=True, results_until=1000.0 + 29 * 86400) == "results kept 29 d"
    assert words(expires_at=None) == ""
