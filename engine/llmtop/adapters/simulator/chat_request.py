"""`POST /chat/completions`, the way in: a body checked as OpenAI checks it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from llmtop.adapters.simulator import complaints
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import Prompt, content_text, read_prompt

_ROLES = frozenset(("system", "assistant", "user", "function", "tool", "developer"))
_SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_CHOICES = 8
_MOST_PATH = 40


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A valid request."""

    model: str
    prompt: Prompt
    max_tokens: int | None
    choices: int
    format: Literal["text", "json_object", "json_schema"]
    schema: Mapping[str, Any] | None
    service_tier: str
    is_streamed: bool = False
    """The answer is wanted in pieces."""
    has_usage: bool = False
    """The usage is wanted in a piece of its own."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """A profile's regular expressions, compiled once."""

    id: re.Pattern[str] | None
    always_fail: re.Pattern[str] | None
    blocked: re.Pattern[str] | None

    @classmethod
    def of(cls, profile: Profile) -> Patterns:
        """Compile those of `profile`; an empty one is None."""
        texts = (profile.id_pattern, profile.always_fail, profile.blocked_pattern)
        return cls(*(re.compile(text) if text else None for text in texts))


def parse_call(raw: bytes, profile: Profile, patterns: Patterns, model: str = "") -> ChatCall:
    """Return the request in `raw`. Raises Complaint with the answer that a real server gives.

    `model`: where the address names it.
    """
    body = object_of(raw)
    if model:
        body["model"] = model
    return read_call(body, profile, patterns)


def object_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request. Raises Complaint."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise complaints.not_json() from None
    if not isinstance(body, dict):
        raise complaints.not_json()
    return body


def read_call(body: Any, profile: Profile, patterns: Patterns) -> ChatCall:
    """Return the request of a parsed body: of a call, or of a line of a batch. Raises Complaint."""
    if not isinstance(body, dict):
        raise complaints.not_json()
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise complaints.no_model()
    if model in profile.missing_models:
        raise complaints.model_not_found(model)
    _check_messages(body.get("messages"))
    _check_numbers(body)
    max_tokens = _max_tokens(body, profile)
    prompt = read_prompt(body["messages"], patterns.id)
    if profile.context_tokens and prompt.tokens + (max_tokens or 0) > profile.context_tokens:
        raise complaints.context_too_long(profile.context_tokens, prompt.tokens, max_tokens or 0)
    if patterns.blocked and patterns.blocked.search(prompt.text):
        raise complaints.blocked()
    format_, schema = _format(body)
    choices = body.get("n") or 1
    options = body.get("stream_options")
    return ChatCall(
        model,
        prompt,
        max_tokens,
        choices,
        format_,
        schema,
        body.get("service_tier") or "default",
        is_streamed=_is_streamed(body),
        has_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _is_streamed(body: Mapping[str, Any]) -> bool:
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise complaints.wrong_type("stream", "a boolean")
    if not stream and body.get("stream_options") is not None:
        raise complaints.invalid_value(
            "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    return bool(stream)


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise complaints.missing("messages")
    if not isinstance(messages, list):
        raise complaints.wrong_type("messages", "an array of objects")
    if not messages:
        raise complaints.invalid_value(
            "messages", "Invalid 'messages': empty array. Expected an array with minimum length 1."
        )
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if not isinstance(message, dict):
            raise complaints.wrong_type(place, "an object")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise complaints.invalid_value(
                f"{place}.role",
                f"Invalid value: {role!r}. Supported values are: 'system', 'assistant', 'user', 'function', "
                "'tool', and 'developer'.",
            )
        content = message.get("content")
        if not isinstance(content, (str, list)) and not (content is None and role == "assistant"):
            raise complaints.wrong_type(f"{place}.content", "one of a string or array of objects")


def _check_numbers(body: Mapping[str, Any]) -> None:
    for name, least, most in (("temperature", 0, 2), ("top_p", 0, 1), ("n", 1, _MOST_CHOICES)):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if name == "n" else (int, float)):
            raise complaints.wrong_type(name, "a number")
        if value < least:
            raise complaints.below(name, least, value)
        if value > most:
            raise complaints.above(name, most, value)


def _max_tokens(body: Mapping[str, Any], profile: Profile) -> int | None:
    given = [name for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None]
    if len(given) > 1:
        raise complaints.invalid_value(
            "max_tokens",
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        )
    if not given:
        return None
    name, value = given[0], body[given[0]]
    if name == "max_tokens" and profile.refuse_max_tokens:
        raise complaints.unsupported_parameter("max_tokens", "max_completion_tokens")
    if not isinstance(value, int) or isinstance(value, bool):
        raise complaints.wrong_type(name, "an integer")
    if value < 1:
        raise complaints.below(name, 1, value)
    return value


def _format(
    body: Mapping[str, Any],
) -> tuple[Literal["text", "json_object", "json_schema"], Mapping[str, Any] | None]:
    wanted = body.get("response_format")
    if wanted is None:
        return "text", None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "text":
        return "text", None
    if kind == "json_object":
        texts = (content_text(message.get("content")) for message in body["messages"])
        if not any("json" in text.lower() for text in texts):
            raise complaints.word_json_missing()
        return "json_object", None
    if kind == "json_schema":
        return "json_schema", _schema(wanted.get("json_schema"))
    raise complaints.invalid_value(
        "response_format.type",
        f"Invalid value: {kind!r}. Supported values are: 'json_object', 'json_schema', and 'text'.",
    )


def _schema(described: Any) -> Mapping[str, Any]:
    place = "response_format.json_schema"
    if not isinstance(described, dict):
        raise complaints.missing(place)
    name = described.get("name")
    if name is None:
        raise complaints.missing(f"{place}.name")
    if not isinstance(name, str) or not _SCHEMA_NAME.fullmatch(name):
        raise complaints.invalid_value(
            f"{place}.name",
            f"Invalid '{place}.name': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]{1,64}$'.",
        )
    schema = described.get("schema")
    if not isinstance(schema, dict):
        raise complaints.missing(f"{place}.schema")
    if described.get("strict"):
        _check_strict(name, schema, ())
    return schema


def _check_strict(name: str, schema: Any, path: tuple[str, ...]) -> None:
    """Strict schemas: every property required, nothing besides."""
    if not isinstance(schema, dict) or len(path) > _MOST_PATH:
        return
    properties = _dict(schema.get("properties"))
    if schema.get("type") == "object" or properties:
        if schema.get("additionalProperties") is not False:
            raise complaints.invalid_schema(
                name, f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
            )
        required = schema.get("required")
        absent = [key for key in properties if not isinstance(required, list) or key not in required]
        if absent:
            raise complaints.invalid_schema(
                name,
                f"In context={path}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{absent[0]}'.",
            )
    for key, inner in properties.items():
        _check_strict(name, inner, (*path, "properties", key))
    _check_strict(name, schema.get("items"), (*path, "items"))
    for key, inner in _dict(schema.get("$defs")).items():
        _check_strict(name, inner, (*path, "$defs", key))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
