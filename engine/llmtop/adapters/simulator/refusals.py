"""What a refused request is told: status, body, and each way of saying when to come back. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, Literal

from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.complaints import error_body
from llmtop.adapters.simulator.profile import Profile

_UNITS = {"requests": {"second": "requests per second (RPS)", "minute": "requests per min (RPM)"},
          "tokens": {"second": "tokens per second (TPS)", "minute": "tokens per min (TPM)"}}  # fmt: skip


_LONGEST_S = 365 * 86_400.0


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it: `0s`, `20ms`, `1.5s`, `6m0s`, `1h2m3s`."""
    seconds = min(seconds, _LONGEST_S)
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{max(1, math.ceil(seconds * 1000))}ms"
    millis = math.ceil(seconds * 1000 - 1e-6)
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def refusal_body(profile: Profile, refusal: Refusal, model: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of a refusal."""
    cause = refusal.cause
    if cause == "quota":
        message = (
            "You exceeded your current quota, please check your plan and billing details. "
            "For more information on this error, read the docs on error codes."
        )
        return 429, error_body(message, "insufficient_quota", None, profile.quota_code)
    if cause == "concurrency" and profile.concurrency_status != 429:
        type_ = "overloaded_error" if profile.concurrency_status == 529 else "service_unavailable_error"
        code = None if profile.concurrency_status == 529 else "server_is_overloaded"
        return profile.concurrency_status, error_body("Overloaded", type_, None, code)
    if not profile.is_refusal_named:
        return 429, error_body("Too many requests. Please slow down and try again.", None, None, 429)
    if cause == "ramp":
        message = "Slow down: your request rate grows too fast. Reduce it, then increase it gradually."
        return 429, error_body(message, "rate_limit_error", None, "slow_down")
    again = f" Please try again in {go_duration(refusal.wait_s)}." if profile.hint == "message" else ""
    if cause == "concurrency":
        message = f"Too many concurrent requests for {model}: limit {refusal.limit:g}.{again}"
        return 429, error_body(message, "concurrency", None, "concurrency_limit_exceeded")
    message = (
        f"Rate limit reached for {model} on {_UNITS[cause][refusal.per]}: Limit {refusal.limit:g}, "
        f"Used {refusal.used:g}, Requested {refusal.requested:g}.{again}"
    )
    return 429, error_body(message, cause, None, "rate_limit_exceeded")


def hint_headers(profile: Profile, refusal: Refusal, wall_now: float) -> dict[str, str]:
    """Return the headers that say when to come back. A refusal without an end has none."""
    if refusal.cause == "quota" or not math.isfinite(refusal.wait_s):
        return {}
    if profile.hint_text:
        name = "retry-after-ms" if profile.hint == "retry_after_ms" else "retry-after"
        return {name: profile.hint_text}
    wait_s = refusal.wait_s
    match profile.hint:
        case "retry_after":
            return {"retry-after": str(math.ceil(wait_s))}
        case "retry_after_float":
            return {"retry-after": f"{math.ceil(wait_s * 1000) / 1000:.3f}"}
        case "http_date":
            return {"retry-after": formatdate(math.ceil(wall_now + wait_s), usegmt=True)}
        case "retry_after_ms":
            return {"retry-after-ms": str(math.ceil(wait_s * 1000))}
        case "reset_headers":
            kind = "tokens" if refusal.cause == "tokens" else "requests"
            return {f"x-ratelimit-reset-{kind}": go_duration(wait_s), f"x-ratelimit-remaining-{kind}": "0"}
        case _:
            return {}


def limits_now(admission: Admission, now: float) -> Iterator[tuple[str, int, int, float]]:
    """Yield name, limit, what is left of it, and seconds until it is whole; of limits that there are."""
    causes: tuple[Literal["requests", "tokens"], ...] = ("requests", "tokens")
    for cause in causes:
        state = admission.left(now, cause)
        if state is not None:
            limit, left, reset_s = state
            yield cause, math.floor(limit), math.floor(left), reset_s


def rate_headers(admission: Admission, now: float) -> dict[str, str]:
    """Return the `x-ratelimit-*` headers of this moment; of limits that there are."""
    headers: dict[str, str] = {}
    for name, limit, left, reset_s in limits_now(admission, now):
        headers[f"x-ratelimit-limit-{name}"] = str(limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(left)
        headers[f"x-ratelimit-reset-{name}"] = go_duration(reset_s)
    return headers
