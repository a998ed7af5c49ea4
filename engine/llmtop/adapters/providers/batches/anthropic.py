"""Anthropic's Message Batches: all requests go up with the creation, and nothing of ours is shown again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import orjson

from llmtop.adapters.providers.anthropic import (
    NEW_VERSION,
    SAMPLING_VERSION,
    STATUS_OF_TYPE,
    AnthropicFormat,
    message_body,
    version_for,
)
from llmtop.adapters.providers.batches.listing import Page, job_of, newest_jobs, replies
from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    count_or_none,
    moment_or_none,
    reply_of,
    table_of,
    undone,
)
from llmtop.adapters.providers.encoding import encode, version_path
from llmtop.batch_jobs import BatchLimits, BatchState, InputForm, JobInput, LineReply, RemoteBatch, StrayLine
from llmtop.model import ChatRequest, ProviderError, RawReply

_RETENTION_S = 29 * 86_400.0
_PAGE = 1000
_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "anthropic-version": NEW_VERSION}
_BETWEEN = b",\n"
_SAMPLING_KEY = re.compile(rb'"(?:temperature|top_p|top_k)":')


class AnthropicBatches:
    """Message Batches at one address. Stateless.

    One version holds for a whole job: the newest, unless a line has a sampling parameter. The file
    tells, since it may be one of an earlier process.
    """

    name = "anthropic"
    limits = BatchLimits(100_000, 256 * 1024 * 1024, has_tag=False, keeps_partial=True)
    form = InputForm(b'{"requests":[', _BETWEEN, b"]}")

    def __init__(self, wire: BatchWire, format_: AnthropicFormat) -> None:
        self._wire = wire
        self._format = format_
        self._path = version_path(format_.default_base_url, ("v1",)) + "/messages/batches"

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return `{"custom_id", "params"}`."""
        return (
            b'{"custom_id":' + orjson.dumps(custom_id) + b',"params":' + encode(message_body(request)) + b"}"
        )

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """There is nothing to send before the creation."""
        return None

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create a job of the file's requests; a tag has its place only in their custom_ids."""
        version = SAMPLING_VERSION if await asyncio.to_thread(_has_sampling, job.path) else NEW_VERSION
        headers = {**_HEADERS, "anthropic-version": version}
        return self._job(await self._wire.call("POST", self._path, self._wire.file(job.path), headers))

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""
        return self._job(await self._wire.call("GET", self._one(batch_id), b"", _HEADERS))

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job."""
        path = f"{self._one(batch_id)}/cancel"
        return self._job(await self._wire.call("POST", path, b"", _HEADERS))

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Read the list page by page, back to `since`."""
        return await newest_jobs(
            self._wire, self._format, self._path, {"limit": _PAGE}, _page, _read, since, _HEADERS
        )

    def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield the results from the address that the job names."""
        return replies(self._wire, self._format, batch.results, self._line, _HEADERS)

    def _line(self, row: Mapping[str, Any], number: int, now: float) -> LineReply | StrayLine:
        custom_id, result = row.get("custom_id"), row.get("result")
        if not isinstance(custom_id, str) or not isinstance(result, dict):
            return StrayLine(number, "has no custom_id or no result")
        kind = result.get("type")
        if kind == "succeeded":
            return LineReply(custom_id, reply_of(self._format, 200, result.get("message"), now))
        if kind in ("expired", "canceled"):
            word: Literal["cancelled", "expired"] = "cancelled" if kind == "canceled" else "expired"
            return LineReply(custom_id, undone(word, f"the request was {word} with its batch"))
        error = result.get("error")
        inner = error.get("error") if isinstance(error, dict) else None
        type_ = inner.get("type") if isinstance(inner, dict) else None
        status = STATUS_OF_TYPE.get(type_, 500) if isinstance(type_, str) else 500
        return LineReply(custom_id, reply_of(self._format, status, error, now))

    def _one(self, batch_id: str) -> str:
        return f"{self._path}/{quote(batch_id, safe='')}"

    def _job(self, raw: RawReply | ProviderError) -> RemoteBatch | ProviderError:
        return job_of(self._format, raw, _read)


def _has_sampling(path: Path) -> bool:
    """Whether any request of a job's file has a sampling parameter. Reads line by line; blocking."""
    with path.open("rb") as file:
        return any(_is_sampling(line) for line in file if _SAMPLING_KEY.search(line))


def _is_sampling(line: bytes) -> bool:
    start, end = AnthropicBatches.form.before, AnthropicBatches.form.after
    whole = line.removeprefix(start).removesuffix(_BETWEEN).removesuffix(end)
    return version_for(orjson.loads(whole)["params"]) == SAMPLING_VERSION


def _page(raw: RawReply) -> Page | None:
    table = table_of(raw) or {}
    rows = table.get("data")
    if not isinstance(rows, list):
        return None
    last = rows[-1].get("id") if rows and isinstance(rows[-1], dict) else None
    return Page(rows, {"after_id": last} if table.get("has_more") and isinstance(last, str) else None)


def _read(table: object) -> RemoteBatch | None:
    """Read a job. All counts stay in `processing` until its end, so there is no progress before."""
    if not isinstance(table, dict) or not isinstance(table.get("id"), str):
        return None
    said = table.get("processing_status")
    said = said if isinstance(said, str) else ""
    given = table.get("request_counts")
    counts = (
        {name: count_or_none(value) or 0 for name, value in given.items()} if isinstance(given, dict) else {}
    )
    created_at = moment_or_none(table.get("created_at"))
    url = table.get("results_url")
    is_ended = said == "ended"
    return RemoteBatch(
        id=table["id"],
        state=_state(said, counts),
        said_state=said[:40],
        requests=sum(counts.values()) if counts else None,
        done=counts.get("succeeded") if is_ended else None,
        failed=counts.get("errored") if is_ended else None,
        created_at=created_at,
        ended_at=moment_or_none(table.get("ended_at")),
        expires_at=moment_or_none(table.get("expires_at")),
        results_until=None if created_at is None else created_at + _RETENTION_S,
        results=(url,) if isinstance(url, str) and url else (),
    )


def _state(said: str, counts: Mapping[str, int]) -> BatchState:
    """Return the state; what an ended job came to stands in its counts."""
    if said == "canceling":
        return "cancelling"
    if said != "ended":
        return "in_progress"
    if counts.get("expired"):
        return "expired"
    return "cancelled" if counts.get("canceled") else "completed"
