"""Gemini's files and batch jobs on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from aiohttp import web

from llmtop.adapters.simulator import delivery
from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.grammars import GeminiGrammar
from llmtop.adapters.simulator.batches.record import Batch
from llmtop.adapters.simulator.batches.sending import body_of, create_failure, late, send_file
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.gemini_words import GEMINI
from llmtop.adapters.simulator.jobs import reply

_BATCH = re.compile(r"/v1(?:beta)?/batches/(?P<id>[^/:]+)(?P<cancel>:cancel)?")
_LIST = re.compile(r"/v1(?:beta)?/batches")
_CREATE = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):batchGenerateContent")
_UPLOAD = re.compile(r"/upload/v1(?:beta)?/files")
_FILE = re.compile(r"(?:/download)?/v1(?:beta)?/files/(?P<id>[^/:]+)(?P<download>:download)?")
_FILES = re.compile(r"/v1(?:beta)?/files")
_FILE_LIFE_S = 48 * 3600.0
_MOST_FILE_BYTES = 2 * 1024**3
_MOST_INLINE_BYTES = 20 * 1024 * 1024
_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_STATES = {
    "validating": "PENDING", "failed": "FAILED", "in_progress": "RUNNING", "finalizing": "RUNNING",
    "completed": "SUCCEEDED", "expired": "EXPIRED", "cancelling": "RUNNING", "cancelled": "CANCELLED",
}  # fmt: skip


_Row = TypeVar("_Row")


class GeminiBatches:
    """`/v1beta/batches`, `:batchGenerateContent`, and files by the resumable protocol; also under `/v1`."""

    def __init__(self, desk: BatchDesk) -> None:
        self._desk = desk
        self._grammar = GeminiGrammar()
        self._sessions: dict[str, StoredFile] = {}
        desk.teach("gemini", self._grammar)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer; None: it is not ours. Raises Complaint."""
        path, method = request.path, request.method
        if _UPLOAD.fullmatch(path) and method == "POST":
            return await self._upload(request)
        if (found := _CREATE.fullmatch(path)) and method == "POST":
            return await self._create(request, found["model"])
        if _LIST.fullmatch(path):
            return await self._list(request)
        if found := _BATCH.fullmatch(path):
            return await self._one(request, found["id"], is_cancel=bool(found["cancel"]))
        if _FILES.fullmatch(path) and method == "GET":
            return self._list_files(request)
        if found := _FILE.fullmatch(path):
            return await self._file(request, found["id"], is_download=bool(found["download"]))
        return None

    # -- files ---------------------------------------------------------------------------------

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        """Start a session, or take a piece of it."""
        command = request.headers.get("X-Goog-Upload-Command", "")
        if "start" in command:
            return await self._start(request)
        session = request.query.get("upload_id", "")
        stored = self._sessions.get(session)
        if stored is None:
            raise Complaint(404, "There is no such upload.")
        if request.headers.get("X-Goog-Upload-Offset") != str(stored.size):
            raise Complaint(400, f"The upload goes on at {stored.size}.")
        while block := await request.content.readany():
            stored.append(block)
        if "finalize" not in command:
            return reply(200, {}, {"x-goog-upload-status": "active"})
        del self._sessions[session]
        troubles = self._desk.upload_troubles()
        self._desk.files.add(stored)
        self._desk.service.books.batch_uploads += 1
        if "upload_reset" in troubles:
            return delivery.reset(request)
        return reply(200, {"file": _file_body(request, stored)}, {"x-goog-upload-status": "final"})

    async def _start(self, request: web.BaseRequest) -> web.StreamResponse:
        wanted = await body_of(request)
        name = str((wanted.get("file") or {}).get("displayName", ""))
        if int(request.headers.get("X-Goog-Upload-Header-Content-Length") or 0) > _MOST_FILE_BYTES:
            raise Complaint(413, "The file is too large.", code="request_too_large")
        desk = self._desk
        stored = StoredFile(desk.new_id("files/"), name, "batch", desk.now, desk.now + _FILE_LIFE_S)
        session = stored.id.removeprefix("files/")
        self._sessions[session] = stored
        url = f"{request.scheme}://{request.host}{request.path}?upload_id={session}&upload_protocol=resumable"
        return reply(200, {}, {"x-goog-upload-url": url, "x-goog-upload-status": "active"})

    def _list_files(self, request: web.BaseRequest) -> web.StreamResponse:
        files = [each for each in self._desk.files.all(self._desk.now) if each.id.startswith("files/")]
        shown, following = _page(files, request.query)
        page: dict[str, Any] = {"files": [_file_body(request, each) for each in shown]} if shown else {}
        return reply(200, page | following, {})

    async def _file(self, request: web.BaseRequest, name: str, *, is_download: bool) -> web.StreamResponse:
        desk = self._desk
        file = desk.files.get(f"files/{name}", desk.now)
        if file is None:
            raise Complaint(404, f"The File {name} does not exist.")
        if request.method == "DELETE":
            desk.files.drop(file.id)
            return reply(200, {}, {})
        if not is_download:
            return reply(200, _file_body(request, file), {})
        owner = next((each for each in desk.listed("gemini") if _output(each) is file), None)
        troubles = owner.troubles if owner else frozenset[str]()
        if file.fetches == 0 and "results_late" in troubles:
            file.fetches += 1
            raise Complaint(404, f"The File {name} does not exist.")
        return await send_file(request, file, troubles, "application/octet-stream")

    # -- batches -------------------------------------------------------------------------------

    async def _create(self, request: web.BaseRequest, model: str) -> web.StreamResponse:
        desk = self._desk
        body = await body_of(request)
        job = body.get("batch")
        if not isinstance(job, dict):
            raise Complaint(400, "* CreateBatchRequest.batch: batch is not specified")
        if model in desk.service.profile.missing_models:
            raise Complaint(404, f"models/{model} is not found for API version v1.")
        troubles = desk.creation_troubles()
        failure = create_failure(request, GEMINI, troubles, is_created=False)
        if failure is not None:
            return failure
        config = job.get("inputConfig") or job.get("input_config") or {}
        source, is_inline = self._source(config)
        draft = await desk.read(self._grammar, source, model, "")
        if draft.faults and is_inline:
            raise Complaint(400, draft.faults[0]["message"])
        if desk.is_queue_full("gemini", model, draft.tokens):
            raise Complaint(429, "You exceeded your current quota of enqueued tokens.", code="queue_full")
        batch = desk.create(
            "gemini", desk.new_id(""), source, draft, troubles,
            model=model, label=job.get("displayName") or job.get("display_name"),
            details={"inline": is_inline},
        )  # fmt: skip
        failure = create_failure(request, GEMINI, troubles, is_created=True)
        if failure is not None:
            return failure
        await late(troubles, desk.service.profile)
        return reply(200, await self._body(batch, is_new=True), {})

    def _source(self, config: Mapping[str, Any]) -> tuple[StoredFile, bool]:
        """Return the lines, and whether they stood in the request. Raises Complaint."""
        desk = self._desk
        file_name = config.get("fileName") or config.get("file_name")
        if isinstance(file_name, str):
            file = desk.files.get(file_name, desk.now)
            if file is None:
                raise Complaint(400, f"The File {file_name} does not exist.")
            return file, False
        requests = (config.get("requests") or {}).get("requests")
        if not isinstance(requests, list) or not requests:
            raise Complaint(400, "* inputConfig: requests or fileName must be given")
        source = StoredFile("", "requests", "batch", desk.now, desk.now + _FILE_LIFE_S)
        source.is_dropped = True  # it is the batch's own: nobody else can read it
        for index, each in enumerate(requests):
            if not isinstance(each, dict):
                raise Complaint(400, f"requests[{index}]: expected an object.")
            key = (each.get("metadata") or {}).get("key", f"#{index}")
            source.append(orjson.dumps({"key": key, "request": each.get("request")}) + b"\n")
        if source.size > (desk.service.profile.batch_max_bytes or _MOST_INLINE_BYTES):
            raise Complaint(400, "Request payload size exceeds the limit of 20 MB.")
        return source, True

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        batches, following = _page(self._desk.listed("gemini"), request.query)
        shown = [await self._body(batch) for batch in batches]
        page: dict[str, Any] = {"operations": shown} if shown else {}
        return reply(200, page | following, {})

    async def _one(self, request: web.BaseRequest, batch_id: str, *, is_cancel: bool) -> web.StreamResponse:
        batch = self._desk.find("gemini", batch_id)
        if batch is None:
            raise Complaint(404, f"batches/{batch_id} is not found.")
        if is_cancel:
            self._desk.cancel(batch)
            return reply(200, {}, {})
        if request.method == "DELETE":
            self._desk.drop(batch)
            return reply(200, {}, {})
        return reply(200, await self._body(batch), {})

    async def _body(self, batch: Batch, *, is_new: bool = False) -> dict[str, Any]:
        state = "validating" if is_new else await self._desk.state(batch)
        life = batch.life
        is_over = state in ("completed", "failed", "expired", "cancelled")
        output = self._results(batch) if state == "completed" else None
        metadata: dict[str, Any] = {
            "@type": f"{_TYPE}GenerateContentBatch",
            "model": f"models/{batch.model}",
            "displayName": batch.label,
            "state": f"BATCH_STATE_{_STATES[state]}",
            "createTime": _time(life.created_at),
            "updateTime": _time(min(self._desk.now, life.ends_at)),
            "endTime": _time(life.ends_at) if is_over else None,
            "batchStats": _stats(batch, is_over=is_over),
            "output": output,
            "name": f"batches/{batch.id}",
        }
        body: dict[str, Any] = {
            "name": f"batches/{batch.id}",
            "metadata": {key: value for key, value in metadata.items() if value is not None},
        }
        if is_over:
            body["done"] = True
        if output is not None:
            body["response"] = {"@type": f"{_TYPE}GenerateContentBatchOutput", **output}
        elif is_over:
            faults = [fault["message"] for fault in batch.faults] or [f"The batch is {state}."]
            code = 1 if state == "cancelled" else 3 if batch.faults else 13
            body["error"] = {"code": code, "message": faults[0]}
        return body

    def _results(self, batch: Batch) -> dict[str, Any] | None:
        """Return the output of a batch, inline or as a file; None where it is not kept any more."""
        output = _output(batch)
        if output is None or not self._desk.is_kept(batch):
            return None
        if not batch.details["inline"]:
            return {"responsesFile": output.id}
        rows = []
        for _, raw in output.lines():
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                continue
            key = line.pop("key")
            rows.append({**line, "metadata": {"key": key}})
        return {"inlinedResponses": {"inlinedResponses": rows}}


def _page(rows: Sequence[_Row], query: Mapping[str, str]) -> tuple[Sequence[_Row], dict[str, str]]:
    """Return the rows of a page, and what leads to the next one; the last page has nothing of that."""
    text, token = query.get("pageSize", ""), query.get("pageToken", "")
    size = int(text) if text.isascii() and text.isdigit() and int(text) else 50
    start = int(token) if token.isascii() and token.isdigit() else 0
    following = {"nextPageToken": str(start + size)} if len(rows) > start + size else {}
    return rows[start : start + size], following


def _output(batch: Batch) -> StoredFile | None:
    return batch.outcome.output if batch.outcome else None


def _stats(batch: Batch, *, is_over: bool) -> dict[str, str]:
    """Counts are text, and those of zero are missing."""
    outcome, total = batch.outcome, len(batch.lines)
    good, bad = (outcome.answered, outcome.failed) if is_over and outcome else (0, 0)
    counts = {
        "requestCount": total,
        "successfulRequestCount": good,
        "failedRequestCount": bad,
        "pendingRequestCount": 0 if is_over else total - good - bad,
    }
    return {name: str(count) for name, count in counts.items() if count}


def _file_body(request: web.BaseRequest, file: StoredFile) -> dict[str, Any]:
    return {
        "name": file.id, "displayName": file.name, "mimeType": "application/jsonl",
        "sizeBytes": str(file.size),
        "createTime": _time(file.created_at), "expirationTime": _time(file.expires_at), "state": "ACTIVE",
        "uri": f"{request.scheme}://{request.host}/v1beta/{file.id}",
    }  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
