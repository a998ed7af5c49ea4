"""Gemini's generateContent format (AI Studio): builds requests and reads answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.complaints import Complaint, complaint_of, page_text
from llmtop.adapters.providers.encoding import encode, merged, version_path
from llmtop.adapters.providers.reading import Reading, Spent, id_of
from llmtop.adapters.providers.spent import part_of
from llmtop.adapters.providers.strict_json import InvalidBody, parse
from llmtop.config.kinds import KINDS
from llmtop.model import Answer, ChatRequest, ErrorType, Outcome, RawReply, Reply, Usage, WireRequest

_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}
VERSIONS = ("v1beta", "v1")
"""`-latest` names exist in v1beta only, and the rest is the same."""
_SYSTEM_ROLES = ("system", "developer")
_FILTERED = frozenset(
    {
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
    }
)  # fmt: skip


class GeminiFormat:
    """generateContent at one address. Stateless; `read` never raises."""

    name = "gemini"

    def __init__(self, base_url: str | None = None) -> None:
        kind = KINDS["gemini"]
        self.default_base_url = base_url or kind.base_url or ""
        self.default_key_env = kind.api_key_env
        self._start = version_path(self.default_base_url, VERSIONS)

    def __repr__(self) -> str:
        return f"GeminiFormat({self.default_base_url!r})"

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the header that carries the key; it never stands in the address."""
        return {"x-goog-api-key": key}

    def build(self, request: ChatRequest) -> WireRequest:
        """Put a request into Gemini's words; `extra` comes last and wins, `raw_body` goes as it is."""
        path = f"{self._start}/{model_path(request.model)}:generateContent"
        return WireRequest(path=path, body=encode(generate_body(request)), headers=_HEADERS)

    def read(self, raw: RawReply, now: float) -> Reply:
        """Read an answer, or name its error. `now`: epoch seconds, for waits given as dates. Never raises."""
        reading = _Reading(raw, (), raw.headers.get("x-request-id"), now)
        try:
            parsed = parse(raw.body)
        except InvalidBody as problem:
            return reading.unreadable(str(problem))
        if 200 <= raw.status < 300:
            return reading.answer(parsed)
        said = complaint_of(parsed) or Complaint(message=page_text(raw.body))
        return reading.complaint(raw.status, _with_quota(said))


class _Reading(Reading):
    __slots__ = ()

    def answer(self, parsed: object) -> Reply:
        """Read the body of a 200: candidates, a blocked prompt, or an error inside it."""
        if not isinstance(parsed, dict) or parsed.get("error"):
            said = complaint_of(parsed) or Complaint(message="the answer is not an object")
            if said.status is not None:
                return self.complaint(said.status, _with_quota(said))
            return self.useless("invalid_response", Outcome.FAULT, f"an error inside a 200: {said.message}")
        usage = usage_of(parsed.get("usageMetadata"))
        spent = Spent(usage, None, id_of(parsed.get("responseId")))
        feedback = parsed.get("promptFeedback")
        blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
        candidate = _first(parsed.get("candidates"))
        if candidate is None and blocked:
            return self.useless("content_filter", Outcome.BAD, f"the prompt was blocked: {blocked}", spent)
        if candidate is None:
            return self.useless("invalid_response", Outcome.FAULT, "the answer has no candidates", spent)
        finish = candidate.get("finishReason")
        finish = finish if isinstance(finish, str) else ""
        text = _text_of(candidate.get("content"))
        if (unusable := _unusable(candidate, finish)) is not None:
            return self.useless(*unusable, replace(spent, text=text))
        if not text.strip():
            why = f"the answer is empty (finishReason {finish or 'not said'})"
            return self.useless("invalid_response", Outcome.FAULT, why, spent)
        model = parsed.get("modelVersion")
        return Answer(
            text=hints.storable(text),
            finish_reason="stop" if finish == "STOP" else hints.text_of(finish.lower(), 40) or "unknown",
            model=hints.text_of(model, 200) if isinstance(model, str) else "",
            usage=usage,
            limits=self.limits,
            request_id=self.request_id or spent.answer_id,
        )


def model_path(model: str) -> str:
    """Return a model's part of the address; `models/` may stand in the name already."""
    path = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return quote(path, safe="/@._-~")


def generate_body(request: ChatRequest) -> dict[str, Any]:
    """Return the body of a call, or the `request` of a line of a batch."""
    if request.raw_body is not None:
        return dict(request.raw_body)
    system: list[Any] = []
    contents: list[Mapping[str, Any]] = []
    for message in request.messages:
        if message.get("role") in _SYSTEM_ROLES:
            system += _parts(message)
        else:
            contents.append(_content(message))
    settings: dict[str, Any] = {}
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.max_output_tokens is not None:
        settings["maxOutputTokens"] = request.max_output_tokens
    if request.response_format != "text":
        settings["responseMimeType"] = "application/json"
    if request.response_format == "schema":
        settings["responseJsonSchema"] = dict(request.schema or {})
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    if settings:
        body["generationConfig"] = settings
    return merged(body, request.extra or {}, frozenset({"generationConfig"}))


def _content(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a turn; one that is in Gemini's words already is passed on untouched."""
    if "parts" in message:
        return message
    role = "model" if message.get("role") == "assistant" else message.get("role", "user")
    return {"role": role, "parts": _parts(message)}


def _parts(message: Mapping[str, Any]) -> list[Any]:
    """Return a message's content as parts: texts as Gemini has them, everything else untouched."""
    if isinstance(message.get("parts"), list):
        return list(message["parts"])
    content = message.get("content")
    if not isinstance(content, list):
        return [{"text": content}]
    return [
        {"text": part.get("text")} if isinstance(part, dict) and part.get("type") == "text" else part
        for part in content
    ]


def _first(candidates: object) -> Mapping[str, Any] | None:
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return first if isinstance(first, dict) else None


def _text_of(content: object) -> str:
    """Return the text parts joined, thoughts left out; a candidate may have no content and no parts."""
    parts = content.get("parts") if isinstance(content, dict) else None
    said: Sequence[Any] = parts if isinstance(parts, list) else ()
    texts = [part.get("text") for part in said if isinstance(part, dict) and not part.get("thought")]
    return "".join(text for text in texts if isinstance(text, str))


def _unusable(candidate: Mapping[str, Any], finish: str) -> tuple[ErrorType, Outcome, str] | None:
    """Return why a well-formed answer is none; it was billed, and asking again would cost the same."""
    if finish == "MAX_TOKENS":
        cut = "the answer was cut at the token limit: raise request.max_output_tokens"
        return "truncated", Outcome.BAD, cut
    if finish in _FILTERED:
        said = candidate.get("finishMessage")
        more = f": {said}" if isinstance(said, str) and said else ""
        return "content_filter", Outcome.BAD, f"the answer was stopped for {finish}{more}"
    if finish in ("", "STOP", "FINISH_REASON_UNSPECIFIED"):
        return None
    if finish == "OTHER" or finish.startswith(("MALFORMED", "UNEXPECTED", "TOO_MANY", "MISSING", "IMAGE")):
        return "invalid_response", Outcome.FAULT, f"the answer ended with {finish}"
    return None


def _with_quota(said: Complaint) -> Complaint:
    """Add which limit Google's `QuotaFailure` names: the message says it in words that change."""
    words = set(said.words)
    for detail in said.details[:20] if isinstance(said.details, list) else ():
        violations = detail.get("violations") if isinstance(detail, dict) else None
        for violation in violations[:20] if isinstance(violations, list) else ():
            quota = str(violation.get("quotaId", "")) if isinstance(violation, dict) else ""
            if "Token" in quota:
                words.add("tokens")
            elif "Request" in quota:
                words.add("requests")
    return replace(said, words=frozenset(words))


def usage_of(usage: object) -> Usage | None:
    """Read `usageMetadata`; None where there is none, or nothing of it can be believed.

    Thoughts are counted beside the candidates, and billed as output.
    """
    if not isinstance(usage, dict):
        return None
    prompt, tools = part_of(usage.get("promptTokenCount")), part_of(usage.get("toolUsePromptTokenCount"))
    cached = part_of(usage.get("cachedContentTokenCount"))
    given, thought = part_of(usage.get("candidatesTokenCount")), part_of(usage.get("thoughtsTokenCount"))
    total_in, total_out = (prompt or 0) + (tools or 0), (given or 0) + (thought or 0)
    if not total_in and not total_out:
        return None
    is_guessed = not total_in or not total_out or None in (prompt, tools, cached, given, thought)
    if (cached or 0) > total_in:
        cached, is_guessed = 0, True
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=cached or 0,
        output_tokens=total_out,
        reasoning_tokens=thought or 0,
        is_estimated=is_guessed,
    )
