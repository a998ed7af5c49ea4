"""Servers that speak OpenAI's format with ways of their own, each under a path of its own. Pure.

    /azure/openai/v1/...      Azure OpenAI; also /azure/openai/deployments/NAME/... with an api-version
    /groq/openai/v1/...       Groq
    /together/v1/...          Together
    /mistral/v1/...           Mistral

The model behind them is the same; an answer is made in OpenAI's words and then translated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns, parse_call
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.dialects import Errors, OpenAIDialect
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.refusals import limits_now
from llmtop.adapters.simulator.streams import openai_events

_DEPLOYMENT = re.compile(r"/deployments/(?P<model>[^/]+)(?P<rest>/.+)")
_SAFE = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_NO_LIMITS = {
    f"x-ratelimit-{what}-{name}": "0" if what == "reset" else "-1"
    for name in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
}
_UNKNOWN_TO_MISTRAL = ("max_completion_tokens", "seed", "logit_bias", "user")


class AzureDialect(OpenAIDialect):
    """Azure OpenAI: filters that name themselves, deployments, and headers in plain seconds."""

    name = "azure"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add what the content filter found."""
        for choice in body.get("choices", ()):
            is_cut = choice["finish_reason"] == "content_filter"
            found = {"hate": {"filtered": True, "severity": "high"}} if is_cut else {}
            choice["content_filter_results"] = {**_SAFE, **found}
        return body

    def error(self, complaint: Complaint) -> Errors:
        """Name filters, keys and deployments as Azure does."""
        return self.failure(complaint.status, complaint.body)

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """Name filters, keys and deployments as Azure does."""
        error = body["error"]
        if status == 401:
            message = "Access denied due to invalid subscription key or wrong API endpoint."
            return status, {"error": {"code": "401", "message": message}}
        if error["code"] == "model_not_found":
            message = "The API deployment for this resource does not exist."
            return status, {"error": {"code": "DeploymentNotFound", "message": message}}
        if error["code"] == "content_policy_violation":
            found = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
            message = "The response was filtered due to the prompt triggering the content management policy."
            named = {"message": message, "type": None, "param": "prompt", "code": "content_filter"}
            return status, {"error": {**named, "status": status, "innererror": inner}}
        return status, body

    def rate_headers(self, admission: Admission, now: float, wall_now: float) -> dict[str, str]:
        """`x-ratelimit-*` with resets of whole seconds, and -1 where there is no limit."""
        headers = dict(_NO_LIMITS)
        for name, limit, left, reset_s in limits_now(admission, now):
            headers[f"x-ratelimit-limit-{name}"] = str(limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(left)
            headers[f"x-ratelimit-reset-{name}"] = str(math.ceil(reset_s))
        return headers


class GroqDialect(OpenAIDialect):
    """Groq: times in the usage, and an id of its own."""

    name = "groq"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Add the times, and the id."""
        usage = body.get("usage")
        if isinstance(usage, dict):
            times = {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.04, "total_time": 0.042}
            usage.update(times)
        if "id" in body:
            body["x_groq"] = {"id": body["id"].replace("chatcmpl-", "req_")}
        return body


class TogetherDialect(OpenAIDialect):
    """Together: `eos` is its stop, and a prompt that is too long a 403."""

    name = "together"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say `eos` where OpenAI says `stop`."""
        for choice in body.get("choices", ()):
            if choice["finish_reason"] == "stop":
                choice["finish_reason"] = "eos"
        return body

    def error(self, complaint: Complaint) -> Errors:
        """A prompt that is too long is forbidden."""
        is_long = complaint.reason == "context_length_exceeded"
        return 403 if is_long else complaint.status, complaint.body


class MistralDialect(OpenAIDialect):
    """Mistral: errors without an envelope, lists of details, and no field that it does not know."""

    name = "mistral"

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a `POST /chat/completions`. Raises Complaint."""
        call = parse_call(raw, profile, patterns)
        check_mistral(orjson.loads(raw))
        return call

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave out what Mistral does not say."""
        for name in ("system_fingerprint", "service_tier"):
            body.pop(name, None)
        for choice in body.get("choices", ()):
            for name in ("refusal", "annotations"):
                choice["message"].pop(name, None)
        return body

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """Chunks; the usage is always told."""
        return openai_events(answer, has_usage=True)

    def error(self, complaint: Complaint) -> Errors:
        """Take the envelope off, or make a list of details."""
        return self.failure(complaint.status, complaint.body)

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """Take the envelope off, or make a list of details."""
        error = body["error"]
        if status == 401:
            return status, {"detail": "Unauthorized"}
        if status == 400 and error["param"]:
            where = ["body", *str(error["param"]).split(".")]
            return 422, {"detail": [{"type": "value_error", "loc": where, "msg": error["message"]}]}
        return status, {"object": "error", **error, "code": str(error["code"] or status)}

    def refuse(
        self, profile: Profile, refusal: Refusal, model: str, wall_now: float
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Without an envelope, with the hint in the headers."""
        status, body, headers = super().refuse(profile, refusal, model, wall_now)
        return status, self.failure(status, body)[1], headers


def check_mistral(body: Mapping[str, Any]) -> None:
    """Raise Complaint where a request has a field that Mistral does not know."""
    for name in _UNKNOWN_TO_MISTRAL:
        if name in body:
            raise Complaint(400, "Extra inputs are not permitted", param=name, code="extra_forbidden")


class Visit(NamedTuple):
    """A request to a house: its dialect, what is asked for there, and the model that the address names."""

    dialect: OpenAIDialect
    path: str
    model: str = ""


_PREFIXES: tuple[tuple[str, OpenAIDialect], ...] = (
    ("/azure/openai", AzureDialect()),
    ("/groq/openai", GroqDialect()),
    ("/together", TogetherDialect()),
    ("/mistral", MistralDialect()),
)
HOUSES: Mapping[str, OpenAIDialect] = {dialect.name: dialect for _, dialect in _PREFIXES}


def visit_of(path: str) -> Visit | None:
    """Return whose words a request to `path` speaks, and what it asks for; None: no house's."""
    for prefix, dialect in _PREFIXES:
        if not path.startswith(f"{prefix}/"):
            continue
        rest = path.removeprefix(prefix)
        if dialect.name == "azure" and (deployed := _DEPLOYMENT.fullmatch(rest)):
            return Visit(dialect, deployed["rest"], deployed["model"])
        return Visit(dialect, rest)
    return None
