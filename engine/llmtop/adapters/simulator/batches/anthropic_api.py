"""Anthropic's Message Batches on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from llmtop.adapters.simulator.anthropic_request import check_version
from llmtop.adapters.simulator.anthropic_words import ANTHROPIC
from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.grammars import AnthropicGrammar
from llmtop.adapters.simulator.batches.record import Batch
from llmtop.adapters.simulator.batches.sending import body_of, create_failure, late, send_file
from llmtop.adapters.simulator.complaints import Complaint
from llmtop.adapters.simulator.jobs import reply

_PATH = "/v1/messages/batches"
_ONE = re.compile(rf"{_PATH}/(?P<id>[^/]+)(?P<what>/cancel|/results)?")
_MOST_BYTES = 256 * 1024 * 1024


class AnthropicBatches:
    """`/v1/messages/batches`."""

    def __init__(self, desk: BatchDesk) -> None:
        self._desk = desk
        self._grammar = AnthropicGrammar()
        desk.teach("anthropic", self._grammar)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer; None: it is not ours. Raises Complaint."""
        if request.path == _PATH:
            check_version(request.headers.get("anthropic-version", ""))
            return await self._create(request) if request.method == "POST" else await self._list(request)
        if found := _ONE.fullmatch(request.path):
            check_version(request.headers.get("anthropic-version", ""))
            return await self._one(request, found["id"], found["what"])
        return None

    async def _create(self, request: web.BaseRequest) -> web.StreamResponse:
        desk, profile = self._desk, self._desk.service.profile
        body = await body_of(request)
        troubles = desk.creation_troubles()
        failure = create_failure(request, ANTHROPIC, troubles, is_created=False)
        if failure is not None:
            return failure
        source = self._source(body.get("requests"))
        version = request.headers["anthropic-version"]
        draft = await desk.read(self._grammar, source, "", version)
        if draft.faults:
            fault = draft.faults[0]
            raise Complaint(400, f"requests.{fault['line'] - 1}.{fault['param']}: {fault['message']}")
        model = min(draft.models, default="")
        if desk.is_queue_full("anthropic", model, draft.tokens):
            raise Complaint(
                429, "Too many requests wait in the queue of batches.", code="rate_limit_exceeded"
            )
        batch = desk.create(
            "anthropic", desk.new_id("msgbatch_"), source, draft, troubles, model=model, version=version
        )
        failure = create_failure(request, ANTHROPIC, troubles, is_created=True)
        if failure is not None:
            return failure
        await late(troubles, profile)
        return reply(200, await self._body(request, batch, is_new=True), {})

    def _source(self, requests: Any) -> StoredFile:
        """Keep the requests as lines. Raises Complaint."""
        desk = self._desk
        if not isinstance(requests, list) or not requests:
            raise Complaint(400, "requests: List should have at least 1 item")
        if len(requests) > desk.most_lines("anthropic"):
            raise Complaint(400, f"requests: List should have at most {desk.most_lines('anthropic')} items")
        source = StoredFile("", "requests", "batch", desk.now, desk.now + desk.retention_s("anthropic"))
        source.is_dropped = True  # it is the batch's own: nobody else can read it
        for each in requests:
            source.append(orjson.dumps(each) + b"\n")
        if source.size > (desk.service.profile.batch_max_bytes or _MOST_BYTES):
            raise Complaint(413, "Request exceeds the maximum size.", code="request_too_large")
        return source

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        batches, query = self._desk.listed("anthropic"), request.query
        text = query.get("limit", "")
        limit = min(1000, max(1, int(text))) if text.isascii() and text.isdigit() else 20
        ids = [batch.id for batch in batches]
        if query.get("after_id") in ids:
            batches = batches[ids.index(query["after_id"]) + 1 :]
        elif query.get("before_id") in ids:
            batches = batches[: ids.index(query["before_id"])][-limit:]
        shown = [await self._body(request, batch) for batch in batches[:limit]]
        page = {
            "data": shown, "has_more": len(batches) > len(shown),
            "first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None,
        }  # fmt: skip
        return reply(200, page, {})

    async def _one(self, request: web.BaseRequest, batch_id: str, what: str | None) -> web.StreamResponse:
        desk = self._desk
        batch = desk.find("anthropic", batch_id)
        if batch is None:
            raise Complaint(404, f"No message batch found with id {batch_id}.")
        if what == "/results":
            return await self._results(request, batch)
        if what == "/cancel":
            desk.cancel(batch)
        elif request.method == "DELETE":
            await desk.state(batch)  # whether anybody has looked at it since it ended or not
            if batch.outcome is None:
                raise Complaint(400, "A message batch can only be deleted when it has ended.")
            desk.drop(batch)
            return reply(200, {"id": batch_id, "type": "message_batch_deleted"}, {})
        return reply(200, await self._body(request, batch), {})

    async def _results(self, request: web.BaseRequest, batch: Batch) -> web.StreamResponse:
        output = batch.outcome.output if batch.outcome else None
        if output is None or not self._desk.is_kept(batch):
            raise Complaint(404, f"The results of {batch.id} are not available.")
        if output.fetches == 0 and "results_late" in batch.troubles:
            output.fetches += 1
            raise Complaint(404, f"The results of {batch.id} are not available.")
        return await send_file(request, output, batch.troubles, "application/x-jsonl")

    async def _body(self, request: web.BaseRequest, batch: Batch, *, is_new: bool = False) -> dict[str, Any]:
        life, desk = batch.life, self._desk
        state = "in_progress" if is_new else await desk.state(batch)
        is_over = state in ("completed", "expired", "cancelled", "failed")
        is_kept = desk.is_kept(batch)
        has_results = is_over and is_kept and batch.outcome is not None and batch.outcome.output is not None
        is_cancelled = life.cancelled_at <= desk.now
        results_url = f"{request.scheme}://{request.host}{_PATH}/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if is_over else "canceling" if is_cancelled else "in_progress",
            "request_counts": _counts(batch, is_over=is_over),
            "created_at": _time(life.created_at),
            "expires_at": _time(life.expires_at),
            "ended_at": _time(life.ends_at) if is_over else None,
            "cancel_initiated_at": _time(life.cancelled_at) if is_cancelled else None,
            "archived_at": None if is_kept else _time(life.created_at + desk.retention_s("anthropic")),
            "results_url": results_url if has_results else None,
        }


def _counts(batch: Batch, *, is_over: bool) -> Mapping[str, int]:
    """All requests are in `processing` until the whole batch has ended; then none is."""
    outcome, total = batch.outcome, len(batch.lines)
    if not is_over or outcome is None:
        return {"processing": total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    known = outcome.answered + outcome.failed + outcome.cancelled + outcome.expired
    return {
        "processing": 0,
        "succeeded": outcome.answered,
        "errored": outcome.failed + total - known,
        "canceled": outcome.cancelled,
        "expired": outcome.expired,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
