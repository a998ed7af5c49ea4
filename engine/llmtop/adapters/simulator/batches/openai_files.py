"""OpenAI's files on the wire, and those of the servers that speak its format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import BodyPartReader, web

from llmtop.adapters.simulator import delivery
from llmtop.adapters.simulator.batches.desk import BatchDesk
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.record import Batch
from llmtop.adapters.simulator.batches.sending import send_file
from llmtop.adapters.simulator.batches.styles import Style, cursor_page
from llmtop.adapters.simulator.complaints import Complaint, invalid_value, missing
from llmtop.adapters.simulator.jobs import reply

_INPUT_LIFE_S = 30 * 86_400.0
_SHORTEST_LIFE_S = 3600
_FILE = re.compile(r"/files/(?P<id>[^/:]+)(?P<what>/content|/bytes|/preprocess)?")


class OpenAIFiles:
    """`/v1/files`, in the words of `style`."""

    def __init__(self, desk: BatchDesk, style: Style) -> None:
        self._desk = desk
        self._style = style
        self._api = style.api
        self._grammar = style.grammar

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse | None:
        """Answer a request to `path`, without its version; None: it is not ours. Raises Complaint."""
        method, style = request.method, self._style
        if method == "POST" and (path == style.upload_path or (style.has_two_steps and path == "/files")):
            return await self._upload(request)
        if path == "/files" and method == "GET":
            return self._list_files(request)
        if found := _FILE.fullmatch(path):
            return await self._file(request, found["id"], found["what"] or "")
        return None

    def find(self, file_id: str) -> StoredFile | None:
        """Return a file of this API that is still kept."""
        file = self._desk.files.get(file_id, self._desk.now)
        return file if file is not None and file.owner == self._api else None

    def is_processed(self, file: StoredFile) -> bool:
        """Whether a batch can be made of a file."""
        wait_s = self._desk.service.profile.batch_file_s if self._style.has_slow_files else 0.0
        return self._desk.now >= file.created_at + wait_s

    def _shown(self, file: StoredFile) -> dict[str, Any]:
        status = "processed" if self.is_processed(file) else "pending"
        return self._style.file({**_file_body(file), "status": status})

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
                stored = self._new(part.filename or "upload", "batch")
                await self._take(part, stored)
            else:
                fields[str(part.name)] = (await part.read(decode=True)).decode("utf-8", "replace")
        if stored is None and self._style.has_two_steps and "file_name" in fields:
            return self._begin(request, fields)
        if stored is None:
            raise missing("file")
        try:
            self._check_upload(stored, fields)
        except Complaint:
            desk.files.drop(stored.id)
            raise
        desk.service.books.batch_uploads += 1
        if "upload_reset" in troubles:
            return delivery.reset(request)
        return reply(200, self._shown(stored), {})

    def _new(self, name: str, purpose: str) -> StoredFile:
        stored = self._desk.new_file(name, purpose, self._grammar.prefix, _INPUT_LIFE_S)
        stored.owner = self._api
        return stored

    def _begin(self, request: web.BaseRequest, fields: Mapping[str, str]) -> web.StreamResponse:
        """Say where the bytes are to be sent: the address is a secret itself, and needs no key."""
        stored = self._new(fields["file_name"], fields.get("purpose", ""))
        place = f"{request.scheme}://{request.host}/{self._style.api}/v1/files/{stored.id}/bytes"
        headers = {"Location": f"{place}?upload_id={stored.id}", "X-Together-File-Id": stored.id}
        return web.Response(status=302, headers=headers)

    async def _fill(self, request: web.BaseRequest, stored: StoredFile) -> web.StreamResponse:
        while block := await request.content.readany():
            stored.append(block)
        return web.Response()

    def _finish(self, stored: StoredFile) -> web.StreamResponse:
        self._check_upload(stored, {"purpose": stored.purpose, "file_name": stored.name})
        self._desk.service.books.batch_uploads += 1
        return reply(200, self._shown(stored), {})

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
        life = fields.get("expires_after[seconds]", fields.get("expires_after.seconds"))
        if life is not None:
            stored.expires_at = stored.created_at + _life_s(life)

    def _list_files(self, request: web.BaseRequest) -> web.StreamResponse:
        purpose = request.query.get("purpose")
        files = [file for file in self._desk.files.all(self._desk.now) if file.owner == self._api]
        rows = [self._shown(file) for file in files if purpose in (None, file.purpose)]
        return reply(200, cursor_page(rows, request.query, 10_000), {})

    async def _file(self, request: web.BaseRequest, file_id: str, what: str) -> web.StreamResponse:
        desk = self._desk
        file = self.find(file_id)
        if file is None:
            raise Complaint(404, f"No such File object: {file_id}", param="id")
        if request.method == "DELETE":
            desk.files.drop(file_id)
            return reply(200, {"id": file_id, "object": "file", "deleted": True}, {})
        if self._style.has_two_steps and what == "/bytes" and request.method == "PUT":
            return await self._fill(request, file)
        if self._style.has_two_steps and what == "/preprocess" and request.method == "POST":
            return self._finish(file)
        if what != "/content":
            return reply(200, self._shown(file), {})
        owner = next((batch for batch in desk.listed(self._api) if _is_result(batch, file)), None)
        troubles = owner.troubles if owner else frozenset[str]()
        if file.fetches == 0 and "results_late" in troubles:
            file.fetches += 1
            raise Complaint(404, f"No such File object: {file_id}", param="id")
        return await send_file(request, file, troubles, "application/octet-stream")


def _life_s(text: str) -> int:
    """Return how long a file is to be kept. Raises Complaint."""
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not _SHORTEST_LIFE_S <= seconds <= _INPUT_LIFE_S:
        raise invalid_value("expires_after.seconds", "Expected a value from 3600 to 2592000.")
    return seconds


def _is_result(batch: Batch, file: StoredFile) -> bool:
    return batch.outcome is not None and file in (batch.outcome.output, batch.outcome.errors)


def _file_body(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id, "object": "file", "bytes": file.size, "created_at": int(file.created_at),
        "expires_at": int(file.expires_at), "filename": file.name, "purpose": file.purpose,
        "status_details": None,
    }  # fmt: skip
