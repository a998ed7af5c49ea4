"""How each API writes the lines of a batch job: what is sent, and what comes back. Pure."""

from __future__ import annotations

import re
from typing import Any

import orjson

from llmtop.adapters.simulator.anthropic_request import read_params
from llmtop.adapters.simulator.anthropic_words import ANTHROPIC
from llmtop.adapters.simulator.batches.lines import BadLine, LineEnd, Sent, parsed_object
from llmtop.adapters.simulator.chat_request import ChatCall, Patterns, read_call
from llmtop.adapters.simulator.dialects import OPENAI, Dialect
from llmtop.adapters.simulator.gemini_request import read_generate
from llmtop.adapters.simulator.gemini_words import GEMINI
from llmtop.adapters.simulator.houses import check_mistral
from llmtop.adapters.simulator.profile import Profile

ENDPOINT = "/v1/chat/completions"
"""The one endpoint whose requests OpenAI's batches may hold here."""
_EXPIRED = "This request could not be executed before the completion window expired."
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CODES = {400: 3, 404: 5, 429: 8, 500: 13, 503: 14}
"""HTTP status to the code of `google.rpc.Status`."""


class OpenAIGrammar:
    """Lines of an OpenAI batch."""

    prefix = "file-"
    has_error_file = True

    def __init__(self, dialect: Dialect = OPENAI) -> None:
        self.dialect = dialect

    def read(self, raw: bytes) -> Sent:
        """Read `{"custom_id", "method", "url", "body"}`."""
        line = parsed_object(raw)
        for name in ("custom_id", "method", "url", "body"):
            if name not in line:
                raise BadLine("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
        if not isinstance(line["custom_id"], str):
            raise BadLine("invalid_value", "custom_id must be a string.", "custom_id")
        if line["method"] != "POST":
            raise BadLine("invalid_method", "The method must be POST.", "method")
        if line["url"] not in self._urls():
            raise BadLine("mismatched_url", "The url does not match the endpoint of the batch.", "url")
        return Sent(line["custom_id"], line["body"])

    def _urls(self) -> tuple[str, ...]:
        """Azure takes the address without its version too."""
        return (ENDPOINT, ENDPOINT.removeprefix("/v1")) if self.dialect.name == "azure" else (ENDPOINT,)

    def call(self, sent: Sent, model: str, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
        """Check the body as a request of its own."""
        return read_call(sent.body, profile, patterns)

    def write(self, end: LineEnd, number: int) -> bytes:
        """Write a line; a failed one has its error in the body of its response."""
        response = error = None
        if end.kind == "expired":
            error = {"code": "batch_expired", "message": _EXPIRED}
        elif not end.has_status:
            response = {"status_code": 0, "request_id": "", "body": {}}
        else:
            request_id = f"req_{number:024x}"
            response = {"status_code": end.status, "request_id": request_id, "body": end.body}
        line = {
            "id": f"batch_req_{number:024x}", "custom_id": end.custom_id, "response": response,
            "error": error,
        }  # fmt: skip
        return orjson.dumps(line) + b"\n"


class TogetherGrammar(OpenAIGrammar):
    """Lines of a batch of Together: an id and a body are enough, and an error stands beside no response."""

    def read(self, raw: bytes) -> Sent:
        """Read `{"custom_id", "body"}`."""
        return _id_and_body(raw)

    def write(self, end: LineEnd, number: int) -> bytes:
        """Write a line; a failed one has its error alone."""
        if end.kind != "error" or end.body is None:
            return super().write(end, number)
        error = {**end.body["error"], "code": end.status}
        return orjson.dumps({"custom_id": end.custom_id, "error": error}) + b"\n"


class MistralGrammar(OpenAIGrammar):
    """Lines of a job of Mistral: an id and a body, and the model is the job's."""

    prefix = ""

    def read(self, raw: bytes) -> Sent:
        """Read `{"custom_id", "body"}`."""
        return _id_and_body(raw)

    def call(self, sent: Sent, model: str, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
        """Check the body as a request of its own, of the job's model."""
        if not isinstance(sent.body, dict):
            return read_call(sent.body, profile, patterns)
        check_mistral(sent.body)
        return read_call({**sent.body, "model": model}, profile, patterns)


def _id_and_body(raw: bytes) -> Sent:
    line = parsed_object(raw)
    for name in ("custom_id", "body"):
        if name not in line:
            raise BadLine("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    if not isinstance(line["custom_id"], str):
        raise BadLine("invalid_value", "custom_id must be a string.", "custom_id")
    return Sent(line["custom_id"], line["body"])


class AnthropicGrammar:
    """Lines of a Message Batch."""

    dialect: Dialect = ANTHROPIC
    prefix = "results-"
    has_error_file = False

    def read(self, raw: bytes) -> Sent:
        """Read `{"custom_id", "params"}`."""
        line = parsed_object(raw)
        custom_id = line.get("custom_id")
        if not isinstance(custom_id, str) or "params" not in line:
            raise BadLine("invalid_request_error", "Field required", "custom_id")
        if len(custom_id) > 64:
            raise BadLine("invalid_request_error", "String should have at most 64 characters", "custom_id")
        if not _ID.fullmatch(custom_id):
            raise BadLine(
                "invalid_request_error", f"String should match pattern '^{_ID.pattern}$'", "custom_id"
            )
        return Sent(custom_id, line["params"])

    def call(self, sent: Sent, model: str, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
        """Check the parameters as a request of its own."""
        return read_params(sent.body, version, profile, patterns)

    def write(self, end: LineEnd, number: int) -> bytes:
        """Write a result; an error has two envelopes."""
        result: dict[str, Any] = {"type": "succeeded", "message": end.body}
        if end.kind == "error":
            result = {"type": "errored", "error": end.body}
        elif end.kind != "answer":
            result = {"type": "expired" if end.kind == "expired" else "canceled"}
        return orjson.dumps({"custom_id": end.custom_id, "result": result}) + b"\n"


class GeminiGrammar:
    """Lines of a Gemini batch; inline ones are kept in the same form."""

    dialect: Dialect = GEMINI
    prefix = "files/batch-"
    has_error_file = False

    def read(self, raw: bytes) -> Sent:
        """Read `{"key", "request"}`."""
        line = parsed_object(raw)
        if not isinstance(line.get("key"), str) or "request" not in line:
            raise BadLine("INVALID_ARGUMENT", "A line needs a key and a request.", "key")
        return Sent(line["key"], line["request"])

    def call(self, sent: Sent, model: str, version: str, profile: Profile, patterns: Patterns) -> ChatCall:
        """Check the request as one of its own."""
        return read_generate(sent.body, model, profile, patterns)

    def write(self, end: LineEnd, number: int) -> bytes:
        """Write `{"key", "response"}` or `{"key", "error"}`."""
        line: dict[str, Any] = {"key": end.custom_id}
        if end.kind == "answer":
            line["response"] = end.body
        else:
            said = end.body["error"] if end.body else {"message": "The request was not done."}
            line["error"] = {"code": _CODES.get(end.status, 2), "message": said["message"]}
        return orjson.dumps(line) + b"\n"
