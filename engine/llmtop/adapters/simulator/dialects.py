"""The wire formats that one simulated provider speaks. Pure.

The model behind them is one: a request of any dialect becomes a `ChatCall`, and the answer is made
in OpenAI's words first, where all faults are put in, and then translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from llmtop.adapters.simulator.admission import Admission, Refusal
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns, parse_call
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.refusals import hint_headers, rate_headers, refusal_body
from llmtop.adapters.simulator.streams import openai_events

Errors = tuple[int, dict[str, Any]]
"""Status and body."""


class Dialect(Protocol):
    """One provider's words for the same model."""

    name: str
    id_header: str
    """The header that carries the number of a request."""

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a request. `model`: from the address, where it stands there. Raises Complaint."""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Translate an answer (or an error inside a 200) from OpenAI's words."""

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """Return a translated answer in pieces, as server-sent events."""

    def error(self, complaint: Complaint) -> Errors:
        """Return what a faulty request is told."""

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """Translate an error from OpenAI's words."""

    def refuse(
        self, profile: Profile, refusal: Refusal, model: str, wall_now: float
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return status, body and headers of a refusal."""

    def rate_headers(self, admission: Admission, now: float, wall_now: float) -> dict[str, str]:
        """Return the headers that tell the limits of this moment."""


class OpenAIDialect:
    """OpenAI's chat completions."""

    name = "openai"
    id_header = "x-request-id"

    def parse(
        self, raw: bytes, headers: Mapping[str, str], model: str, profile: Profile, patterns: Patterns
    ) -> ChatCall:
        """Read a `POST /chat/completions`."""
        return parse_call(raw, profile, patterns, model)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The words are OpenAI's already."""
        return body

    def events(self, answer: dict[str, Any], call: ChatCall) -> list[bytes]:
        """`chat.completion.chunk`s, and `[DONE]`."""
        return openai_events(answer, has_usage=call.has_usage)

    def error(self, complaint: Complaint) -> Errors:
        """As the complaint says."""
        return complaint.status, complaint.body

    def failure(self, status: int, body: dict[str, Any]) -> Errors:
        """The words are OpenAI's already."""
        return status, body

    def refuse(
        self, profile: Profile, refusal: Refusal, model: str, wall_now: float
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """With the hint in the headers, or in the message."""
        return *refusal_body(profile, refusal, model), hint_headers(profile, refusal, wall_now)

    def rate_headers(self, admission: Admission, now: float, wall_now: float) -> dict[str, str]:
        """`x-ratelimit-*`."""
        return rate_headers(admission, now)


OPENAI = OpenAIDialect()
