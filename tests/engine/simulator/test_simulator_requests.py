from __future__ import annotations

import json
from typing import Any

import pytest

from llmtop.adapters.simulator import Profile
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns, parse_call
from llmtop.adapters.simulator.complaints import Complaint

USER = [{"role": "user", "content": "hello"}]


def parsed(body: Any, **settings: Any) -> ChatCall:
    profile = Profile(**settings)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_call(raw, profile, Patterns.of(profile))


def schema(name: Any, inner: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": inner, **more}}


OPEN_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
LOOSE_OBJECT = {
    "type": "object",
    "properties": {"a": {}, "b": {}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": ""}, None, None),
        ({"model": 3}, None, None),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "boss", "content": ""}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": "json"}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        ({"response_format": schema("a b", {})}, "response_format.json_schema.name", "invalid_value"),
        (
            {"response_format": schema("ab", None)},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        ({"response_format": schema("ab", OPEN_OBJECT, strict=True)}, "response_format", None),
        (
            {"response_format": schema("ab", {**OPEN_OBJECT, "required": 3}, strict=True)},
            "response_format",
            None,
        ),
        ({"response_format": schema("ab", LOOSE_OBJECT, strict=True)}, "response_format", None),
    ],
)
def test_a_faulty_request_is_a_400_with_the_real_ones_words(
    change: dict[str, Any], param: str | None, code: str | None
) -> None:
    with pytest.raises(Complaint) as caught:
        parsed({"model": "m", "messages": USER, **change})

    error = caught.value.body["error"]
    assert caught.value.status == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert error["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b'{"model": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_400(raw: bytes) -> None:
    with pytest.raises(Complaint) as caught:
        parsed(raw)

    assert caught.value.status == 400
    assert "could not parse the JSON body" in caught.value.body["error"]["message"]


@pytest.mark.parametrize(
    ("settings", "change", "status", "code"),
    [
        ({"missing_models": ("gone",)}, {"model": "gone"}, 404, "model_not_found"),
        ({"context_tokens": 5}, {}, 400, "context_length_exceeded"),
        ({"context_tokens": 100}, {"max_tokens": 99}, 400, "context_length_exceeded"),
        ({"blocked_pattern": "hel+o"}, {}, 400, "content_policy_violation"),
        ({"refuse_max_tokens": True}, {"max_tokens": 9}, 400, "unsupported_parameter"),
    ],
)
def test_a_setting_makes_the_provider_refuse_what_a_real_one_would(
    settings: dict[str, Any], change: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(Complaint) as caught:
        parsed({"model": "m", "messages": USER, **change}, **settings)

    assert (caught.value.status, caught.value.body["error"]["code"]) == (status, code)
    assert caught.value.reason == code


def test_a_good_request_is_read_with_all_its_messages() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "JSON of id: q7"}, {"type": "image_url"}]},
    ]

    call = parsed(
        {
            "model": "m",
            "messages": messages,
            "max_completion_tokens": 9,
            "n": 2,
            "unknown": 1,
            "temperature": 0,
        }
        | {"response_format": {"type": "json_object"}}
    )

    assert (call.prompt.system, call.prompt.text, call.prompt.ids) == ("Be brief.", "JSON of id: q7", ("q7",))
    assert (call.max_tokens, call.choices, call.format) == (9, 2, "json_object")
    assert call.prompt.tokens == (3 + 4) + (2 + 4) + 4 + (4 + 4)
