"""`POST /v1/messages`, the way in: a body checked as Anthropic checks it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from llmtop.adapters.simulator import complaints
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import read_prompt

STRICT_VERSION = "2026-10-21"
VERSIONS = ("2023-06-01", STRICT_VERSION)
_SAMPLING = ("temperature", "top_p", "top_k")
_KNOWN = frozenset(
    (
        "model", "max_tokens", "messages", "system", "metadata", "stop_sequences", "stream", "thinking",
        "tools", "tool_choice", "service_tier", "output_config", "cache_control", "container",
        "context_management", "mcp_servers", "inference_geo", "speed", *_SAMPLING,
    )
)  # fmt: skip


def parse_message(raw: bytes, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
    """Return the request in `raw`. Raises Complaint with the answer that the real server gives."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _invalid("The request body is not valid JSON") from None
    check_version(version)
    return read_params(body, version, profile, patterns)


def check_version(version: str) -> None:
    """Raise Complaint unless the header `anthropic-version` names one that there is."""
    if not version:
        raise _invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise _invalid(f'anthropic-version: "{version}" is not a valid version')


def read_params(body: Any, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
    """Return the request of a parsed body: of a message, or of a line of a batch. Raises Complaint."""
    if not isinstance(body, dict):
        raise _invalid("Input should be a valid dictionary")
    _check_names(body, version)
    model, max_tokens = body.get("model"), body.get("max_tokens")
    if not isinstance(model, str) or not model:
        raise _invalid("model: Field required")
    if model in profile.missing_models:
        raise complaints.model_not_found(model)
    if max_tokens is None:
        raise _invalid("max_tokens: Field required")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise _invalid("max_tokens: Input should be greater than or equal to 1")
    if not isinstance(body.get("stream") or False, bool):
        raise _invalid("stream: Input should be a valid boolean")
    prompt = read_prompt(_messages(body), patterns.id)
    if profile.context_tokens and prompt.tokens + max_tokens > profile.context_tokens:
        raise _too_long(profile.context_tokens, prompt.tokens, max_tokens)
    if patterns.blocked and patterns.blocked.search(prompt.text):
        raise complaints.blocked()
    schema = _schema(body.get("output_config"))
    format_: Literal["text", "json_object", "json_schema"] = "text" if schema is None else "json_schema"
    if schema is None and "json" in prompt.system.lower():
        format_ = "json_object"  # there is no such mode, but a model does what its system prompt says
    tier, is_streamed = body.get("service_tier") or "auto", bool(body.get("stream"))
    return ChatCall(model, prompt, max_tokens, 1, format_, schema, tier, is_streamed)


def _check_names(body: Mapping[str, Any], version: str) -> None:
    for name in body:
        if name not in _KNOWN or (name in _SAMPLING and version == STRICT_VERSION):
            raise _invalid(f"{name}: Extra inputs are not permitted")
    temperature = body.get("temperature")
    if temperature is None:
        return
    if not isinstance(temperature, (int, float)) or not 0 <= temperature <= 1:
        raise _invalid("temperature: range: 0..1")


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages as OpenAI would have them, the system prompt first."""
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise _invalid("messages: at least one message is required")
    messages: list[dict[str, Any]] = []
    system = body.get("system")
    if system is not None:
        messages.append({"role": "system", "content": _content("system", system)})
    for index, message in enumerate(given):
        if not isinstance(message, dict):
            raise _invalid(f"messages.{index}: Input should be a valid dictionary")
        role = message.get("role")
        if role not in ("user", "assistant"):
            raise _invalid(
                f'messages: Unexpected role "{role}". The Messages API accepts a top-level `system`.'
            )
        content = _content(f"messages.{index}.content", message.get("content"))
        if not content:
            raise _invalid(f"messages.{index}: all messages must have non-empty content")
        messages.append({"role": role, "content": content})
    return messages


def _content(place: str, content: Any) -> Any:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _invalid(f"{place}: Input should be a valid string or list")
    for index, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise _invalid(f"{place}.{index}.type: Field required")
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            raise _invalid(f"{place}.{index}.text.text: Field required")
    return content


def _schema(config: Any) -> Mapping[str, Any] | None:
    if config is None:
        return None
    if not isinstance(config, dict):
        raise _invalid("output_config: Input should be a valid dictionary")
    wanted = config.get("format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise _invalid("output_config.format.type: Input should be 'json_schema'")
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise _invalid("output_config.format.schema: Field required")
    return schema


def _too_long(limit: int, prompt_tokens: int, max_tokens: int) -> Complaint:
    if prompt_tokens > limit:
        message = f"prompt is too long: {prompt_tokens} tokens > {limit} maximum"
    else:
        message = (
            f"input length and `max_tokens` exceed context limit: {prompt_tokens} + {max_tokens} > {limit}, "
            "decrease input length or `max_tokens` and try again"
        )
    return Complaint(400, message, code="context_length_exceeded")


def _invalid(message: str) -> Complaint:
    return Complaint(400, message)
