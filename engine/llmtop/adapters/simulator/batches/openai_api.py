"""OpenAI's files and batches on the wire, and those of the servers that speak its format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import BodyPartReader, web

from llmtop.adapters.simulator import delivery
from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.grammars import ENDPOINT
from llmtop.adapters.simulator.batches.record import Batch, Draft
from llmtop.adapters.simulator.batches.sending import body_of, create_failure, late, send_file
from llmtop.adapters.simulator.batches.styles import Style, cursor_page
from llmtop.adapters.simulator.complaints import Complaint, missing
from llmtop.adapters.simulator.jobs import reply

_INPUT_LIFE_S = 30 * 86_400.0
_FILE = re.compile(r"/files/(?P<id>[^/:]+)(?P<content>/content)?")
_BATCH = re.compile(r"/(?P<id>[^/:]+)(?P<cancel>/cancel)?")


class OpenAIBatches:
    """`/v1/files` and `/v1/batches`, in the words of `style`."""

    def __init__(self, desk: BatchDesk, style: Style) -> None:
        self._desk = desk
        self._style = style
        self._api = style.api
        self._dialect = style.dialect
        self._grammar = style.grammar
        desk.teach(style.api, self._grammar)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer; None: it is not ours. Raises Complaint."""
        method, path, jobs = request.method, request.path.removeprefix("/v1"), self._style.jobs_path
        if path == self._style.upload_path and method == "POST":
            return await self._upload(request)
        if path == "/files" and method == "GET":
            return self._list_files(request)
        if path == jobs:
            return await self._create(request) if method == "POST" else await self._list(request)
        if found := _FILE.fullmatch(path):
            return await self._file(request, found["id"], is_content=bool(found["content"]))
        if path.startswith(jobs) and (found := _BATCH.fullmatch(path.removeprefix(jobs))):
            return await self._batch(request, found["id"], is_cancel=bool(found["cancel"]))
        return None

    # -- files ---------------------------------------------------------------------------------

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        desk = self._desk
        if not request.content_type.startswith("multipart/"):
            raise missing("file")
        troubles = desk.upload_troubles()
        fields: dict[str, str] = {}
        stored: StoredFile | None = None
        parts = await request.multipart()
        while (part := await parts.next()) is not None:
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                stored = desk.new_file(
                    part.filename or "upload", "batch", self._grammar.prefix, _INPUT_LIFE_S
                )
                await self._take(part, stored)
            else:
                fields[str(part.name)] = (await part.read(decode=True)).decode("utf-8", "replace")
        if stored is None:
            raise missing("file")
        try:
            self._check_upload(stored, fields)
        except Complaint:
            desk.files.drop(stored.id)
            raise
        if "expires_after[seconds]" in fields:
            stored.expires_at = stored.created_at + float(fields["expires_after[seconds]"])
        desk.service.books.batch_uploads += 1
        if "upload_reset" in troubles:
            return delivery.reset(request)
        return reply(200, self._style.file(_file_body(stored)), {})

    async def _take(self, part: BodyPartReader, stored: StoredFile) -> None:
        most = self._desk.service.profile.batch_max_bytes or self._style.most_bytes
        while block := await part.read_chunk(64 * 1024):
            if stored.size <= most:
                stored.append(block)

    def _check_upload(self, stored: StoredFile, fields: Mapping[str, str]) -> None:
        most = self._desk.service.profile.batch_max_bytes or self._style.most_bytes
        self._style.check_upload(fields)
        stored.purpose = fields["purpose"]
        if stored.purpose == self._style.purpose and not stored.name.endswith(".jsonl"):
            raise Complaint(400, "Invalid file format for Batch API. Must be .jsonl")
        if stored.size > most:
            raise Complaint(413, f"The file is larger than {most} bytes.", code="file_too_large")
        if not stored.size:
            raise Complaint(400, "File is empty.", param="file")

    def _list_files(self, request: web.BaseRequest) -> web.StreamResponse:
        purpose = request.query.get("purpose")
        files = [file for file in self._desk.files.all(self._desk.now) if not file.id.startswith("files/")]
        rows = [self._style.file(_file_body(file)) for file in files if purpose in (None, file.purpose)]
        return reply(200, cursor_page(rows, request.query, 10_000), {})

    async def _file(self, request: web.BaseRequest, file_id: str, *, is_content: bool) -> web.StreamResponse:
        desk = self._desk
        file = desk.files.get(file_id, desk.now)
        if file is None:
            raise Complaint(404, f"No such File object: {file_id}", param="id")
        if request.method == "DELETE":
            desk.files.drop(file_id)
            return reply(200, {"id": file_id, "object": "file", "deleted": True}, {})
        if not is_content:
            return reply(200, self._style.file(_file_body(file)), {})
        owner = next((batch for batch in desk.listed(self._api) if _is_result(batch, file)), None)
        troubles = owner.troubles if owner else frozenset[str]()
        if file.fetches == 0 and "results_late" in troubles:
            file.fetches += 1
            raise Complaint(404, f"No such File object: {file_id}", param="id")
        return await send_file(request, file, troubles, "application/octet-stream")

    # -- batches -------------------------------------------------------------------------------

    async def _create(self, request: web.BaseRequest) -> web.StreamResponse:
        desk = self._desk
        body = self._style.wanted(await body_of(request))
        source = self._checked(body)
        troubles = desk.creation_troubles()
        failure = create_failure(request, self._dialect, troubles, is_created=False)
        if failure is not None:
            return failure
        draft = await desk.read(self._grammar, source, str(body.get("model") or ""), "")
        model = min(draft.models, default=str(body.get("model_id") or ""))
        batch = desk.create(
            self._api, desk.new_id("batch_"), source, draft, troubles,
            model=model, label=body.get("metadata"), details=body, faults=self._faults(draft, model),
        )  # fmt: skip
        failure = create_failure(request, self._dialect, troubles, is_created=True)
        if failure is not None:
            return failure
        shown = await self._body(batch, is_new=True)
        await late(troubles, desk.service.profile)
        return reply(200, self._style.created(shown), {})

    def _checked(self, body: Mapping[str, Any]) -> StoredFile:
        desk = self._desk
        if body["endpoint"] != ENDPOINT:
            raise Complaint(
                400, f"Invalid value: this simulated server batches {ENDPOINT}.", param="endpoint"
            )
        metadata = body.get("metadata") or {}
        pairs = metadata.items() if isinstance(metadata, dict) else [(None, None)]
        is_right = all(
            isinstance(key, str) and len(key) <= 64 and isinstance(value, str) and len(value) <= 512
            for key, value in pairs
        )
        if not is_right or len(metadata) > 16:
            raise Complaint(
                400, "Invalid 'metadata': 16 pairs of strings, 64 and 512 long.", param="metadata"
            )
        source = desk.files.get(body["input_file_id"], desk.now)
        if source is None or source.purpose != self._style.purpose:
            raise Complaint(400, f"No such File object: {body['input_file_id']}", param="input_file_id")
        return source

    def _faults(self, draft: Draft, model: str) -> list[dict[str, Any]]:
        desk, faults = self._desk, list[dict[str, Any]]()

        def add(code: str, message: str) -> None:
            faults.append({"code": code, "message": message, "param": None, "line": None})

        if not draft.lines and not draft.faults:
            add("empty_file", "The file has no requests.")
        if len(draft.lines) > desk.most_lines(self._api):
            add("too_many_tasks", f"The file has more than {desk.most_lines('openai')} requests.")
        if len(draft.models) > 1:
            add("model_mismatch", "All requests of a file must name the same model.")
        if model in desk.service.profile.missing_models:
            add("model_not_found", f"The model {model} does not exist.")
        if desk.is_queue_full(self._api, model, draft.tokens):
            add("token_limit_exceeded", f"Enqueued token limit reached for {model}.")
        return faults

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        rows = [await self._body(batch) for batch in self._desk.listed(self._api)]
        return reply(200, self._style.page(rows, request.query), {})

    async def _batch(self, request: web.BaseRequest, batch_id: str, *, is_cancel: bool) -> web.StreamResponse:
        batch = self._desk.find(self._api, batch_id)
        if batch is None:
            raise Complaint(404, f"No batch found with id '{batch_id}'.", param="batch_id")
        if is_cancel and not self._desk.cancel(batch):
            raise Complaint(409, "Cannot cancel a batch that has ended.", code="batch_not_cancellable")
        return reply(200, await self._body(batch), {})

    async def _body(self, batch: Batch, *, is_new: bool = False) -> dict[str, Any]:
        life, now = batch.life, self._desk.now
        state = "validating" if is_new else await self._desk.state(batch)
        is_over = state in ("completed", "expired", "cancelled")
        outcome = batch.outcome if is_over else None
        is_past_validation = state not in ("validating", "failed")
        shown: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.details["endpoint"],
            "model": batch.model or None,
            "errors": {"object": "list", "data": _faults_of(batch)} if state == "failed" else None,
            "input_file_id": batch.source.id,
            "completion_window": batch.details["completion_window"],
            "status": state,
            "output_file_id": outcome.output.id if outcome and outcome.output else None,
            "error_file_id": outcome.errors.id if outcome and outcome.errors else None,
            "created_at": int(life.created_at),
            "in_progress_at": int(life.validated_at) if is_past_validation else None,
            "finalizing_at": int(life.stops_at) if state in ("finalizing", "completed") else None,
            "expires_at": int(life.expires_at),
            "cancelling_at": int(life.cancelled_at) if life.cancelled_at <= now else None,
            "request_counts": _counts(batch, now, state),
            "metadata": batch.label,
        }
        for name in ("completed", "failed", "expired", "cancelled"):
            shown[f"{name}_at"] = int(life.ends_at) if state == name else None
        if outcome and outcome.errors is None and "empty_error_id" in batch.troubles:
            shown["error_file_id"] = ""
        if outcome:
            shown["usage"] = {
                "input_tokens": outcome.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": outcome.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": outcome.input_tokens + outcome.output_tokens,
            }
        return self._style.job(shown)


def _counts(batch: Batch, now: float, state: str) -> dict[str, int]:
    total = 0 if state in ("validating", "failed") else len(batch.lines)
    outcome = batch.outcome
    if outcome is None:
        return {"total": total, "completed": batch.life.done_at(now), "failed": 0}
    failed = outcome.failed + outcome.expired
    if state == "expired" and "counts_off" in batch.troubles:
        failed = 0
    return {"total": total, "completed": outcome.answered, "failed": failed}


def _faults_of(batch: Batch) -> list[Any]:
    other = {"code": "server_error", "message": "The batch could not be run.", "param": None, "line": None}
    return list(batch.faults[:50]) or [other]


def _is_result(batch: Batch, file: StoredFile) -> bool:
    return batch.outcome is not None and file in (batch.outcome.output, batch.outcome.errors)


def _file_body(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id, "object": "file", "bytes": file.size, "created_at": int(file.created_at),
        "expires_at": int(file.expires_at), "filename": file.name, "purpose": file.purpose,
        "status": "processed", "status_details": None,
    }  # fmt: skip
