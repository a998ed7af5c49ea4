"""OpenAI's words: what is built."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from chat_answers import COMPATIBLE

from llmtop.adapters.providers.catalog import wire_format
from llmtop.adapters.providers.encoding import encode
from llmtop.errors import ConfigError
from llmtop.model import ChatRequest

MESSAGES = ({"role": "user", "content": "Hé"},)


def body_of(request: ChatRequest, base_url: str | None = COMPATIBLE) -> Any:
    return json.loads(wire_format("openai", base_url).build(request).body)


def asked(**changes: Any) -> ChatRequest:
    return ChatRequest(**{"model": "m", "messages": MESSAGES, **changes})


def test_only_what_is_set_is_sent() -> None:
    assert body_of(asked()) == {"model": "m", "messages": [{"role": "user", "content": "Hé"}]}


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (None, "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("https://api.openai.com.example/v1", "max_tokens"),
        (COMPATIBLE, "max_tokens"),
    ],
)
def test_the_limit_on_output_goes_where_the_server_knows_it(base_url: str | None, field: str) -> None:
    body = body_of(asked(max_output_tokens=300), base_url)

    assert {key for key in body if key.startswith("max_")} == {field}


def test_json_is_asked_for_in_words_where_no_message_has_the_word() -> None:
    parts = ({"role": "user", "content": [{"type": "text", "text": "Give me Json"}, {"type": "image_url"}]},)

    silent = body_of(asked(response_format="json"))["messages"]
    said = body_of(asked(response_format="json", messages=parts))["messages"]

    assert silent[1:] == list(MESSAGES)
    assert "JSON" in silent[0]["content"]
    assert said == list(parts)
    assert body_of(asked())["messages"] == list(MESSAGES)


def test_extra_comes_last_and_wins() -> None:
    body = body_of(asked(temperature=0.2, extra={"temperature": 1, "top_k": 5}))

    assert (body["temperature"], body["top_k"]) == (1, 5)


def test_a_ready_body_goes_as_it_is_and_gets_a_model_only_where_it_has_none() -> None:
    raw = {"messages": [], "seed": 1}

    assert body_of(asked(raw_body=raw, temperature=0.1)) == {"messages": [], "seed": 1, "model": "m"}
    assert body_of(asked(raw_body={**raw, "model": "own"}))["model"] == "own"
    assert "model" not in raw


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        ({"type": "array", "items": {"type": "object", "properties": {}}}, False),
        ({"$defs": {"x": {"type": "object"}}, "anyOf": [{"type": "string"}]}, False),
    ],
)
def test_a_schema_is_strict_only_where_it_fits_the_rules_for_it(
    schema: dict[str, Any], is_strict: bool
) -> None:
    wrapped = body_of(asked(response_format="schema", schema=schema))["response_format"]["json_schema"]

    assert (wrapped["schema"], wrapped["strict"]) == (schema, is_strict)
    assert body_of(asked(response_format="json"))["response_format"] == {"type": "json_object"}


def test_a_prompt_with_half_a_character_or_a_huge_number_is_still_sent() -> None:
    messages = ({"role": "user", "content": "a\ud800b\0"},)
    body = body_of(ChatRequest("m", messages, extra={"seed": 2**70}))

    assert body["messages"][0]["content"] == "a\ufffdb\0"
    assert body["seed"] == 2**70


@pytest.mark.parametrize(
    ("base_url", "key", "headers"),
    [
        (None, "k", {"Authorization": "Bearer k"}),
        (COMPATIBLE, "k", {"Authorization": "Bearer k"}),
        ("https://mine.openai.azure.com/openai/v1", "k", {"api-key": "k"}),
        ("https://mine.openai.azure.com/openai/v1", "eyJ0.a.b", {"Authorization": "Bearer eyJ0.a.b"}),
    ],
)
def test_the_key_goes_into_the_one_header_that_the_server_reads(
    base_url: str | None, key: str, headers: dict[str, str]
) -> None:
    assert wire_format("openai", base_url).key_headers(key) == headers


def test_a_kind_without_a_wire_format_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not available yet"):
        wire_format("local", None)


def test_the_body_of_a_long_text_takes_no_more_memory_than_its_bytes() -> None:
    text = "long words " * 20_000
    tracemalloc.start()
    try:
        body = encode({"text": text})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 1.5 * len(body)
