"""Gemini's words: answers, errors, hints. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.dialects import Errors
from llmtop.adapters.simulator.gemini_request import parse_generate
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.refusals import refusal_body
from llmtop.adapters.simulator.streams import gemini_events

_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED",
    404: "NOT_FOUND", 405: "UNIMPLEMENTED", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 529: "UNAVAILABLE",
}  # fmt: skip
_GOOGLE = "type.googleapis.com/google.rpc."
_FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "error": "OTHER"}
_REFUSED = "PROHIBITED_CONTENT"


class GeminiDialect:
    """generateContent of the Gemini API (AI Studio)."""

    name = "gemini"
    id_header = "x-request-id"

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a `POST .../models/{model}:generateContent`."""
        return parse_generate(raw, model, profile, patterns)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the candidates; a refused prompt has none."""
        if "error" in body:
            return self.failure(502, body)[1]
        usage = _usage(body.get("usage"))
        answer: dict[str, Any] = {
            "candidates": [_candidate(choice) for choice in body["choices"]],
            "usageMetadata": usage,
            "modelVersion": body["model"],
            "responseId": body["id"].removeprefix("chatcmpl-"),
        }
        if body["choices"] and body["choices"][0]["message"].get("refusal") is not None:
            answer["candidates"] = []
            answer["promptFeedback"] = {"blockReason": _REFUSED}
        return {name: value for name, value in answer.items() if value not in (None, [])}

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """Answers with a part of the text each."""
        return gemini_events(answer)

    def error(self, complaint: Complaint) -> Errors:
        """Return what a faulty request is told; a blocked prompt is a 200 without candidates."""
        if complaint.reason == "content_policy_violation":
            return 200, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"totalTokenCount": 0}}
        return self.failure(complaint.status, complaint.body)

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """Return `{"error": {code, message, status, details}}`."""
        said = body["error"]
        if status == 401 and said["code"] is None:
            return 403, error_body(403, "Method doesn't allow unregistered callers. Please use an API key.")
        if status == 401:
            details = [{"@type": f"{_GOOGLE}ErrorInfo", "reason": "API_KEY_INVALID"}]
            return 400, error_body(400, "API key not valid. Please pass a valid API key.", details)
        if said["code"] == "model_not_found":
            model = said["message"].split("`")[1]
            return 404, error_body(404, f"models/{model} is not found for API version v1.")
        return (503 if status == 529 else status), error_body(status, said["message"])

    def refuse(
        self, profile: Profile, refusal: Refusal, model: str, wall_now: float
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return a refusal: quota and wait stand in the details, nothing in the headers."""
        status, openai = refusal_body(profile, refusal, model)
        details: list[dict[str, Any]] = []
        if profile.is_refusal_named or refusal.cause == "quota":
            details.append({"@type": f"{_GOOGLE}QuotaFailure", "violations": [_violation(refusal)]})
        has_wait = refusal.cause != "quota" and math.isfinite(refusal.wait_s)
        if has_wait and profile.hint not in ("none", "message"):
            delay = profile.hint_text or f"{math.ceil(refusal.wait_s * 1000) / 1000:g}s"
            details.append({"@type": f"{_GOOGLE}RetryInfo", "retryDelay": delay})
        status = 503 if status == 529 else status
        return status, error_body(status, openai["error"]["message"], details), {}

    def rate_headers(self, admission: Admission, now: float, wall_now: float) -> dict[str, str]:
        """There are none."""
        return {}


def error_body(status: int, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return an error as Google's APIs write it."""
    error: dict[str, Any] = {
        "code": 503 if status == 529 else status, "message": message,
        "status": _STATUSES.get(status, "UNKNOWN"),
    }  # fmt: skip
    if details:
        error["details"] = details
    return {"error": error}


def _candidate(choice: Mapping[str, Any]) -> dict[str, Any]:
    text = choice["message"]["content"]
    candidate: dict[str, Any] = {"index": choice["index"], "finishReason": _FINISHES[choice["finish_reason"]]}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if candidate["finishReason"] == "SAFETY":
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
        candidate["safetyRatings"] = [rating]
    return candidate


def _usage(usage: Any) -> dict[str, Any] | None:
    if usage is None:
        return None
    if "prompt_tokens_details" not in usage:  # the fault `nonsense_usage`
        return {"promptTokenCount": -7, "candidatesTokenCount": -1}
    thoughts = usage["completion_tokens_details"]["reasoning_tokens"]
    counts = {
        "promptTokenCount": usage["prompt_tokens"],
        "cachedContentTokenCount": usage["prompt_tokens_details"]["cached_tokens"],
        "candidatesTokenCount": usage["completion_tokens"] - thoughts,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": usage["total_tokens"],
    }
    return {name: count for name, count in counts.items() if count}


def _violation(refusal: Refusal) -> dict[str, str]:
    what = "InputTokens" if refusal.cause == "tokens" else "Requests"
    per = "PerDay" if refusal.cause == "quota" else f"Per{refusal.per.capitalize() or 'Minute'}"
    return {
        "quotaMetric": f"generativelanguage.googleapis.com/generate_content_{what.lower()}",
        "quotaId": f"GenerateContent{what}{per}PerProjectPerModel",
    }


GEMINI = GeminiDialect()
