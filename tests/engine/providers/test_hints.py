"""Waits and limits in every format that a provider uses."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.providers import hints
from llmtop.model import LimitHeaders

NOW = 1_795_200_000.0
HEADER_NAMES = (
    "retry-after",
    "retry-after-ms",
    "date",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
)


def wait(headers: dict[str, str] | None = None, details: object = None, message: str = "") -> float | None:
    return hints.wait_s(headers or {}, details, message, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3s", 3723.0),
        ("59.9s", 59.9),
        ("1m26.4s", 86.4),
        ("0s", 0.0),
        ("500µs", 0.0005),
        ("", None),
        ("6m 0s", None),
        ("-1s", None),
        ("1", None),
        ("nan", None),
    ],
)
def test_a_go_duration_is_read_whole_or_not_at_all(text: str, seconds: float | None) -> None:
    assert hints.go_duration_s(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after": formatdate(NOW + 42, usegmt=True)}, 42.0),
        ({"retry-after": "2026-11-20T18:41:00Z"}, 60.0),
        ({"retry-after": "100000"}, 100_000.0),
    ],
)
def test_a_readable_wait_is_what_was_asked_for(headers: dict[str, str], seconds: float) -> None:
    assert wait(headers) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["0", "-3", "nan", "inf", "1e400", "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "٣"]
)
def test_zero_negative_past_and_unreadable_waits_were_not_said(text: str) -> None:
    assert wait({"retry-after": text}) is None


def test_a_date_counts_from_the_servers_own_clock_where_it_tells_it() -> None:
    ahead = NOW + 86_400.0
    headers = {"date": formatdate(ahead, usegmt=True), "retry-after": formatdate(ahead + 5, usegmt=True)}

    assert wait(headers) == pytest.approx(5.0)


def test_googles_retry_info_counts_when_no_header_says_anything() -> None:
    details = [{"@type": "x"}, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]

    assert wait({}, details) == pytest.approx(34.07)
    assert wait({"retry-after": "2"}, details) == 2.0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 6m0s. Visit", 360.0),
        ("Please try again in 1.2s.", 1.2),
        ("please try again in 20ms", 0.02),
        ("Please retry in 34.074824224s.", 34.074824224),
        ("Try again in 20 seconds", 20.0),
        ("wait 2 minutes", 120.0),
        ("Limit 20 per minute", None),
        ("try again later", None),
    ],
)
def test_a_wait_in_the_message_is_the_last_resort(message: str, seconds: float | None) -> None:
    assert wait(message=message) == (None if seconds is None else pytest.approx(seconds))
    assert wait({"retry-after": "3"}, message=message) == 3.0


def test_limit_headers_are_read_with_the_window_that_the_server_counts_over() -> None:
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-reset-tokens": "0",
    }

    requests, tokens = hints.limit_headers(headers, 86_400.0, NOW)

    assert requests == LimitHeaders("requests", 14_400.0, 14_370.0, 179.56, 86_400.0)
    assert tokens == LimitHeaders("total_tokens", 18_000.0, None, 0.0, 60.0)


def test_headers_without_limits_say_nothing() -> None:
    assert hints.limit_headers({"x-ratelimit-reset-requests": "1s"}, 60.0, NOW) == ()


@given(
    st.dictionaries(
        st.sampled_from(HEADER_NAMES), st.text() | st.from_regex(r"-?[0-9]{0,400}(\.[0-9]+)?[hms]{0,2}")
    ),
    st.recursive(
        st.none() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["@type", "retryDelay"]), inner),
        max_leaves=8,
    ),
    st.text(),
    st.floats(0, 4e9),
)
def test_no_hint_raises_and_no_wait_is_negative_or_endless(
    headers: dict[str, str], details: object, message: str, now: float
) -> None:
    seconds = hints.wait_s(headers, details, message, now)

    assert seconds is None or (0.0 < seconds <= 366 * 86_400.0)
    for said in hints.limit_headers(headers, 60.0, now):
        for figure in (said.limit, said.remaining, said.reset_s):
            assert figure is None or (figure >= 0.0 and math.isfinite(figure))


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_what_is_stored_has_no_nul_and_no_lone_surrogate_and_is_otherwise_the_same(text: str) -> None:
    stored = hints.storable(text)

    assert "\0" not in stored
    stored.encode()
    if "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert stored == text
