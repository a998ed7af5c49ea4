"""OpenAI's batch jobs, as OpenAI, Azure, Groq and Together have them: a file goes up, a job is made of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    count_or_none,
    list_of,
    moment_or_none,
    refused,
    reply_of,
    result_lines,
    table_of,
    text_or_none,
    undone,
)
from llmtop.adapters.providers.openai import OpenAIFormat
from llmtop.batch_jobs import BatchLimits, BatchState, InputForm, JobInput, LineReply, RemoteBatch, StrayLine
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
_BOUNDARY = "llmtop-9f2c41d07be8"
_PAGE = 100
_MOST_PAGES = 100
_JSON = {"Content-Type": "application/json"}


class OpenAIBatches:
    """Files and batches at one address. Stateless.

    Where there is no tag (Together), `input_file` of a listed job tells it: each upload has its own.
    """

    name = "openai"
    form = InputForm(b"", b"\n", b"\n")

    def __init__(self, wire: BatchWire, format_: OpenAIFormat) -> None:
        self._wire = wire
        self._format = format_
        self._is_together = format_.server == "together"
        most_bytes = 100 * _MIB if format_.server in ("groq", "together") else 200 * _MIB
        self.limits = BatchLimits(50_000, most_bytes, has_tag=not self._is_together, keeps_partial=True)

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return `{"custom_id", "method", "url", "body"}`."""
        head = orjson.dumps({"custom_id": custom_id, "method": "POST", "url": _URL})
        return head[:-1] + b',"body":' + self._format.build(request).body + b"}"

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """Send the file up as multipart; its name must end in .jsonl."""
        purpose = "batch-api" if self._is_together else "batch"
        before = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="llmtop.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        body = self._wire.file(job.path, before.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode())
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        raw = await self._wire.call("POST", "/files", body, headers)
        if isinstance(raw, ProviderError):
            return raw
        table = table_of(raw)
        file_id = table.get("id") if table else None
        return file_id if isinstance(file_id, str) else refused(self._format, raw, time.time())

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create a job of an uploaded file, with our tag in its metadata."""
        body: dict[str, Any] = {
            "input_file_id": file_id, "endpoint": _URL, "completion_window": "24h",
        }  # fmt: skip
        if self._is_together:
            body["model_id"] = job.model
        else:
            body["metadata"] = {_TAG: tag}
        return self._batch(await self._wire.call("POST", "/batches", orjson.dumps(body), _JSON))

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""
        return self._batch(await self._wire.call("GET", f"/batches/{quote(batch_id, safe='')}"))

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job; one that has ended is a conflict."""
        return self._batch(await self._wire.call("POST", f"/batches/{quote(batch_id, safe='')}/cancel"))

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Read the list page by page, back to `since`."""
        found: list[RemoteBatch] = []
        after: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            raw = await self._wire.call("GET", f"/batches?{urlencode({'limit': _PAGE, **after})}")
            if isinstance(raw, ProviderError):
                return raw
            table = table_of(raw) or {}
            rows = table.get("data") if table else list_of(raw)
            if not isinstance(rows, list):
                return refused(self._format, raw, time.time())
            page = [batch for row in rows if (batch := _read(row)) is not None]
            found += [batch for batch in page if (batch.created_at or since) >= since]
            if not table.get("has_more") or not page or (page[-1].created_at or since) < since:
                break
            after = {"after": page[-1].id}
        return tuple(found)

    async def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield both files, the good lines first."""
        for file_id in batch.results:
            path = f"/files/{quote(file_id, safe='')}/content"
            number, now = 0, time.time()
            async for row in result_lines(self._wire, self._format, path, now):
                number += 1
                yield row if isinstance(row, StrayLine) else self._line(row, number, now)

    def _line(self, row: Mapping[str, Any], number: int, now: float) -> LineReply | StrayLine:
        """Read a line: good only with a status of 2xx, without an error, and with what an answer needs."""
        custom_id, response, error = row.get("custom_id"), row.get("response"), row.get("error")
        if not isinstance(custom_id, str):
            return StrayLine(number, "has no custom_id")
        if isinstance(response, dict):
            status = response.get("status_code")
            status = status if type(status) is int and 100 <= status <= 599 else 500 if error else 200
            return LineReply(custom_id, reply_of(self._format, status, response.get("body"), now))
        said = error if isinstance(error, dict) else {}
        code, message = said.get("code"), text_or_none(said.get("message")) or "no answer and no error"
        if code in ("batch_expired", "batch_cancelled"):
            return LineReply(
                custom_id, undone("cancelled" if code == "batch_cancelled" else "expired", message)
            )
        failed = ItemError("server_error", message)
        return LineReply(custom_id, ProviderError(error=failed, outcome=Outcome.FAULT))

    def _batch(self, raw: RawReply | ProviderError) -> RemoteBatch | ProviderError:
        if isinstance(raw, ProviderError):
            return raw
        return _read(table_of(raw)) or refused(self._format, raw, time.time())


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
    is_over = state in ("completed", "expired", "cancelled")
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
        expires_at=moment_or_none(table.get("expires_at")),
        results=tuple(each for each in files if isinstance(each, str) and each) if is_over else (),
        error_code=code,
        error_message=message,
    )


def _first_error(errors: object) -> tuple[str | None, str | None]:
    rows = errors.get("data") if isinstance(errors, dict) else None
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    line = count_or_none(first.get("line"))
    message = text_or_none(first.get("message"))
    place = f"line {line}: " if line is not None else ""
    return text_or_none(first.get("code"), 100), f"{place}{message}" if message else None
