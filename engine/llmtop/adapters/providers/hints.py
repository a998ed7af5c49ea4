"""What a provider says about waiting and about its limits, in every format seen so far.

Sources: RFC 9110 (Retry-After), the reset headers of OpenAI and Azure (Go durations, plain seconds),
RFC 3339 times, Google's `RetryInfo`, and message texts as the last resort. Pure: `now` is an argument.
Nothing here raises, and no wait is negative: what cannot be read was not said (None).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Literal

from llmtop.model import LimitHeaders

_LONGEST_S = 366 * 86_400.0
"""A wait above a year is kept as a year: nobody waits for it either way."""

_MINUTE_S = 60.0
_MAX_TEXT = 2_000
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_GO_DURATION = re.compile(r"(?:\d{1,15}(?:\.\d{0,15})?(?:ns|us|µs|μs|ms|h|m|s)){1,8}", re.ASCII)
_GO_PART = re.compile(r"(\d{1,15}(?:\.\d{0,15})?)(ns|us|µs|μs|ms|h|m|s)", re.ASCII)
_NUMBER = re.compile(r"\d{1,300}(?:\.\d{0,100})?", re.ASCII)
_IN_WORDS = re.compile(
    r"(?:again|retry|wait)[^\d\n]{0,40}?(\d{1,9}(?:\.\d{0,12})?)\s*(ms|milliseconds?|s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b",
    re.ASCII | re.IGNORECASE,
)
_IN_GO_WORDS = re.compile(
    r"(?:again|retry|wait)[^\d\n]{0,40}?((?:\d{1,9}(?:\.\d{0,12})?(?:ms|h|m|s)){2,4})\b",
    re.ASCII | re.IGNORECASE,
)


def _positive(seconds: float) -> float | None:
    """Return a wait that means something: finite and above 0, at most a year."""
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(seconds, _LONGEST_S)


@lru_cache(maxsize=1024)
def go_duration_s(text: str) -> float | None:
    """Read `1s`, `6m0s`, `20ms`, `1h2m3s`, `1m26.4s`; seconds, 0 included. None: not a duration."""
    text = text.strip()[:100]
    if not _GO_DURATION.fullmatch(text):
        return None
    seconds = math.fsum(float(number) * _UNIT_S[unit] for number, unit in _GO_PART.findall(text))
    return min(seconds, _LONGEST_S)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _moment(text: str) -> float | None:
    """Read an HTTP date or an RFC 3339 time as epoch seconds."""
    text = text.strip()[:100]
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def seconds_until(text: str, headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until a date; counted from the answer's own `Date`, since clocks differ."""
    moment = _moment(text)
    if moment is None:
        return None
    sent_at = _moment(headers.get("date", ""))
    return _positive(moment - (now if sent_at is None else sent_at))


def _reset_s(text: str | None, headers: Mapping[str, str], now: float) -> float | None:
    """Read a reset header: a duration, plain seconds (Azure), epoch seconds or milliseconds, or a time."""
    if not text:
        return None
    duration = go_duration_s(text)
    if duration is not None:
        return duration
    number = _number(text)
    if number is None:
        return seconds_until(text, headers, now)
    if number >= 1e11:
        return _positive(number / 1000.0 - now)
    if number >= 1e8:
        return _positive(number - now)
    return min(number, _LONGEST_S)


def _header_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Read `retry-after-ms`, then `retry-after`: seconds, a fraction of them, or an HTTP date."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and (wait := _positive(milliseconds / 1000.0)) is not None:
        return wait
    text = headers.get("retry-after")
    if not text:
        return None
    seconds = _number(text)
    if seconds is not None:
        return _positive(seconds)
    duration = go_duration_s(text)
    return _positive(duration) if duration is not None else seconds_until(text, headers, now)


def _detail_wait_s(details: object) -> float | None:
    """Read Google's `RetryInfo` in an error's `details`: `retryDelay` of "34s" or "34.07s"."""
    if not isinstance(details, list):
        return None
    for detail in details[:50]:
        if not isinstance(detail, dict) or not str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            continue
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (seconds := go_duration_s(delay)) is not None:
            return _positive(seconds)
    return None


def message_wait_s(message: str) -> float | None:
    """Read "Please try again in 6m0s", "... in 1.2s", "... in 20 seconds": the last resort."""
    text = message[:_MAX_TEXT]
    if match := _IN_GO_WORDS.search(text):
        seconds = go_duration_s(match[1].lower())
        return None if seconds is None else _positive(seconds)
    if not (match := _IN_WORDS.search(text)):
        return None
    unit = match[2].lower()
    letters = "ms" if unit.startswith(("ms", "milli")) else unit[0]
    return _positive(float(match[1]) * _UNIT_S[letters])


def wait_s(headers: Mapping[str, str], details: object, message: str, now: float) -> float | None:
    """Return the seconds that the provider asked to wait, above 0; None where it said nothing readable.

    Headers come before the body's details, and those before the message. `headers` has lower-case names.
    """
    for wait in (_header_wait_s(headers, now), _detail_wait_s(details)):
        if wait is not None:
            return wait
    return message_wait_s(message)


@lru_cache(maxsize=4096)
def amount_of(text: str | None) -> float | None:
    """Read a count of requests or tokens; "-1" and the like mean that it is not said."""
    if not text:
        return None
    number = _number(text)
    return number if number is not None and math.isfinite(number) else None


def limit_headers(
    headers: Mapping[str, str], requests_window_s: float, now: float
) -> tuple[LimitHeaders, ...]:
    """Read `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.

    `requests_window_s`: what the server counts requests over (some count a day under the same name).
    """
    get = headers.get
    found: list[LimitHeaders] = []
    limit, remaining = get("x-ratelimit-limit-requests"), get("x-ratelimit-remaining-requests")
    if limit or remaining:
        reset = _reset_s(get("x-ratelimit-reset-requests"), headers, now)
        found.append(
            LimitHeaders("requests", amount_of(limit), amount_of(remaining), reset, requests_window_s)
        )
    limit, remaining = get("x-ratelimit-limit-tokens"), get("x-ratelimit-remaining-tokens")
    if limit or remaining:
        reset = _reset_s(get("x-ratelimit-reset-tokens"), headers, now)
        found.append(LimitHeaders("total_tokens", amount_of(limit), amount_of(remaining), reset, _MINUTE_S))
    return tuple(found)


def exhausted_scope(limits: Iterable[LimitHeaders]) -> Literal["requests", "tokens"] | None:
    """Return the one limit that the headers show as used up; None: none, or both."""
    empty = {"requests" if one.resource == "requests" else "tokens" for one in limits if one.remaining == 0}
    if empty == {"requests"}:
        return "requests"
    return "tokens" if empty == {"tokens"} else None


def text_of(value: Any, limit: int) -> str:
    """Return a text of others for storing: NUL and lone surrogates become U+FFFD, cut to `limit`."""
    text = value if isinstance(value, str) else str(value)
    return storable(text[:limit])


def storable(text: str) -> str:
    """Return `text` as it is stored: lone surrogates and NUL become U+FFFD, nothing else changes."""
    if text.isascii():
        return text.replace("\0", "�") if "\0" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "�")
