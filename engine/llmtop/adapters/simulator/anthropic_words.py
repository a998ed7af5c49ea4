"""Anthropic's words: answers, errors, limits. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.anthropic_request import parse_message
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.dialects import Errors
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.refusals import hint_headers, limits_now, refusal_body
from llmtop.adapters.simulator.streams import anthropic_events

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large", 429: "rate_limit_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


class AnthropicDialect:
    """The Messages API."""

    name = "anthropic"
    id_header = "request-id"

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a `POST /v1/messages`."""
        return parse_message(raw, headers.get("anthropic-version", ""), profile, patterns)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the message."""
        if "error" in body:
            return self.failure(500, body)[1]
        choice: dict[str, Any] = (
            body["choices"][0] if body["choices"] else {"finish_reason": "stop", "message": {}}
        )
        if choice["finish_reason"] == "error":
            return error_body("api_error", "The upstream provider failed.")
        said = choice["message"]
        refused = said.get("refusal") is not None or choice["finish_reason"] == "content_filter"
        message: dict[str, Any] = {
            "id": body["id"].replace("chatcmpl-", "msg_"),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": _blocks(said.get("content"), body.get("usage")),
            "stop_reason": "refusal" if refused else _STOPS[choice["finish_reason"]],
            "stop_sequence": None,
            "stop_details": _refusal(said.get("refusal")) if refused else None,
            "usage": _usage(body.get("usage"), body["service_tier"]),
        }
        if message["usage"] is None:
            del message["usage"]
        return message

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """From `message_start` to `message_stop`."""
        return anthropic_events(answer)

    def error(self, complaint: Complaint) -> Errors:
        """Return the two envelopes of an error."""
        return self.failure(complaint.status, complaint.body)

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """Return the two envelopes of an error."""
        error = body["error"]
        message = error["message"]
        if error["code"] == "model_not_found":
            message = f"model: {message.split('`')[1]}"
        return status, error_body(_TYPES.get(status, "api_error"), message)

    def refuse(
        self, profile: Profile, refusal: Refusal, model: str, wall_now: float
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return a refusal: a limit with a wait, money gone without one."""
        status, openai = refusal_body(profile, refusal, model)
        code = {"quota": "enforced_spend_limit_reached", "ramp": "ramp_limit_exceeded"}.get(refusal.cause)
        kind = _TYPES.get(status, "api_error")
        body = error_body(kind, openai["error"]["message"], code)
        if profile.hint == "reset_headers" and refusal.cause != "quota" and math.isfinite(refusal.wait_s):
            reset = {
                f"anthropic-ratelimit-{_resource(refusal.cause)}-reset": _time(wall_now + refusal.wait_s)
            }
            return status, body, reset | {f"anthropic-ratelimit-{_resource(refusal.cause)}-remaining": "0"}
        return status, body, hint_headers(profile, refusal, wall_now)

    def rate_headers(self, admission: Admission, now: float, wall_now: float) -> dict[str, str]:
        """`anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`."""
        headers: dict[str, str] = {}
        for cause, limit, left, reset_s in limits_now(admission, now):
            name = f"anthropic-ratelimit-{cause}"
            headers[f"{name}-limit"] = str(limit)
            headers[f"{name}-remaining"] = str(left)
            headers[f"{name}-reset"] = _time(wall_now + reset_s)
        return headers


def error_body(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    """Return an error as Anthropic writes it."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": None}


def _blocks(content: str | None, usage: Any) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    if details and details["reasoning_tokens"]:
        blocks.append({"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"})
    if content is not None:
        blocks.append({"type": "text", "text": content, "citations": None})
    return blocks


def _refusal(explanation: str | None) -> dict[str, Any]:
    return {"type": "refusal", "category": None, "explanation": explanation}


def _usage(usage: Any, tier: str) -> dict[str, Any] | None:
    if usage is None:
        return None
    if "prompt_tokens_details" not in usage:  # the fault `nonsense_usage`
        return {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "thinking_tokens": usage["completion_tokens_details"]["reasoning_tokens"],
        },
        "service_tier": tier if tier in ("batch", "priority") else "standard",
    }


def _resource(cause: str) -> str:
    return "tokens" if cause == "tokens" else "requests"


def _time(at: float) -> str:
    return datetime.fromtimestamp(math.ceil(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ANTHROPIC = AnthropicDialect()
