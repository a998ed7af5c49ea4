"""The OpenAI chat format, as OpenAI and everything that calls itself compatible speaks it.

Builds requests and reads answers; `naming` names errors, `servers` knows what differs by host.
Differences between servers are met by reading leniently (shape) and believing little (figures).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.complaints import Complaint, complaint_of, page_text
from llmtop.adapters.providers.encoding import encode
from llmtop.adapters.providers.reading import Reading, Spent, id_of
from llmtop.adapters.providers.schemas import is_strict
from llmtop.adapters.providers.servers import ServerProfile, profile_of
from llmtop.adapters.providers.spent import cost_pusd_of, usage_of
from llmtop.adapters.providers.strict_json import InvalidBody, parse
from llmtop.config.kinds import KINDS
from llmtop.config.schema import ServerName
from llmtop.model import (
    Answer,
    ChatRequest,
    ErrorType,
    Outcome,
    ProviderError,
    RawReply,
    Reply,
    WireRequest,
)

_PATH = "/chat/completions"
_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept": "application/json"}
_STOPPED = frozenset({"stop", "eos", "stop_sequence", "end_turn", "completed"})
_CUT = frozenset({"length", "max_tokens", "model_length", "max_output_tokens"})
_BROKEN = frozenset({"error", "insufficient_system_resource"})
_NO_COMPLAINT = Complaint()


_JSON_ONLY = "Answer with one JSON object and nothing else."
"""OpenAI refuses its JSON mode where no message has the word in it."""


class OpenAIFormat:
    """One server's OpenAI format. Stateless; `read` never raises."""

    def __init__(
        self,
        base_url: str,
        *,
        name: str = "openai",
        default_key_env: str | None = None,
        server: ServerName | None = None,
    ) -> None:
        """`server`: whose ways the server has; None: the host name tells."""
        self.name = name
        self.default_base_url = base_url
        self.default_key_env = default_key_env
        self._server: ServerProfile = profile_of(base_url, server)

    @property
    def server(self) -> ServerName:
        """The name of the server behind the address; "compatible" where it is not a known one."""
        return self._server.name

    def __repr__(self) -> str:
        return f"OpenAIFormat({self.default_base_url!r}, server={self._server.name!r})"

    def key_headers(self, key: str) -> dict[str, str]:
        """Return the header that carries the key."""
        return self._server.key_headers(key)

    def build(self, request: ChatRequest) -> WireRequest:
        """Put a request into OpenAI's words; `extra` comes last and wins, `raw_body` goes as it is."""
        return WireRequest(path=_PATH, body=encode(self.body(request)), headers=_HEADERS)

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """Return the body of a call, or of a line of a batch."""
        if request.raw_body is not None:
            return {"model": request.model, **request.raw_body}
        messages = list(request.messages)
        if request.response_format == "json" and not any(_says_json(message) for message in messages):
            messages.insert(0, {"role": "system", "content": _JSON_ONLY})
        body: dict[str, Any] = {"model": request.model, "messages": messages}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_output_tokens is not None:
            body[self._server.token_field] = request.max_output_tokens
        if request.response_format == "json":
            body["response_format"] = {"type": "json_object"}
        elif request.response_format == "schema":
            schema = dict(request.schema or {})
            wrapped = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wrapped}
        body.update(request.extra or {})
        return body

    def read(self, raw: RawReply, now: float) -> Reply:
        """Read an answer, or name its error. `now`: epoch seconds, for waits given as dates. Never raises."""
        headers = raw.headers
        limits = hints.limit_headers(headers, self._server.requests_window_s, now)
        reading = _Reading(raw, limits, headers.get("x-request-id"), now)
        try:
            parsed = parse(raw.body)
        except InvalidBody as problem:
            return reading.unreadable(str(problem))
        if 200 <= raw.status < 300:
            return reading.answer(parsed)
        return reading.complaint(raw.status, complaint_of(parsed) or Complaint(message=page_text(raw.body)))


def _says_json(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return any("json" in text.lower() for text in texts if isinstance(text, str))


class _Reading(Reading):
    __slots__ = ()

    def answer(self, parsed: object) -> Reply:
        """Read the body of a 200."""
        if not isinstance(parsed, dict) or parsed.get("error"):
            return self._error_in_ok(complaint_of(parsed) or Complaint(message="the answer is not an object"))
        choice = _first_choice(parsed)
        if choice is None:
            said = complaint_of(parsed)
            return self._error_in_ok(said) if said else self._invalid("the answer has no choices", parsed)
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        finish = choice.get("finish_reason")
        finish = finish.lower() if isinstance(finish, str) else ""
        text = _text_of(message.get("content"))
        if choice.get("error") or finish in _BROKEN:
            return self._broken_choice(choice, finish, parsed)
        if (unusable := _unusable(message, finish, text)) is not None:
            return self._billed(*unusable, parsed, text or "")
        if text is None or not text.strip():
            return self._invalid(_blank_reason(message), parsed)
        model = parsed.get("model")
        return Answer(
            text=hints.storable(text),
            finish_reason="stop" if finish in _STOPPED else hints.text_of(finish, 40) or "unknown",
            model=hints.text_of(model, 200) if isinstance(model, str) else "",
            usage=usage_of(parsed.get("usage")),
            cost_pusd=cost_pusd_of(parsed.get("usage")),
            limits=self.limits,
            request_id=self.request_id or id_of(parsed.get("id")),
        )

    def _error_in_ok(self, said: Complaint) -> ProviderError:
        """An error inside a 200: believed by its code; without a known one, asked again."""
        if said.status is not None:
            return self.complaint(said.status, said)
        named = (
            self.complaint(429, said) if said.words & {"rate_limit_exceeded", "insufficient_quota"} else None
        )
        return named or self._plain(
            "invalid_response", Outcome.FAULT, f"an error inside a 200: {said.message}"
        )

    def _broken_choice(
        self, choice: Mapping[str, Any], finish: str, parsed: Mapping[str, Any]
    ) -> ProviderError:
        said = complaint_of({"error": choice.get("error")})
        if said is not None and said.status is not None:
            return self.complaint(said.status, said)
        message = said.message if said is not None else f"the answer ended with {finish!r}"
        return self._billed("server_error", Outcome.FAULT, message, parsed)

    def _invalid(self, message: str, parsed: Mapping[str, Any] | None) -> ProviderError:
        return self._billed("invalid_response", Outcome.FAULT, message, parsed or {})

    def _billed(
        self, kind: ErrorType, outcome: Outcome, message: str, parsed: Mapping[str, Any], text: str = ""
    ) -> ProviderError:
        """An answer that is of no use and costs all the same."""
        usage = parsed.get("usage")
        spent = Spent(usage_of(usage), cost_pusd_of(usage), id_of(parsed.get("id")), text)
        return self.useless(kind, outcome, message, spent)

    def _plain(self, kind: ErrorType, outcome: Outcome, message: str) -> ProviderError:
        return self.useless(kind, outcome, message)


def _first_choice(parsed: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    first = choices[0]
    return first if isinstance(first, dict) else None


def _text_of(content: object) -> str | None:
    """Return the text of a message: a string, or the text parts of a list (thinking parts left out)."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [
        part.get("text") for part in content if isinstance(part, dict) and part.get("type") in ("text", None)
    ]
    return "".join(part for part in parts if isinstance(part, str))


def _unusable(
    message: Mapping[str, Any], finish: str, text: str | None
) -> tuple[ErrorType, Outcome, str] | None:
    """Return why a well-formed answer is none; it was billed, and asking again would cost the same."""
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip() and not (text and text.strip()):
        return "refusal", Outcome.BAD, refusal
    if finish in _CUT:
        return (
            "truncated",
            Outcome.BAD,
            "the answer was cut at the token limit: raise request.max_output_tokens",
        )
    if finish == "content_filter":
        return "content_filter", Outcome.BAD, "the provider's content filter cut the answer"
    return None


def _blank_reason(message: Mapping[str, Any]) -> str:
    if message.get("tool_calls") or message.get("function_call"):
        return "the model called a tool instead of answering"
    if message.get("reasoning_content") or message.get("reasoning"):
        return "the answer holds thinking and no text"
    return "the answer is empty"


def openai_format(base_url: str | None, server: ServerName | None = None) -> OpenAIFormat:
    """Return the format for `base_url`; None: OpenAI itself."""
    kind = KINDS["openai"]
    return OpenAIFormat(base_url or kind.base_url or "", default_key_env=kind.api_key_env, server=server)
