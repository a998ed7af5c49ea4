"""Files of JSON lines as OpenAI has them: sent up as multipart, and the lines of their results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from llmtop.adapters.providers.batches.wire import (
    BatchWire,
    Reads,
    refused,
    reply_of,
    table_of,
    text_or_none,
    undone,
)
from llmtop.batch_jobs import JobInput, LineReply, StrayLine
from llmtop.model import ItemError, Outcome, ProviderError, RawReply

NAME = "llmtop.jsonl"
"""What our files are called; the name must end in .jsonl."""
_BOUNDARY = "llmtop-9f2c41d07be8"


def content_path(file_id: str) -> str:
    """Return where the content of a file is."""
    return f"/files/{quote(file_id, safe='')}/content"


async def send_file(
    wire: BatchWire, reads: Reads, path: str, fields: Mapping[str, str], job: JobInput
) -> str | ProviderError:
    """Send a job's input up to `path`; return the id of the file.

    Together answers a file that it has already with a 409 that names it: the same bytes, so the same file.
    """
    before = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    before += (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{NAME}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    body = wire.file(job.path, before.encode(), f"\r\n--{_BOUNDARY}--\r\n".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    raw = await wire.call("POST", path, body, headers)
    if isinstance(raw, ProviderError):
        return raw
    file_id = _known(raw) if raw.status == 409 else (table_of(raw) or {}).get("id")
    return file_id if isinstance(file_id, str) else refused(reads, raw, time.time())


def _known(raw: RawReply) -> object:
    return (table_of(RawReply(200, raw.headers, raw.body)) or {}).get("file_id")


def line_reply(reads: Reads, row: Mapping[str, Any], number: int, now: float) -> LineReply | StrayLine:
    """Read a line: good only with a status of 2xx, without an error, and with what an answer needs.

    An answer with an error beside it is not taken: what is wrong with it cannot be seen.
    """
    custom_id, response, error = row.get("custom_id"), row.get("response"), row.get("error")
    if not isinstance(custom_id, str):
        return StrayLine(number, "has no custom_id")
    status = _status_in(response, error) if isinstance(response, dict) else 0
    if isinstance(response, dict) and not (error and 200 <= status < 300):
        body, request_id = _body_of(response, error), response.get("request_id")
        return LineReply(custom_id, reply_of(reads, status, body, now, request_id))
    said = error if isinstance(error, dict) else {"message": error}
    code, message = said.get("code"), text_or_none(said.get("message")) or "no answer and no error"
    if code in ("batch_expired", "batch_cancelled"):
        return LineReply(custom_id, undone("cancelled" if code == "batch_cancelled" else "expired", message))
    if (named := _status_of(said)) is not None:
        return LineReply(custom_id, reply_of(reads, named, {"error": {**said, "message": message}}, now))
    failed = ItemError("server_error", message)
    return LineReply(custom_id, ProviderError(error=failed, outcome=Outcome.FAULT))


def _status_in(response: Mapping[str, Any], error: object) -> int:
    """Return the status of a response. OpenAI's 0 means that there was none; without any, the error tells."""
    status = response.get("status_code")
    if type(status) is int:
        return status if 100 <= status <= 599 else 500
    return 500 if error else 200


def _body_of(response: Mapping[str, Any], error: object) -> object:
    """Return the body of a response: a table, one written as text, or the line's own error in its place."""
    body = response.get("body")
    if isinstance(body, str) and body.lstrip().startswith("{"):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            return body
    return {"error": error} if body is None and error else body


def _status_of(said: Mapping[str, Any]) -> int | None:
    """Return the HTTP status that an error without a response names; None: it names none."""
    for name in ("status_code", "code"):
        code = said.get(name)
        if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
            code = int(code)
        if type(code) is int and 400 <= code <= 599:
            return code
    return 400 if said.get("type") == "invalid_request_error" else None
