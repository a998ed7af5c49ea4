"""`POST .../models/{model}:generateContent`, the way in: a body checked as Gemini checks it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from llmtop.adapters.simulator import complaints
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import read_prompt

_HUMP = re.compile(r"_([a-z])")
_KNOWN = frozenset(
    (
        "contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig",
        "cachedContent", "model", "labels", "serviceTier",
    )
)  # fmt: skip
_SETTINGS = frozenset(
    (
        "temperature", "topP", "topK", "seed", "maxOutputTokens", "candidateCount", "stopSequences",
        "responseMimeType", "responseJsonSchema", "responseSchema", "thinkingConfig", "presencePenalty",
        "frequencyPenalty", "responseLogprobs", "logprobs", "responseModalities", "mediaResolution",
        "speechConfig", "imageConfig", "enableEnhancedCivicAnswers",
    )
)  # fmt: skip
_DEEPEST = 40


def parse_generate(raw: bytes, model: str, profile: Profile, patterns: Patterns) -> ChatCall:
    """Return the request in `raw`. Raises Complaint with the answer that the real server gives."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _invalid("Invalid JSON payload received. Expected a value.") from None
    return read_generate(body, model, profile, patterns)


def read_generate(body: Any, model: str, profile: Profile, patterns: Patterns) -> ChatCall:
    """Return the request of a parsed body: of a call, or of a line of a batch. Raises Complaint."""
    if not isinstance(body, dict):
        raise _invalid("Invalid value at 'request': expected an object.")
    if model in profile.missing_models:
        raise complaints.model_not_found(model)
    body = _camel(body, _KNOWN, "")
    settings = _camel(body.get("generationConfig") or {}, _SETTINGS, "generation_config")
    most = settings.get("maxOutputTokens")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise _invalid("max_output_tokens must be positive.")
    temperature = settings.get("temperature")
    if temperature is not None and (not isinstance(temperature, (int, float)) or not 0 <= temperature <= 2):
        raise _invalid(f"The value of temperature, {temperature}, is out of the supported range from 0 to 2.")
    prompt = read_prompt(_messages(body), patterns.id)
    if profile.context_tokens and prompt.tokens > profile.context_tokens:
        raise _invalid(
            f"The input token count ({prompt.tokens}) exceeds the maximum number of tokens allowed "
            f"({profile.context_tokens}).",
            "context_length_exceeded",
        )
    if patterns.blocked and patterns.blocked.search(prompt.text):
        raise complaints.blocked()
    format_, schema = _format(settings)
    return ChatCall(model, prompt, most, settings.get("candidateCount") or 1, format_, schema, "default")


def _camel(table: Any, known: frozenset[str], place: str) -> dict[str, Any]:
    """Return the table with its keys in camel case, as the server takes them. Raises Complaint."""
    if not isinstance(table, dict):
        raise _invalid(f"Invalid value at '{place}': expected an object.")
    named = {_HUMP.sub(lambda hump: hump[1].upper(), key): value for key, value in table.items()}
    for name in named:
        if name not in known:
            at = f" at '{place}'" if place else ""
            raise _invalid(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
    return named


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the contents as OpenAI's messages, the system instruction first."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise _invalid("* GenerateContentRequest.contents: contents is not specified")
    messages: list[dict[str, Any]] = []
    system = body.get("systemInstruction")
    if system is not None:
        messages.append({"role": "system", "content": _parts("system_instruction", system)})
    for index, content in enumerate(contents):
        parts = _parts(f"contents[{index}]", content)
        role = content.get("role", "user")
        if role not in ("user", "model"):
            raise _invalid("Please use a valid role: user, model.")
        messages.append({"role": "user" if role == "user" else "assistant", "content": parts})
    return messages


def _parts(place: str, content: Any) -> list[dict[str, Any]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise _invalid(f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty.")
    return parts


def _format(
    settings: Mapping[str, Any],
) -> tuple[Literal["text", "json_object", "json_schema"], Mapping[str, Any] | None]:
    mime = settings.get("responseMimeType")
    schema = settings.get("responseJsonSchema") or settings.get("responseSchema")
    if schema is not None and mime != "application/json":
        raise _invalid("A response schema needs response_mime_type application/json.")
    if mime in (None, "", "text/plain"):
        return "text", None
    if mime != "application/json":
        raise _invalid(f"Unsupported response_mime_type: {mime}")
    if schema is None:
        return "json_object", None
    if not isinstance(schema, dict):
        raise _invalid("Invalid value at 'generation_config.response_schema': expected an object.")
    return "json_schema", _lower_types(schema, 0)


def _lower_types(node: Any, depth: int) -> Any:
    """Return the schema with its types as JSON Schema writes them: OpenAPI's stand in capitals."""
    if depth > _DEEPEST:
        return {}
    if isinstance(node, list):
        return [_lower_types(each, depth + 1) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _lower_types(value, depth + 1)
        for key, value in node.items()
    }


def _invalid(message: str, code: str | None = None) -> Complaint:
    return Complaint(400, message, code=code)
