"""Gemini's batch jobs, always of an uploaded file: so the results are a file too, and read as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from llmtop.adapters.providers.batches.listing import Page, job_of, newest_jobs, replies
from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    count_or_none,
    moment_or_none,
    refused,
    reply_of,
    table_of,
    text_or_none,
)
from llmtop.adapters.providers.encoding import encode, version_path
from llmtop.adapters.providers.gemini import VERSIONS, GeminiFormat, generate_body, model_path
from llmtop.batch_jobs import BatchLimits, BatchState, InputForm, JobInput, LineReply, RemoteBatch, StrayLine
from llmtop.model import ChatRequest, ProviderError, RawReply

_STATES: Mapping[str, BatchState] = {
    "PENDING": "validating", "QUEUED": "validating", "RUNNING": "in_progress", "PAUSED": "in_progress",
    "CANCELLING": "cancelling", "SUCCEEDED": "completed", "PARTIALLY_SUCCEEDED": "completed",
    "FAILED": "failed", "CANCELLED": "cancelled", "EXPIRED": "expired",
}  # fmt: skip
_STATUS_OF_CODE = {
    1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 13: 500, 14: 503, 16: 401,
}  # fmt: skip
"""Code of `google.rpc.Status` to HTTP status."""
_NAME_OF_CODE = {
    3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION", 13: "INTERNAL", 14: "UNAVAILABLE",
}  # fmt: skip
_WORD_OF_STATUS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
_WINDOW_S = 48 * 3600.0
_PAGE = 100
_JSON = {"Content-Type": "application/json"}


class GeminiBatches:
    """Batch jobs and files at one address. Stateless. A job that expired or failed returns nothing at all."""

    name = "gemini"
    limits = BatchLimits(50_000, 2 * 1024**3, has_tag=True, keeps_partial=False)
    form = InputForm(b"", b"\n", b"\n")

    def __init__(self, wire: BatchWire, format_: GeminiFormat) -> None:
        self._wire = wire
        self._format = format_
        start = version_path(format_.default_base_url, VERSIONS)
        last = format_.default_base_url.rstrip("/").rpartition("/")[2]
        self._start = start
        self._root = _root(format_.default_base_url, VERSIONS)
        self._version = start.lstrip("/") or last

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return `{"key", "request"}`."""
        return b'{"key":' + orjson.dumps(custom_id) + b',"request":' + encode(generate_body(request)) + b"}"

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """Send the file up: ask for an address first, then send everything there."""
        start = {
            **_JSON,
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(job.size_bytes),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        body = orjson.dumps({"file": {"displayName": "llmtop"}})
        begun = await self._wire.call("POST", f"{self._root}/upload/{self._version}/files", body, start)
        if isinstance(begun, ProviderError):
            return begun
        address = begun.headers.get("x-goog-upload-url")
        if begun.status != 200 or not address:
            return refused(self._format, begun, time.time())
        whole = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
        raw = await self._wire.call("POST", address, self._wire.file(job.path), whole)
        if isinstance(raw, ProviderError):
            return raw
        file = (table_of(raw) or {}).get("file")
        name = file.get("name") if isinstance(file, dict) else None
        return name if isinstance(name, str) else refused(self._format, raw, time.time())

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create a job of an uploaded file, with our tag as its name."""
        body = {"batch": {"displayName": tag, "inputConfig": {"fileName": file_id}}}
        path = f"{self._start}/{model_path(job.model)}:batchGenerateContent"
        return self._job(await self._wire.call("POST", path, orjson.dumps(body), _JSON))

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""
        return self._job(await self._wire.call("GET", self._one(batch_id)))

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job; the answer to that is empty, so look at it."""
        raw = await self._wire.call("POST", f"{self._one(batch_id)}:cancel", b"{}", _JSON)
        if isinstance(raw, ProviderError):
            return raw
        if table_of(raw) is None:
            return refused(self._format, raw, time.time())
        return await self.get(batch_id)

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Read the list page by page, back to `since`."""
        path, query = f"{self._start}/batches", {"pageSize": _PAGE}
        return await newest_jobs(self._wire, self._format, path, query, _page, _read, since)

    def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield the lines of the file of results."""
        paths = [f"{self._start}/{quote(name, safe='/')}:download?alt=media" for name in batch.results]
        return replies(self._wire, self._format, paths, self._line)

    def _line(self, row: Mapping[str, Any], number: int, now: float) -> LineReply | StrayLine:
        key, response, error = row.get("key"), row.get("response"), row.get("error")
        if not isinstance(key, str):
            return StrayLine(number, "has no key")
        if isinstance(response, dict):
            return LineReply(key, reply_of(self._format, 200, response, now))
        said = error if isinstance(error, dict) else {}
        code = said.get("code")
        status = (
            _STATUS_OF_CODE.get(code, code if code in range(400, 600) else 500) if type(code) is int else 500
        )
        body = {"error": {**said, "code": status, "status": _WORD_OF_STATUS.get(status)}}
        return LineReply(key, reply_of(self._format, status, body, now))

    def _one(self, batch_id: str) -> str:
        return f"{self._start}/{quote(batch_id, safe='/')}"

    def _job(self, raw: RawReply | ProviderError) -> RemoteBatch | ProviderError:
        return job_of(self._format, raw, _read)


def _page(raw: RawReply) -> Page | None:
    """Read a page of the list; an empty one has no list at all."""
    table = table_of(raw)
    rows = None if table is None else table.get("operations") or []
    if table is None or not isinstance(rows, list):
        return None
    token = table.get("nextPageToken")
    return Page(rows, {"pageToken": token} if token and isinstance(token, str) else None)


def _root(base_url: str, versions: tuple[str, ...]) -> str:
    """Return the address without a version at its end where it has one: uploads stand beside it."""
    trimmed = base_url.rstrip("/")
    start, _, last = trimmed.rpartition("/")
    return start if last in versions else ""


def _read(table: object) -> RemoteBatch | None:
    """Read an operation; its state decides, never its `done`. An unknown state is one still running."""
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        return None
    meta = table.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    said = text_or_none(meta.get("state"), 60) or ""
    state = _STATES.get(said.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_"), "in_progress")
    stats, error = meta.get("batchStats"), table.get("error")
    stats = stats if isinstance(stats, dict) else {}
    error = error if isinstance(error, dict) else {}
    created_at = moment_or_none(meta.get("createTime"))
    total = count_or_none(stats.get("requestCount"))
    code = error.get("code")
    return RemoteBatch(
        id=table["name"],
        state=state,
        said_state=said,
        tag=text_or_none(meta.get("displayName"), 512),
        requests=total,
        done=None if total is None else count_or_none(stats.get("successfulRequestCount", 0)),
        failed=None if total is None else count_or_none(stats.get("failedRequestCount", 0)),
        created_at=created_at,
        ended_at=moment_or_none(meta.get("endTime")),
        expires_at=None if created_at is None else created_at + _WINDOW_S,
        results_until=None if created_at is None else created_at + _WINDOW_S,
        results=_results(table, meta),
        error_code=_NAME_OF_CODE.get(code, str(code)) if type(code) is int else None,
        error_message=text_or_none(error.get("message")),
    )


def _results(table: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[str, ...]:
    for place in (table.get("response"), meta.get("output")):
        name = place.get("responsesFile") if isinstance(place, dict) else None
        if isinstance(name, str) and name:
            return (name,)
    return ()
