"""OpenAI's files and batches on the wire, and those of the servers that speak its format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.grammars import ENDPOINT
from llmtop.adapters.simulator.batches.openai_files import OpenAIFiles
from llmtop.adapters.simulator.batches.record import Batch, Draft
from llmtop.adapters.simulator.batches.sending import body_of, create_failure, late
from llmtop.adapters.simulator.batches.styles import Style
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.jobs import reply

_BATCH = re.compile(r"/(?P<id>[^/:]+)(?P<cancel>/cancel)?")


class OpenAIBatches:
    """`/v1/files` and `/v1/batches`, in the words of `style`."""

    def __init__(self, desk: BatchDesk, style: Style) -> None:
        self._desk = desk
        self._style = style
        self._api = style.api
        self._dialect = style.dialect
        self._grammar = style.grammar
        self._files = OpenAIFiles(desk, style)
        desk.teach(style.api, self._grammar)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer; None: it is not ours. Raises Complaint."""
        path, jobs = request.path.removeprefix("/v1"), self._style.jobs_path
        if path == jobs:
            return await self._create(request) if request.method == "POST" else await self._list(request)
        if path.startswith(jobs) and (found := _BATCH.fullmatch(path.removeprefix(jobs))):
            return await self._batch(request, found["id"], is_cancel=bool(found["cancel"]))
        return await self._files.handle(request, path)

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
        source = self._files.find(body["input_file_id"])
        if source is None or source.purpose != self._style.purpose:
            raise Complaint(400, f"No such File object: {body['input_file_id']}", param="input_file_id")
        if not self._files.is_processed(source):
            raise Complaint(400, "The input file is not processed yet.", param="input_file_id")
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
