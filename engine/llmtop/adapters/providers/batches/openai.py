"""OpenAI's batch jobs, as OpenAI, Azure, Groq and Together have them: a file goes up, a job is made of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from llmtop.adapters.providers.batches.files import NAME, content_path, line_reply, send_file
from llmtop.adapters.providers.batches.listing import Page, job_of, newest_jobs, replies
from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    count_or_none,
    list_of,
    moment_or_none,
    refused,
    table_of,
    text_or_none,
    whole_hours,
)
from llmtop.adapters.providers.openai import OpenAIFormat
from llmtop.batch_jobs import (
    TERMINAL,
    BatchLimits,
    BatchState,
    InputForm,
    JobInput,
    LineReply,
    RemoteBatch,
    StrayLine,
)
from llmtop.model import ChatRequest, ItemError, Outcome, ProviderError, RawReply

_URL = "/v1/chat/completions"
_MIB = 1024 * 1024
_TAG = "llmtop"
"""Our key in the metadata."""
_STATES: Mapping[str, BatchState] = {
    "validating": "validating", "in_progress": "in_progress", "finalizing": "finalizing",
    "cancelling": "cancelling", "completed": "completed", "failed": "failed", "expired": "expired",
    "cancelled": "cancelled",
}  # fmt: skip
_FIELDS = {"purpose": "batch"}
_TOGETHER_FIELDS = {"purpose": "batch-api", "file_name": NAME, "file_type": "jsonl"}
_FILE_WAITS = frozenset({"pending", "running", "uploaded", "notrunning", "processing", "queued"})
_FILE_BROKEN = frozenset({"error", "failed", "deleting", "deleted"})
_PAGE = 100
_JSON = {"Content-Type": "application/json"}


class OpenAIBatches:
    """Files and batches at one address, each to be done within `window_s`. Stateless.

    OpenAI itself takes a window of 24 h and no other, and says so. Where there is no tag (Together),
    `input_file` of a listed job tells it: each job's lines have ids of their own, so no two of our files
    are the same.
    """

    name = "openai"
    form = InputForm(b"", b"\n", b"\n")

    def __init__(self, wire: BatchWire, format_: OpenAIFormat, window_s: float) -> None:
        self._wire = wire
        self._format = format_
        self._window = f"{whole_hours(window_s)}h"
        self._is_together = format_.server == "together"
        most_bytes = 100 * _MIB if format_.server in ("groq", "together") else 200 * _MIB
        self.limits = BatchLimits(50_000, most_bytes, has_tag=not self._is_together, keeps_partial=True)

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return `{"custom_id", "method", "url", "body"}`."""
        head = orjson.dumps({"custom_id": custom_id, "method": "POST", "url": _URL})
        return head[:-1] + b',"body":' + self._format.build(request).body + b"}"

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """Send the file up as multipart. Together has an address of its own for that."""
        path, fields = ("/files/upload", _TOGETHER_FIELDS) if self._is_together else ("/files", _FIELDS)
        return await send_file(self._wire, self._format, path, fields, job)

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create a job of an uploaded file, with our tag in its metadata."""
        if self._format.server == "azure" and (unready := await self._unready(file_id or "")) is not None:
            return unready
        body: dict[str, Any] = {
            "input_file_id": file_id, "endpoint": _URL, "completion_window": self._window,
        }  # fmt: skip
        if self._is_together:
            body["model_id"] = job.model
        else:
            body["metadata"] = {_TAG: tag}
        return self._job(await self._wire.call("POST", "/batches", orjson.dumps(body), _JSON))

    async def _unready(self, file_id: str) -> ProviderError | None:
        """Return why no job can be made of a file: Azure takes its time to look at one. None: it can.

        Nothing was created then, whatever the reason.
        """
        raw = await self._wire.call("GET", f"/files/{quote(file_id, safe='')}")
        if isinstance(raw, ProviderError):
            return replace(raw, is_sent=False)
        table = table_of(raw)
        if table is None:
            return replace(refused(self._format, raw, time.time()), is_sent=False)
        status = str(table.get("status"))[:40].lower()
        if status in _FILE_WAITS:
            error, outcome = ItemError("server_error", f"the file is {status}"), Outcome.FAULT
        elif status in _FILE_BROKEN:
            error, outcome = (
                ItemError("bad_request", f"the file cannot be used: {status}"),
                Outcome.STOP_ACCESS,
            )
        else:
            return None
        return ProviderError(error=error, outcome=outcome, is_sent=False, is_counted=False)

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""
        return self._job(await self._wire.call("GET", f"/batches/{quote(batch_id, safe='')}"))

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job; one that has ended is a conflict."""
        return self._job(await self._wire.call("POST", f"/batches/{quote(batch_id, safe='')}/cancel"))

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Read the list page by page, back to `since`."""
        query = {"limit": _PAGE}
        return await newest_jobs(self._wire, self._format, "/batches", query, _page, _read, since)

    def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield both files, the good lines first."""
        paths = [content_path(file_id) for file_id in batch.results]
        return replies(self._wire, self._format, paths, partial(line_reply, self._format))

    def _job(self, raw: RawReply | ProviderError) -> RemoteBatch | ProviderError:
        return job_of(self._format, raw, _read)


def _page(raw: RawReply) -> Page | None:
    """Read a page of the list; Together's is a bare list, and whole."""
    table = table_of(raw) or {}
    rows = table.get("data") if table else list_of(raw)
    if not isinstance(rows, list):
        return None
    last = rows[-1].get("id") if rows and isinstance(rows[-1], dict) else None
    return Page(rows, {"after": last} if table.get("has_more") and isinstance(last, str) else None)


def _read(table: object) -> RemoteBatch | None:
    """Read a batch object; an unknown status is one that is still running."""
    if isinstance(table, dict) and isinstance(table.get("job"), dict):
        table = table["job"]  # Together answers a creation so
    if not isinstance(table, dict) or not isinstance(table.get("id"), str):
        return None
    said = table.get("status")
    said = said if isinstance(said, str) else ""
    counts, metadata = table.get("request_counts"), table.get("metadata")
    counts = counts if isinstance(counts, dict) else {}
    tag = metadata.get(_TAG) if isinstance(metadata, dict) else None
    state = _STATES.get(said.lower(), "in_progress")
    files = [table.get(name) for name in ("output_file_id", "error_file_id")]
    ended = [table.get(f"{word}_at") for word in ("completed", "failed", "expired", "cancelled")]
    code, message = _first_error(table.get("errors"))
    expires_at = table.get("expires_at") or table.get("job_deadline")
    return RemoteBatch(
        id=table["id"],
        state=state,
        said_state=said[:40],
        tag=tag if isinstance(tag, str) else None,
        input_file=text_or_none(table.get("input_file_id"), 200),
        requests=count_or_none(counts.get("total")),
        done=count_or_none(counts.get("completed")),
        failed=count_or_none(counts.get("failed")),
        created_at=moment_or_none(table.get("created_at")),
        ended_at=next((at for each in ended if (at := moment_or_none(each)) is not None), None),
        expires_at=moment_or_none(expires_at),
        results=tuple(each for each in files if isinstance(each, str) and each) if state in TERMINAL else (),
        error_code=code,
        error_message=message or text_or_none(table.get("error")),
    )


def _first_error(errors: object) -> tuple[str | None, str | None]:
    rows = errors.get("data") if isinstance(errors, dict) else None
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    line = count_or_none(first.get("line"))
    message = text_or_none(first.get("message"))
    place = f"line {line}: " if line is not None else ""
    return text_or_none(first.get("code"), 100), f"{place}{message}" if message else None
