"""Anthropic's Messages format: builds requests and reads answers.

Which header names the version is decided by each request: sampling parameters were removed with
2026-10-21, so a request that has one goes out under the version before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.anthropic_said import limit_headers, usage_of
from llmtop.adapters.providers.complaints import Complaint, complaint_of, page_text
from llmtop.adapters.providers.encoding import encode, merged, version_path
from llmtop.adapters.providers.reading import Reading, Spent, id_of
from llmtop.adapters.providers.strict_json import InvalidBody, parse
from llmtop.config.kinds import KINDS
from llmtop.model import Answer, ChatRequest, ErrorType, Outcome, RawReply, Reply, WireRequest

NEW_VERSION = "2026-10-21"
SAMPLING_VERSION = "2023-06-01"
_SAMPLING = ("temperature", "top_p", "top_k")
_SYSTEM_ROLES = ("system", "developer")
_JSON_ONLY = "Answer with one JSON value and nothing else."
_STOPPED = frozenset({"end_turn", "stop_sequence"})
STATUS_OF_TYPE = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500,
    "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip


class AnthropicFormat:
    """The Messages API at one address. Stateless; `read` never raises."""

    name = "anthropic"

    def __init__(self, base_url: str | None = None) -> None:
        kind = KINDS["anthropic"]
        self.default_base_url = base_url or kind.base_url or ""
        self.default_key_env = kind.api_key_env
        self._path = version_path(self.default_base_url, ("v1",)) + "/messages"

    def __repr__(self) -> str:
        return f"AnthropicFormat({self.default_base_url!r})"

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the header that carries the key; a token of an OAuth log-in is a bearer's."""
        if key.startswith("sk-ant-oat"):
            return {"Authorization": f"Bearer {key}"}
        return {"x-api-key": key}

    def build(self, request: ChatRequest) -> WireRequest:
        """Put a request into Anthropic's words; `extra` comes last and wins, `raw_body` goes as it is."""
        body = message_body(request)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "anthropic-version": version_for(body),
        }
        return WireRequest(path=self._path, body=encode(body), headers=headers)

    def read(self, raw: RawReply, now: float) -> Reply:
        """Read an answer, or name its error. `now`: epoch seconds, for waits given as dates. Never raises."""
        limits = limit_headers(raw.headers, now)
        reading = _Reading(raw, limits, raw.headers.get("request-id"), now)
        try:
            parsed = parse(raw.body)
        except InvalidBody as problem:
            return reading.unreadable(str(problem))
        if 200 <= raw.status < 300:
            return reading.answer(parsed)
        said = complaint_of(parsed) or Complaint(message=page_text(raw.body))
        return reading.complaint(raw.status, reading.with_code(said, parsed))


class _Reading(Reading):
    __slots__ = ()

    def answer(self, parsed: object) -> Reply:
        """Read the body of a 200: a message, or an error inside it."""
        if not isinstance(parsed, dict) or parsed.get("type") == "error" or parsed.get("error"):
            return self._error_in_ok(parsed)
        usage = usage_of(parsed.get("usage"))
        spent = Spent(usage, None, id_of(parsed.get("id")))
        if not isinstance(parsed.get("content"), list):
            return self.useless("invalid_response", Outcome.FAULT, "the answer has no content", spent)
        reason = parsed.get("stop_reason")
        reason = reason if isinstance(reason, str) else ""
        text = text_of(parsed["content"])
        if (unusable := _unusable(parsed, reason)) is not None:
            return self.useless(*unusable, replace(spent, text=text))
        if not text.strip():
            return self.useless(
                "invalid_response", Outcome.FAULT, _blank_reason(parsed["content"], reason), spent
            )
        model = parsed.get("model")
        return Answer(
            text=hints.storable(text),
            finish_reason="stop" if reason in _STOPPED else hints.text_of(reason, 40) or "unknown",
            model=hints.text_of(model, 200) if isinstance(model, str) else "",
            usage=usage,
            limits=self.limits,
            request_id=self.request_id or spent.answer_id,
        )

    def with_code(self, said: Complaint, parsed: object) -> Complaint:
        """Add `details.error_code`: a spend limit is one only where the server does not ask to wait."""
        error = parsed.get("error") if isinstance(parsed, dict) else None
        details = error.get("details") if isinstance(error, dict) else None
        code = details.get("error_code") if isinstance(details, dict) else None
        if not isinstance(code, str):
            return said
        if code == "ramp_limit_exceeded":
            return replace(said, words=said.words | {"slow_down"})
        is_spend = code.endswith("spend_limit_reached")
        if is_spend and hints.wait_s(self.raw.headers, None, "", self.now) is not None:
            return said
        return replace(said, words=said.words | {code.lower()[:100]})

    def _error_in_ok(self, parsed: object) -> Reply:
        said = complaint_of(parsed)
        if said is None:
            return self.useless("invalid_response", Outcome.FAULT, "the answer is not a message")
        status = next((STATUS_OF_TYPE[word] for word in said.words if word in STATUS_OF_TYPE), None)
        if status is None:
            return self.useless("invalid_response", Outcome.FAULT, f"an error inside a 200: {said.message}")
        return self.complaint(status, self.with_code(said, parsed))


def message_body(request: ChatRequest) -> dict[str, Any]:
    """Return the body of a message, or the `params` of a line of a batch."""
    if request.raw_body is not None:
        return {"model": request.model, **request.raw_body}
    system, messages = _parted(request.messages)
    if request.response_format == "json":
        system = [*system, {"type": "text", "text": _JSON_ONLY}]
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    if request.max_output_tokens is not None:
        body["max_tokens"] = request.max_output_tokens
    if len(system) == 1 and set(system[0]) == {"type", "text"}:
        body["system"] = system[0]["text"]
    elif system:
        body["system"] = system
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.response_format == "schema":
        body["output_config"] = {"format": {"type": "json_schema", "schema": dict(request.schema or {})}}
    return merged(body, request.extra or {}, frozenset({"output_config"}))


def version_for(body: Mapping[str, Any]) -> str:
    """Return the newest version that takes this body."""
    return SAMPLING_VERSION if any(name in body for name in _SAMPLING) else NEW_VERSION


def _parted(
    messages: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """Part the system prompt, as blocks, from the turns; what the turns hold is passed on untouched."""
    system: list[dict[str, Any]] = []
    turns: list[Mapping[str, Any]] = []
    for message in messages:
        if message.get("role") not in _SYSTEM_ROLES:
            turns.append(message)
            continue
        content = message.get("content")
        if isinstance(content, list):
            system += [block for block in content if isinstance(block, dict)]
        elif isinstance(content, str):
            system.append({"type": "text", "text": content})
    return system, turns


def text_of(content: Sequence[Any]) -> str:
    """Return the text blocks joined; thinking and tool blocks may stand between them."""
    texts = [
        block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"
    ]
    return "".join(text for text in texts if isinstance(text, str))


def _unusable(parsed: Mapping[str, Any], reason: str) -> tuple[ErrorType, Outcome, str] | None:
    """Return why a well-formed answer is none; it was billed, and asking again would cost the same."""
    if reason == "refusal":
        details = parsed.get("stop_details")
        why = details.get("explanation") if isinstance(details, dict) else None
        return "refusal", Outcome.BAD, why if isinstance(why, str) and why else "the model refused to answer"
    if reason == "max_tokens":
        cut = "the answer was cut at the token limit: raise request.max_output_tokens"
        return "truncated", Outcome.BAD, cut
    if reason == "model_context_window_exceeded":
        return "context_length", Outcome.BAD, "prompt and answer filled the model's context window"
    if reason == "pause_turn":
        return "invalid_response", Outcome.FAULT, "the model paused in the middle of its turn"
    return None


def _blank_reason(content: Sequence[Any], reason: str) -> str:
    kinds = {block.get("type") for block in content if isinstance(block, dict)}
    if reason == "tool_use" or "tool_use" in kinds:
        return "the model called a tool instead of answering"
    if kinds & {"thinking", "redacted_thinking"}:
        return "the answer holds thinking and no text"
    return "the answer is empty"
