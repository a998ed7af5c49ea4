"""What the batch formats need of HTTP, and reading the lines of results while they come."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import orjson

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.strict_json import InvalidBody, parse
from llmtop.batch_jobs import FetchBroken, StrayLine
from llmtop.model import ItemError, Outcome, ProviderError, RawReply, Reply

_LONGEST_LINE_BYTES = 64 * 1024 * 1024


class Streamed(Protocol):
    """A good answer whose body is still coming; the pieces raise an error with an `error` where it breaks."""

    @property
    def blocks(self) -> AsyncIterator[bytes]:
        """The body."""


class BatchWire(Protocol):
    """HTTP to one provider: what `http_batches` has."""

    async def call(
        self, method: str, path: str, body: Any = b"", headers: Mapping[str, str] | None = None
    ) -> RawReply | ProviderError:
        """Send one request; the answer as a whole."""

    def stream(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Streamed | RawReply | ProviderError]:
        """GET something large."""

    def file(self, path: Path, before: bytes = b"", after: bytes = b"") -> Any:
        """Return a body that is read from disk while it is sent."""


class Reads(Protocol):
    """The realtime half: it names errors and reads answers."""

    def read(self, raw: RawReply, now: float) -> Reply:
        """Read an answer, or name its error."""


def refused(reads: Reads, raw: RawReply, now: float) -> ProviderError:
    """Name the error of an answer to a batch call that is not what was asked for."""
    if 200 <= raw.status < 300:
        return unreadable(raw.status)
    reply = reads.read(raw, now)
    assert isinstance(reply, ProviderError)
    return reply


def unreadable(status: int) -> ProviderError:
    """A 200 that does not say what it should."""
    error = ItemError("invalid_response", "the answer is no batch job that can be read", status)
    return ProviderError(error=error, outcome=Outcome.FAULT)


def table_of(raw: RawReply) -> dict[str, Any] | None:
    """Return the object of a good answer; None: it is not one."""
    parsed = _parsed(raw)
    return parsed if isinstance(parsed, dict) else None


def list_of(raw: RawReply) -> list[Any] | None:
    """Return the list of a good answer; None: it is not one."""
    parsed = _parsed(raw)
    return parsed if isinstance(parsed, list) else None


def _parsed(raw: RawReply) -> object:
    if not 200 <= raw.status < 300:
        return None
    try:
        return parse(raw.body)
    except InvalidBody:
        return None


def undone(kind: Literal["expired", "cancelled"], message: str) -> ProviderError:
    """A request of a job that was never asked, as the provider says: not billed, it goes into another job."""
    return ProviderError(
        error=ItemError(kind, message), outcome=Outcome.FAULT, is_counted=False, is_sent=False
    )


def reply_of(reads: Reads, status: int, body: object, now: float, request_id: object = None) -> Reply:
    """Read the answer inside a line as the answer to a request of its own."""
    headers = {"x-request-id": request_id} if isinstance(request_id, str) and request_id else {}
    return reads.read(RawReply(status, headers, orjson.dumps(body)), now)


async def result_lines(
    wire: BatchWire, reads: Reads, path: str, now: float, headers: Mapping[str, str] | None = None
) -> AsyncIterator[dict[str, Any] | StrayLine]:
    """Yield the objects of a JSONL answer, one at a time in memory. Raises FetchBroken.

    CRLF, blank lines and unknown fields are taken. A last line that has no end and is no JSON is a
    cut; a last line without an end that is one is taken.
    """
    async with wire.stream(path, headers) as answer:
        if isinstance(answer, ProviderError):
            raise FetchBroken(answer)
        if isinstance(answer, RawReply):
            raise FetchBroken(refused(reads, answer, now))
        number, rest = 0, b""
        try:
            async for block in answer.blocks:
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > _LONGEST_LINE_BYTES:
                    raise FetchBroken(_cut("a line of the results is too long"))
                for line in lines:
                    number += 1
                    if line.strip():
                        yield _object(line, number)
        except Exception as error:
            raise FetchBroken(_fault(error)) from None
        if rest.strip():
            last = _object(rest, number + 1)
            if isinstance(last, StrayLine):
                raise FetchBroken(_cut("the results end in the middle of a line"))
            yield last


def _fault(error: Exception) -> ProviderError:
    """Return what a broken stream says of itself; anything else is a bug and passes through."""
    if isinstance(error, FetchBroken):
        return error.error
    told = getattr(error, "error", None)
    if not isinstance(told, ProviderError):
        raise error
    return told


def _cut(message: str) -> ProviderError:
    return ProviderError(error=ItemError("connection", message), outcome=Outcome.FAULT)


def _object(line: bytes, number: int) -> dict[str, Any] | StrayLine:
    try:
        value = parse(line)
    except InvalidBody as problem:
        return StrayLine(number, str(problem))
    return value if isinstance(value, dict) else StrayLine(number, "is not an object")


def text_or_none(value: object, limit: int = 1_000) -> str | None:
    """Return a text of others as it is stored; None: it is none."""
    return hints.text_of(value, limit) if isinstance(value, str) and value else None


def count_or_none(value: object) -> int | None:
    """Return a count, also one that is written as text; None: it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def moment_or_none(value: object) -> float | None:
    """Return epoch seconds of a number or an RFC 3339 time; None: it is neither."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e11:
        return float(value)
    if not isinstance(value, str) or len(value) > 60:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def whole_hours(seconds: float) -> int:
    """Return a window as providers take it: in hours, at least one, rounded up."""
    return max(1, math.ceil(seconds / 3600.0))
