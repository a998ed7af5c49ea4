"""Requests in Anthropic's words, and what its answers come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtop.adapters.providers.anthropic import AnthropicFormat
from llmtop.adapters.providers.catalog import wire_format
from llmtop.model import Answer, ChatRequest, LimitHeaders, Outcome, ProviderError, RawReply, Usage

NOW = 1_795_200_000.0
FORMAT = AnthropicFormat()
USER = {"role": "user", "content": "Rain?"}


def built(**more: Any) -> tuple[dict[str, Any], str]:
    request = ChatRequest(
        **({"model": "claude-haiku-4-5", "messages": (USER,), "max_output_tokens": 9} | more)
    )
    wire = FORMAT.build(request)
    return json.loads(wire.body), wire.headers["anthropic-version"]


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "It rains."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 20, "output_tokens": 8},
    } | more


def read(body: Any, status: int = 200, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FORMAT.read(RawReply(status, named, raw), NOW)


def error(kind: str, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_1"}


def test_a_request_without_sampling_goes_out_under_the_newest_version() -> None:
    body, version = built()

    assert body == {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [USER]}
    assert version == "2026-10-21"


@pytest.mark.parametrize("more", [{"temperature": 0.0}, {"extra": {"top_k": 4}}, {"raw_body": {"top_p": 1}}])
def test_a_sampling_parameter_needs_the_version_before(more: dict[str, Any]) -> None:
    assert built(**more)[1] == "2023-06-01"


def test_the_system_prompt_stands_beside_the_turns() -> None:
    body, _ = built(messages=({"role": "system", "content": "Be brief."}, USER))

    assert body["system"] == "Be brief."
    assert body["messages"] == [USER]


def test_blocks_of_any_kind_are_passed_on_untouched() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    cached = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    turn = {"role": "user", "content": [picture, {"type": "text", "text": "What?"}]}

    body, _ = built(messages=({"role": "system", "content": [cached]}, turn))

    assert body["system"] == [cached]
    assert body["messages"] == [turn]


def test_a_schema_goes_into_the_output_config_beside_what_the_user_puts_there() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}

    body, _ = built(response_format="schema", schema=schema, extra={"output_config": {"effort": "low"}})

    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}


def test_json_without_a_schema_is_asked_for_in_words() -> None:
    body, _ = built(response_format="json")

    assert "JSON" in body["system"]
    assert "output_config" not in body


def test_the_params_of_a_batch_line_go_as_they_are_with_the_model_filled_in() -> None:
    params = {"messages": [USER], "max_tokens": 3, "metadata": {"user_id": "u"}}

    assert built(raw_body=params)[0] == {"model": "claude-haiku-4-5", **params}
    assert built(raw_body={**params, "model": "own"})[0]["model"] == "own"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [(None, "/v1/messages"), ("http://h/api/", "/v1/messages"), ("http://h/v1", "/messages")],
)
def test_the_version_stands_in_the_address_once(base_url: str | None, path: str) -> None:
    wire = wire_format("anthropic", base_url)

    assert wire.build(ChatRequest("m", (USER,), max_output_tokens=1)).path == path


def test_the_key_goes_into_a_header() -> None:
    assert FORMAT.key_headers("sk-ant-api-1") == {"x-api-key": "sk-ant-api-1"}
    assert FORMAT.key_headers("sk-ant-oat-1") == {"Authorization": "Bearer sk-ant-oat-1"}


def test_an_answer_is_its_text_blocks_and_its_usage_counts_the_cache() -> None:
    answer = read(
        message(
            content=[
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "It "},
                {"type": "text", "text": "rains."},
            ],
            usage={
                "input_tokens": 20,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 400,
                "output_tokens": 88,
                "output_tokens_details": {"thinking_tokens": 64},
            },
        ),
        request_id="req_9",
    )

    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.request_id) == ("It rains.", "stop", "req_9")
    assert answer.usage == Usage(520, 400, 100, 88, 64)


def test_a_cut_answer_keeps_what_was_said_before_the_cut() -> None:
    half = [{"type": "text", "text": "half"}]

    assert read(message(stop_reason="max_tokens", content=half)).text == "half"
    assert read(message(stop_reason="refusal", content=half)).text == ""


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        (message(stop_reason="refusal", content=[]), "refusal", Outcome.BAD),
        (message(stop_reason="max_tokens"), "truncated", Outcome.BAD),
        (message(stop_reason="model_context_window_exceeded"), "context_length", Outcome.BAD),
        (message(stop_reason="pause_turn"), "invalid_response", Outcome.FAULT),
        (message(stop_reason="tool_use", content=[{"type": "tool_use"}]), "invalid_response", Outcome.FAULT),
        (message(content=[]), "invalid_response", Outcome.FAULT),
        (message(content=[{"type": "text", "text": " "}]), "invalid_response", Outcome.FAULT),
        (message(content=None), "invalid_response", Outcome.FAULT),
        (message(content=[{"type": "text"}, 3, None]), "invalid_response", Outcome.FAULT),
        ([], "invalid_response", Outcome.FAULT),
        ({}, "invalid_response", Outcome.FAULT),
        (b"<html><title>Hi</title>", "invalid_response", Outcome.FAULT),
        (b"", "invalid_response", Outcome.FAULT),
        (error("overloaded_error"), "overloaded", Outcome.REFUSED_OVERLOAD),
        (error("api_error"), "server_error", Outcome.FAULT),
        (error("something_new"), "invalid_response", Outcome.FAULT),
    ],
)
def test_a_200_that_is_no_answer_has_its_name(body: Any, kind: str, outcome: Outcome) -> None:
    failed = read(body)

    assert isinstance(failed, ProviderError)
    assert (failed.error.type, failed.outcome) == (kind, outcome)
    assert failed.is_final is (outcome is Outcome.BAD)


def test_a_useless_answer_tells_what_it_cost() -> None:
    assert read(message(stop_reason="max_tokens")).usage == Usage(20, 0, 0, 8, 0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome"),
    [
        (400, error("invalid_request_error"), "bad_request", Outcome.BAD),
        (400, error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), "context_length",
         Outcome.BAD),
        (400, error("invalid_request_error", "input length and `max_tokens` exceed context limit: 9 > 8"),
         "context_length", Outcome.BAD),
        (400, error("invalid_request_error", "Your credit balance is too low to access the API."),
         "quota_exhausted", Outcome.STOP_BILLING),
        (401, error("authentication_error"), "authentication", Outcome.STOP_ACCESS),
        (402, error("billing_error"), "quota_exhausted", Outcome.STOP_BILLING),
        (403, error("permission_error"), "authentication", Outcome.STOP_ACCESS),
        (404, error("not_found_error", "model: none"), "bad_request", Outcome.STOP_ACCESS),
        (413, b"<html>", "bad_request", Outcome.BAD),
        (429, error("rate_limit_error"), "rate_limit", Outcome.REFUSED_UNKNOWN),
        (429, error("rate_limit_error", details={"error_code": "ramp_limit_exceeded"}), "rate_limit",
         Outcome.REFUSED_RAMP),
        (429, error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
         "quota_exhausted", Outcome.STOP_BILLING),
        (500, error("api_error"), "server_error", Outcome.FAULT),
        (504, error("timeout_error"), "server_error", Outcome.FAULT),
        (529, error("overloaded_error"), "overloaded", Outcome.REFUSED_OVERLOAD),
    ],
)  # fmt: skip
def test_an_error_has_its_name(status: int, body: Any, kind: str, outcome: Outcome) -> None:
    failed = read(body, status)

    assert isinstance(failed, ProviderError)
    assert (failed.error.type, failed.outcome, failed.error.http_status) == (kind, outcome, status)


def test_a_spend_limit_with_a_wait_is_a_limit_like_others() -> None:
    body = error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})

    failed = read(body, 429, retry_after="30")

    assert (failed.outcome, failed.retry_after_s) == (Outcome.REFUSED_UNKNOWN, 30.0)


def test_the_limits_stand_in_the_headers() -> None:
    answer = read(
        message(),
        date="Fri, 20 Nov 2026 18:00:00 GMT",
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="0",
        anthropic_ratelimit_requests_reset="2026-11-20T18:00:12Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_output_tokens_remaining="x",
    )

    assert answer.limits == (
        LimitHeaders("requests", 50.0, 0.0, 12.0),
        LimitHeaders("input_tokens", 40000.0, None, None),
        LimitHeaders("output_tokens", None, None, None),
    )


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (None, None),
        ({"input_tokens": -7, "output_tokens": "many"}, None),
        ({"input_tokens": 9, "output_tokens": -1}, Usage(9, 0, 0, 0, 0, is_estimated=True)),
        ({"input_tokens": 9, "cache_read_input_tokens": "x", "output_tokens": 4},
         Usage(9, 0, 0, 4, 0, is_estimated=True)),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_left_out_and_flagged(usage: Any, read_as: Usage | None) -> None:
    assert read(message(usage=usage)).usage == read_as
