from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.simulator import Profile
from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.refusals import go_duration, hint_headers, rate_headers, refusal_body

NOW = 1_795_200_000.0
RATE = Refusal("requests", 1.25, 2.0, 2.0, 1.0, "second")


@pytest.mark.parametrize(
    ("hint", "headers"),
    [
        ("retry_after", {"retry-after": "2"}),
        ("retry_after_float", {"retry-after": "1.250"}),
        ("retry_after_ms", {"retry-after-ms": "1250"}),
        ("reset_headers", {"x-ratelimit-reset-requests": "1.25s", "x-ratelimit-remaining-requests": "0"}),
        ("message", {}),
        ("none", {}),
    ],
)
def test_each_way_of_saying_when_to_come_back(hint: Any, headers: dict[str, str]) -> None:
    assert hint_headers(Profile(hint=hint), RATE, NOW) == headers


def test_a_date_as_hint_is_never_before_the_wait_is_over() -> None:
    said = hint_headers(Profile(hint="http_date"), RATE, NOW)["retry-after"]

    assert NOW + 1.25 <= parsedate_to_datetime(said).timestamp() <= NOW + 2.25


def test_a_hint_in_the_message_is_a_go_duration() -> None:
    _, body = refusal_body(Profile(hint="message"), RATE, "m")

    assert body["error"]["message"].endswith("Please try again in 1.25s.")


def test_a_literal_hint_is_said_whatever_the_wait() -> None:
    assert hint_headers(Profile(hint_text="-1"), RATE, NOW) == {"retry-after": "-1"}
    assert hint_headers(Profile(hint_text="soon", hint="retry_after_ms"), RATE, NOW) == {
        "retry-after-ms": "soon"
    }


@pytest.mark.parametrize(
    ("cause", "settings", "status", "type_", "code"),
    [
        ("requests", {}, 429, "requests", "rate_limit_exceeded"),
        ("tokens", {}, 429, "tokens", "rate_limit_exceeded"),
        ("concurrency", {}, 429, "concurrency", "concurrency_limit_exceeded"),
        (
            "concurrency",
            {"concurrency_status": 503},
            503,
            "service_unavailable_error",
            "server_is_overloaded",
        ),
        ("concurrency", {"concurrency_status": 529}, 529, "overloaded_error", None),
        ("ramp", {}, 429, "rate_limit_error", "slow_down"),
        ("quota", {}, 429, "insufficient_quota", "insufficient_quota"),
        (
            "quota",
            {"quota_code": "credit_balance_exhausted"},
            429,
            "insufficient_quota",
            "credit_balance_exhausted",
        ),
        ("requests", {"is_refusal_named": False}, 429, None, 429),
    ],
)
def test_each_cause_has_its_own_status_type_and_code(
    cause: Any, settings: dict[str, Any], status: int, type_: str | None, code: str | int | None
) -> None:
    refusal = Refusal(cause, 1.0, 2.0, 2.0, 1.0, "minute")

    got, body = refusal_body(Profile(**settings), refusal, "m")

    assert (got, body["error"]["type"], body["error"]["code"]) == (status, type_, code)


@pytest.mark.parametrize("cause", ["quota", "requests"])
def test_a_refusal_without_an_end_gives_no_hint(cause: Any) -> None:
    endless = Refusal(cause, math.inf, 2.0, 2.0, 1.0, "minute")

    for hint in ("retry_after", "http_date", "reset_headers", "message"):
        profile = Profile(hint=hint, hint_text="5" if cause == "quota" else "")
        assert hint_headers(profile, endless, NOW) == {}
        assert refusal_body(profile, endless, "m")[0] == 429


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (0.0001, "1ms"),
        (0.02, "20ms"),
        (1, "1s"),
        (59.9, "59.9s"),
        (86.4, "1m26.4s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (3723, "1h2m3s"),
        (math.inf, "8760h0m0s"),
    ],
)
def test_a_go_duration_reads_as_go_prints_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.integers(1, 10_000_000))
def test_a_go_duration_is_never_shorter_than_the_wait_and_at_most_a_millisecond_longer(millis: int) -> None:
    text = go_duration(millis / 1000)
    total = 0.0
    number = ""
    for index, letter in enumerate(text):
        if letter.isdigit() or letter == ".":
            number += letter
        elif number:
            is_millis = text[index:] == "ms"
            total += float(number) * {"h": 3600, "m": 0.001 if is_millis else 60, "s": 1}[letter]
            number = ""

    assert total == pytest.approx(millis / 1000, abs=1e-6)


def test_rate_headers_tell_what_is_left_of_the_limits_that_there_are() -> None:
    admission = Admission(Profile(requests_per_minute=60, tokens_per_minute=6000), 0.0)
    admission.admit(0.0, 600)

    assert rate_headers(admission, 0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5400",
        "x-ratelimit-reset-tokens": "6s",
    }
    assert rate_headers(Admission(Profile(), 0.0), 0.0) == {}


def test_a_server_with_a_small_burst_still_tells_its_limit_by_the_minute() -> None:
    admission = Admission(Profile(requests_per_second=7.0, burst=4.0), 0.0)
    admission.admit(0.0, 10.0)

    headers = rate_headers(admission, 0.0)

    assert headers["x-ratelimit-limit-requests"] == "420"
    assert headers["x-ratelimit-remaining-requests"] == "419"
