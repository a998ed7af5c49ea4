"""Requests in Gemini's words, and what its answers come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmtop.adapters.providers.catalog import wire_format
from llmtop.adapters.providers.gemini import GeminiFormat
from llmtop.model import Answer, ChatRequest, Outcome, ProviderError, RawReply, Usage

NOW = 1_795_200_000.0
FORMAT = GeminiFormat()
USER = {"role": "user", "content": "Rain?"}
GOOGLE = "type.googleapis.com/google.rpc."


def built(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        FORMAT.build(ChatRequest(**({"model": "gemini-2.5-flash", "messages": (USER,)} | more))).body
    )
    return body


def candidate(**more: Any) -> dict[str, Any]:
    said = {
        "index": 0,
        "finishReason": "STOP",
        "content": {"role": "model", "parts": [{"text": "It rains."}]},
    }
    return {
        "candidates": [said | more],
        "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 8},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


def read(body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return FORMAT.read(RawReply(status, {}, raw), NOW)


def error(status: int, word: str, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": word, "details": list(details)}}


def quota(quota_id: str) -> dict[str, Any]:
    return {"@type": f"{GOOGLE}QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": quota_id}]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": f"{GOOGLE}RetryInfo", "retryDelay": delay}


def test_messages_become_contents_and_the_system_prompt_an_instruction() -> None:
    body = built(
        messages=(
            {"role": "system", "content": "Be brief."},
            USER,
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Where?"},
        )
    )

    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Rain?"}]},
            {"role": "model", "parts": [{"text": "Yes."}]},
            {"role": "user", "parts": [{"text": "Where?"}]},
        ],
    }


def test_parts_of_any_kind_are_passed_on_untouched() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    turn = {"role": "user", "parts": [picture, {"text": "What?"}]}

    body = built(messages=(turn, {"role": "user", "content": [{"type": "text", "text": "And?"}, picture]}))

    assert body["contents"] == [turn, {"role": "user", "parts": [{"text": "And?"}, picture]}]


def test_settings_and_schema_go_into_the_generation_config_beside_the_users() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}

    body = built(
        temperature=0.0,
        max_output_tokens=9,
        response_format="schema",
        schema=schema,
        extra={"generationConfig": {"topK": 4}, "safetySettings": []},
    )

    assert body["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 9,
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
        "topK": 4,
    }
    assert body["safetySettings"] == []
    assert built(response_format="json")["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("base_url", "model", "path"),
    [
        (None, "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("http://h/v1", "models/x", "/models/x:generateContent"),
        ("http://h/v1beta/", "tunedModels/x", "/tunedModels/x:generateContent"),
        ("http://h", "a b?c#d", "/v1beta/models/a%20b%3Fc%23d:generateContent"),
    ],
)
def test_the_model_stands_in_the_address(base_url: str | None, model: str, path: str) -> None:
    assert wire_format("gemini", base_url).build(ChatRequest(model, (USER,))).path == path


def test_the_key_goes_into_a_header_and_not_into_the_address() -> None:
    assert FORMAT.key_headers("AIza-1") == {"x-goog-api-key": "AIza-1"}


def test_an_answer_is_its_text_without_thoughts_and_its_usage_counts_them() -> None:
    body = candidate(
        content={"parts": [{"text": "hm", "thought": True}, {"text": "It "}, {"text": "rains."}]}
    )
    body["usageMetadata"] = {
        "promptTokenCount": 120,
        "cachedContentTokenCount": 64,
        "candidatesTokenCount": 24,
        "thoughtsTokenCount": 64,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 213,
    }

    answer = read(body)

    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.request_id) == ("It rains.", "stop", "r1")
    assert answer.usage == Usage(125, 64, 0, 88, 64)


def test_a_cut_answer_keeps_what_was_said_before_the_cut() -> None:
    assert read(candidate(finishReason="MAX_TOKENS", content={"parts": [{"text": "half"}]})).text == "half"
    assert read(candidate(finishReason="SAFETY", content={"parts": [{"text": "half"}]})).text == ""


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "content_filter", Outcome.BAD),
        (candidate(finishReason="SAFETY", content=None), "content_filter", Outcome.BAD),
        (candidate(finishReason="RECITATION"), "content_filter", Outcome.BAD),
        (candidate(finishReason="PROHIBITED_CONTENT"), "content_filter", Outcome.BAD),
        (candidate(finishReason="MAX_TOKENS"), "truncated", Outcome.BAD),
        (candidate(finishReason="OTHER"), "invalid_response", Outcome.FAULT),
        (candidate(finishReason="MALFORMED_RESPONSE"), "invalid_response", Outcome.FAULT),
        (candidate(content={}), "invalid_response", Outcome.FAULT),
        (candidate(content={"parts": [{"text": "hm", "thought": True}]}), "invalid_response", Outcome.FAULT),
        ({"candidates": []}, "invalid_response", Outcome.FAULT),
        ({}, "invalid_response", Outcome.FAULT),
        ([], "invalid_response", Outcome.FAULT),
        (b"<html>", "invalid_response", Outcome.FAULT),
        (error(503, "UNAVAILABLE", "The model is overloaded."), "overloaded", Outcome.REFUSED_OVERLOAD),
    ],
)
def test_a_200_that_is_no_answer_has_its_name(body: Any, kind: str, outcome: Outcome) -> None:
    failed = read(body)

    assert isinstance(failed, ProviderError)
    assert (failed.error.type, failed.outcome) == (kind, outcome)


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome"),
    [
        (400, error(400, "INVALID_ARGUMENT"), "bad_request", Outcome.BAD),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
         "authentication", Outcome.STOP_ACCESS),
        (400, error(400, "INVALID_ARGUMENT", "bad", {"reason": "API_KEY_INVALID"}), "authentication",
         Outcome.STOP_ACCESS),
        (400, error(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number (8)."),
         "context_length", Outcome.BAD),
        (400, error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
         "authentication", Outcome.STOP_ACCESS),
        (402, error(402, "FAILED_PRECONDITION"), "quota_exhausted", Outcome.STOP_BILLING),
        (403, error(403, "PERMISSION_DENIED"), "authentication", Outcome.STOP_ACCESS),
        (404, error(404, "NOT_FOUND"), "bad_request", Outcome.STOP_ACCESS),
        (429, error(429, "RESOURCE_EXHAUSTED"), "rate_limit", Outcome.REFUSED_UNKNOWN),
        (429, error(429, "RESOURCE_EXHAUSTED", "q", quota("GenerateContentPaidTierInputTokensPerMinute")),
         "rate_limit", Outcome.REFUSED_RATE),
        (429, error(429, "RESOURCE_EXHAUSTED", "q", quota("GenerateRequestsPerDayPerProject")),
         "quota_exhausted", Outcome.STOP_BILLING),
        (500, error(500, "INTERNAL"), "server_error", Outcome.FAULT),
        (503, error(503, "UNAVAILABLE", "The model is overloaded."), "overloaded", Outcome.REFUSED_OVERLOAD),
        (504, error(504, "DEADLINE_EXCEEDED"), "server_error", Outcome.FAULT),
    ],
)  # fmt: skip
def test_an_error_has_its_name(status: int, body: Any, kind: str, outcome: Outcome) -> None:
    failed = read(body, status)

    assert isinstance(failed, ProviderError)
    assert (failed.error.type, failed.outcome, failed.error.http_status) == (kind, outcome, status)


def test_a_refusal_names_its_limit_and_its_wait() -> None:
    tokens = read(error(429, "RESOURCE_EXHAUSTED", "q", quota("InputTokensPerMinute"), retry("34.07s")), 429)
    requests = read(error(429, "RESOURCE_EXHAUSTED", "q", quota("RequestsPerMinute"), retry("5s")), 429)

    assert (tokens.scope, tokens.retry_after_s) == ("tokens", 34.07)
    assert (requests.scope, requests.retry_after_s) == ("requests", 5.0)


@pytest.mark.parametrize(
    ("usage", "read_as"),
    [
        (None, None),
        ({"promptTokenCount": -7, "candidatesTokenCount": -1}, None),
        ({"promptTokenCount": 9}, Usage(9, 0, 0, 0, 0, is_estimated=True)),
        ({"promptTokenCount": 9, "cachedContentTokenCount": 10, "candidatesTokenCount": 4},
         Usage(9, 0, 0, 4, 0, is_estimated=True)),
    ],
)  # fmt: skip
def test_nonsense_in_the_usage_is_left_out_and_flagged(usage: Any, read_as: Usage | None) -> None:
    assert read(candidate() | {"usageMetadata": usage}).usage == read_as
