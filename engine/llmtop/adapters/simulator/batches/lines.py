"""Lines of a batch job: how each API writes them, and what they come to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import orjson

from llmtop.adapters.simulator.chat_answer import Completion, completion_body, spoil_answer
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns
from llmtop.adapters.simulator.complaints import Complaint, error_body
from llmtop.adapters.simulator.dialects import Dialect
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.profile import Profile

ANSWER_TROUBLES = frozenset(("refusal", "content_filter", "length", "null_content", "missing_usage"))
"""Troubles of the answer itself; it is billed."""
_ERRORS = {
    "http_400": (400, error_body("The request is not valid.", "invalid_request_error", None, None)),
    "http_429": (429, error_body("Rate limit reached.", "requests", None, "rate_limit_exceeded")),
    "http_500": (500, error_body("The server had an error.", "server_error", None, None)),
    "no_status": (500, error_body("The server had an error.", "server_error", None, None)),
}


class BadLine(Exception):
    """A line for which the whole batch fails (OpenAI), or its creation (the others)."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Sent(NamedTuple):
    """A line as it was sent."""

    custom_id: str
    body: Any


class Line(NamedTuple):
    """What is remembered of a line while its batch lives."""

    custom_id: str
    at: int
    """Where it begins in the source."""
    key: str
    """What tells its prompt from others."""
    attempt: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class LineEnd:
    """What a line came to; `body` is in the words of the API's dialect."""

    custom_id: str
    kind: Literal["answer", "error", "expired", "cancelled"]
    status: int = 0
    body: dict[str, Any] | None = None
    has_status: bool = True
    """False: OpenAI's format shows a status of 0 and nothing else."""


class Grammar(Protocol):
    """How one API writes the lines of a batch."""

    dialect: Dialect
    prefix: str
    """What ids of results begin with."""
    has_error_file: bool
    """Whether lines that failed stand in a file of their own, and those that were cancelled nowhere."""

    def read(self, raw: bytes) -> Sent:
        """Read a line. Raises BadLine."""

    def call(self, sent: Sent, model: str, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
        """Return the request of a line. Raises Complaint."""

    def write(self, end: LineEnd, number: int) -> bytes:
        """Return the line of a result, with its end."""


def trouble_of(profile: Profile, patterns: Patterns, call: ChatCall, attempt: int) -> str | None:
    """Return the trouble that a profile has for this try of a line."""
    prompt = call.prompt
    doomed = patterns.always_fail
    if doomed is not None and any(doomed.search(text) for text in (prompt.ids or (prompt.text,))):
        return profile.always_fail_kind if profile.always_fail_kind in _ERRORS else "http_500"
    if profile.fault_tries and attempt > profile.fault_tries:
        return None
    chance = Draws(profile.seed, prompt.key, attempt).uniform("batch line")
    for kind, share in profile.batch_lines.items():
        if chance < share:
            return kind
        chance -= share
    return None


def failed_end(dialect: Dialect, custom_id: str, complaint: Complaint) -> LineEnd:
    """Return the end of a line whose request is not valid."""
    status, body = dialect.error(complaint)
    return LineEnd(custom_id, "answer" if status == 200 else "error", status, body)


def error_end(dialect: Dialect, line: Line) -> LineEnd | None:
    """Return the end of a line that fails with an error; None: it is answered."""
    if line.trouble not in _ERRORS:
        return None
    end = LineEnd(line.custom_id, "error", *dialect.failure(*_ERRORS[line.trouble]))
    return replace(end, has_status=line.trouble != "no_status")


def answer_end(
    dialect: Dialect,
    profile: Profile,
    call: ChatCall,
    line: Line,
    made: tuple[Completion, int, int],
    now: float,
) -> LineEnd:
    """Return the end of a line that is answered, in its trouble."""
    completion, cost_pusd, number = made
    if dialect.name == "anthropic":
        call = replace(call, service_tier="batch")
    body = completion_body(profile, call, completion, number, int(now), cost_pusd)
    if line.trouble in ANSWER_TROUBLES:
        body = spoil_answer(line.trouble, body)
    return LineEnd(line.custom_id, "answer", 200, dialect.answer(body))


def parsed_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a line. Raises BadLine."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadLine("invalid_json_line", "This line is not parseable as valid JSON.") from None
    if not isinstance(value, dict):
        raise BadLine("invalid_json_line", "This line is not a JSON object.")
    return value
