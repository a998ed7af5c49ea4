"""Mistral's batch jobs: files as OpenAI has them, jobs in words and at an address of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from llmtop.adapters.providers.batches.files import content_path, line_reply, send_file
from llmtop.adapters.providers.batches.listing import Page, job_of, newest_jobs, replies
from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    count_or_none,
    moment_or_none,
    table_of,
    text_or_none,
    whole_hours,
)
from llmtop.adapters.providers.encoding import encode
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
from llmtop.model import ChatRequest, ProviderError, RawReply

_PATH = "/batch/jobs"
_ENDPOINT = "/v1/chat/completions"
_TAG = "llmtop"
"""Our key in the metadata."""
_STATES: Mapping[str, BatchState] = {
    "QUEUED": "validating", "RUNNING": "in_progress", "SUCCESS": "completed", "FAILED": "failed",
    "TIMEOUT_EXCEEDED": "expired", "CANCELLATION_REQUESTED": "cancelling", "CANCELLED": "cancelled",
}  # fmt: skip
_HOUR_S = 3600.0
_PAGE = 100
_JSON = {"Content-Type": "application/json"}


class MistralBatches:
    """Batch jobs and files at one address, each to be done within `window_s`. Stateless.

    One model holds for a whole job, so our lines name none. Up to a million requests may wait in a
    workspace; the size of a file is not documented, so it is kept to what others take.
    """

    name = "mistral"
    limits = BatchLimits(50_000, 200 * 1024 * 1024, has_tag=True, keeps_partial=True)
    form = InputForm(b"", b"\n", b"\n")

    def __init__(self, wire: BatchWire, format_: OpenAIFormat, window_s: float) -> None:
        self._wire = wire
        self._format = format_
        self._hours = whole_hours(window_s)
        self._read = partial(_read, self._hours)

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return `{"custom_id", "body"}`; a ready body keeps the model that it names."""
        body = dict(request.raw_body) if request.raw_body is not None else self._format.body(request)
        if request.raw_body is None:
            del body["model"]
        return b'{"custom_id":' + orjson.dumps(custom_id) + b',"body":' + encode(body) + b"}"

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """Send the file up as multipart."""
        return await send_file(self._wire, self._format, "/files", {"purpose": "batch"}, job)

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create a job of an uploaded file, with our tag in its metadata."""
        body = {
            "input_files": [file_id], "endpoint": _ENDPOINT, "model": job.model,
            "metadata": {_TAG: tag}, "timeout_hours": self._hours,
        }  # fmt: skip
        return self._job(await self._wire.call("POST", _PATH, orjson.dumps(body), _JSON))

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""
        return self._job(await self._wire.call("GET", f"{_PATH}/{quote(batch_id, safe='')}"))

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job."""
        return self._job(await self._wire.call("POST", f"{_PATH}/{quote(batch_id, safe='')}/cancel"))

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Read the list page by page, back to `since`; its filters are not needed, and not trusted."""
        query = {"page_size": _PAGE, "order_by": "-created"}
        return await newest_jobs(self._wire, self._format, _PATH, query, _Pages().read, self._read, since)

    def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield both files, the good lines first."""
        paths = [content_path(file_id) for file_id in batch.results]
        return replies(self._wire, self._format, paths, partial(line_reply, self._format))

    def _job(self, raw: RawReply | ProviderError) -> RemoteBatch | ProviderError:
        return job_of(self._format, raw, self._read)


class _Pages:
    """The pages of one list, which have numbers from 0."""

    def __init__(self) -> None:
        self._number = self._seen = 0

    def read(self, raw: RawReply) -> Page | None:
        """Read a page; None: it is none."""
        table = table_of(raw)
        rows = None if table is None else table.get("data") or []
        if table is None or not isinstance(rows, list):
            return None
        self._number += 1
        self._seen += len(rows)
        has_more = self._seen < (count_or_none(table.get("total")) or 0)
        return Page(rows, {"page": self._number} if has_more else None)


def _read(hours: int, table: object) -> RemoteBatch | None:
    """Read a job that may take so many hours; an unknown status is one that is still running."""
    if not isinstance(table, dict) or not isinstance(table.get("id"), str):
        return None
    said, metadata = table.get("status"), table.get("metadata")
    said = said if isinstance(said, str) else ""
    state = _STATES.get(said.upper(), "in_progress")
    tag = metadata.get(_TAG) if isinstance(metadata, dict) else None
    inputs = table.get("input_files")
    files = [table.get(name) for name in ("output_file", "error_file")]
    created_at = moment_or_none(table.get("created_at"))
    return RemoteBatch(
        id=table["id"],
        state=state,
        said_state=said[:40],
        tag=tag if isinstance(tag, str) else None,
        input_file=text_or_none(inputs[0], 200) if isinstance(inputs, list) and inputs else None,
        requests=count_or_none(table.get("total_requests")),
        done=count_or_none(table.get("succeeded_requests")),
        failed=count_or_none(table.get("failed_requests")),
        created_at=created_at,
        ended_at=moment_or_none(table.get("completed_at")),
        expires_at=None if created_at is None else created_at + hours * _HOUR_S,
        results=tuple(each for each in files if isinstance(each, str) and each) if state in TERMINAL else (),
        error_message=_first_error(table.get("errors")),
    )


def _first_error(errors: object) -> str | None:
    first: Any = errors[0] if isinstance(errors, list) and errors else None
    return text_or_none(first.get("message")) if isinstance(first, dict) else None
