"""OpenAI's words: errors named by their body first and their status second."""

from __future__ import annotations

from typing import Any

import pytest
from chat_answers import error, failed, read

from llmtop.model import ErrorType, Outcome

QUOTA: ErrorType = "quota_exhausted"
ROWS: list[tuple[int, Any, dict[str, str], ErrorType, Outcome]] = [
    (400, error(), {}, "bad_request", Outcome.BAD),
    (400, error(code="context_length_exceeded"), {}, "context_length", Outcome.BAD),
    (400, error("maximum context length is 8192", code=400), {}, "context_length", Outcome.BAD),
    (400, error(type="exceed_context_size_error", code=400), {}, "context_length", Outcome.BAD),
    (500, error(type="exceed_context_size_error"), {}, "context_length", Outcome.BAD),
    (403, error("Input is too long: reduce the length"), {}, "context_length", Outcome.BAD),
    (413, {"message": "Request Entity Too Large"}, {}, "bad_request", Outcome.BAD),
    (422, {"detail": [{"msg": "field required"}]}, {}, "bad_request", Outcome.BAD),
    (400, error(code="content_filter"), {}, "content_filter", Outcome.BAD),
    (400, error(innererror={"code": "ResponsibleAIPolicyViolation"}), {}, "content_filter", Outcome.BAD),
    (403, error("flagged", code=403, metadata={"reasons": ["x"]}), {}, "content_filter", Outcome.BAD),
    (400, [error("API key not valid. Pass a valid one.")], {}, "authentication", Outcome.STOP_ACCESS),
    (401, error(code="invalid_api_key"), {}, "authentication", Outcome.STOP_ACCESS),
    (401, b"", {}, "authentication", Outcome.STOP_ACCESS),
    (403, error("country"), {}, "authentication", Outcome.STOP_ACCESS),
    (403, b"<html>blocked</html>", {}, "authentication", Outcome.STOP_ACCESS),
    (404, error(code="model_not_found"), {}, "bad_request", Outcome.STOP_ACCESS),
    (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, {},
     "bad_request", Outcome.STOP_ACCESS),
    (400, error("Failed to generate JSON", code="json_validate_failed"), {}, "invalid_response",
     Outcome.FAULT),
    (404, b"404 page not found", {}, "bad_request", Outcome.STOP_ACCESS),
    (405, b"", {}, "bad_request", Outcome.STOP_ACCESS),
    (400, error("x/y is not a valid model ID", code=400), {}, "bad_request", Outcome.STOP_ACCESS),
    (402, error("Insufficient Balance"), {}, QUOTA, Outcome.STOP_BILLING),
    (402, error(metadata={"limit_source": "openrouter_in_flight_budget"}), {}, QUOTA, Outcome.STOP_BILLING),
    (
        402,
        error(metadata={"limit_source": "openrouter_in_flight_budget"}),
        {"retry-after": "2"},
        "rate_limit",
        Outcome.REFUSED_UNKNOWN,
    ),
    (429, error(type="insufficient_quota"), {"retry-after": "2"}, QUOTA, Outcome.STOP_BILLING),
    (429, error(code="project_spend_limit_exceeded"), {}, QUOTA, Outcome.STOP_BILLING),
    (429, error("Limit reached: free-models-per-day"), {}, QUOTA, Outcome.STOP_BILLING),
    (
        429,
        [error(details=[{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}])],
        {},
        QUOTA,
        Outcome.STOP_BILLING,
    ),
    (429, error("tokens per day (TPD), try again in 7m12s"), {}, "rate_limit", Outcome.REFUSED_RATE),
    (429, error(type="requests", code="rate_limit_exceeded"), {}, "rate_limit", Outcome.REFUSED_RATE),
    (429, error("on tokens per min (TPM): Limit 1"), {}, "rate_limit", Outcome.REFUSED_RATE),
    (429, error(), {"x-ratelimit-remaining-tokens": "0"}, "rate_limit", Outcome.REFUSED_RATE),
    (429, error(code="slow_down"), {}, "rate_limit", Outcome.REFUSED_RAMP),
    (429, error("Too many concurrent requests"), {}, "rate_limit", Outcome.REFUSED_CONCURRENCY),
    (429, error(), {}, "rate_limit", Outcome.REFUSED_UNKNOWN),
    (429, b"<html>Too many requests</html>", {}, "rate_limit", Outcome.REFUSED_UNKNOWN),
    (498, error(), {}, "rate_limit", Outcome.REFUSED_UNKNOWN),
    (529, b"", {}, "overloaded", Outcome.REFUSED_OVERLOAD),
    (503, error(code="server_is_overloaded"), {}, "overloaded", Outcome.REFUSED_OVERLOAD),
    (503, {"error": "server busy: maximum pending requests"}, {}, "overloaded", Outcome.REFUSED_OVERLOAD),
    (503, error("Loading model", code=503), {}, "overloaded", Outcome.REFUSED_OVERLOAD),
    (503, error(), {}, "server_error", Outcome.FAULT),
    (408, error(), {}, "timeout", Outcome.FAULT),
    (409, error(), {}, "server_error", Outcome.FAULT),
    (425, b"", {}, "server_error", Outcome.FAULT),
    (500, error("insufficient balance of the cluster"), {}, "server_error", Outcome.FAULT),
    (502, b"<html>Bad gateway</html>", {}, "server_error", Outcome.FAULT),
    (524, b"", {}, "server_error", Outcome.FAULT),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "headers", "kind", "outcome"), ROWS)
def test_an_error_is_named_by_its_body_first_and_its_status_second(
    status: int, body: Any, headers: dict[str, str], kind: ErrorType, outcome: Outcome
) -> None:
    problem = failed(read(status, body, headers))

    assert (problem.error.type, problem.outcome) == (kind, outcome)
    assert problem.is_final == (outcome is Outcome.BAD)
    assert problem.is_counted == (not outcome.is_refusal and not outcome.is_stop)
    assert problem.error.message


def test_a_refusal_says_how_long_to_wait_and_which_limit() -> None:
    problem = failed(read(429, error("requests per minute"), {"retry-after": "7"}))

    assert (problem.retry_after_s, problem.scope) == (7.0, "requests")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (error("plain"), "plain"),
        ({"error": "a string"}, "a string"),
        ({"object": "error", "message": "flat", "code": 400}, "flat"),
        ({"detail": [{"msg": "one"}, {"msg": "two"}]}, "one; two"),
        ([error("listed")], "listed"),
        (b"<html><head><title>502 Bad gateway</title>", "a web page: 502 Bad gateway"),
        (b"upstream timed out", "upstream timed out"),
        (b"", "an empty body"),
    ],
)
def test_a_complaint_is_understood_in_each_of_its_shapes(body: Any, message: str) -> None:
    assert failed(read(500, body)).error.message == message
