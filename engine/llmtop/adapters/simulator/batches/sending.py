"""Sending what batch jobs have to send: results in pieces, creations that go wrong. Speaks HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

from llmtop.adapters.simulator import complaints, delivery
from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.complaints import error_body
from llmtop.adapters.simulator.dialects import Dialect
from llmtop.adapters.simulator.jobs import reply
from llmtop.adapters.simulator.profile import Profile

_MOST_BYTES = 300 * 1024 * 1024


async def body_of(request: web.BaseRequest) -> dict[str, Any]:
    """Return the JSON object of a request, however large. Raises Complaint."""
    raw = bytearray()
    while block := await request.content.readany():
        raw += block
        if len(raw) > _MOST_BYTES:
            raise complaints.too_large()
    try:
        body = orjson.loads(bytes(raw) or b"{}")
    except orjson.JSONDecodeError:
        raise complaints.not_json() from None
    if not isinstance(body, dict):
        raise complaints.not_json()
    return body


def create_failure(
    request: web.BaseRequest, dialect: Dialect, troubles: frozenset[str], *, is_created: bool
) -> web.StreamResponse | None:
    """Return what a creation is answered in its trouble, before or after it happened; None: no trouble."""
    if ("create_lost_reset" if is_created else "create_reset") in troubles:
        return delivery.reset(request)
    if ("create_lost_500" if is_created else "create_500") in troubles:
        body = error_body(
            "The server had an error while processing your request.", "server_error", None, None
        )
        return reply(*dialect.failure(500, body), {})
    if not is_created and "create_429" in troubles:
        body = error_body("Rate limit reached for batches.", "requests", None, "rate_limit_exceeded")
        return reply(*dialect.failure(429, body), {"retry-after": "1"})
    return None


async def late(troubles: frozenset[str], profile: Profile) -> None:
    """Wait where the answer to a creation comes late."""
    if "create_late" in troubles:
        await asyncio.sleep(profile.batch_late_s)


async def send_file(
    request: web.BaseRequest, file: StoredFile, troubles: frozenset[str], content_type: str
) -> web.StreamResponse:
    """Send a file in pieces; the first fetch may be cut, or shorter than it should be."""
    file.fetches += 1
    is_first = file.fetches == 1
    is_cut = is_first and "results_cut" in troubles
    is_short = is_first and "results_short" in troubles
    most = file.size * 2 // 3 if is_cut or is_short else file.size
    response = web.StreamResponse()
    response.content_type = content_type
    response.content_length = most if is_short else file.size
    await response.prepare(request)
    left = most
    for block in file.blocks():
        await response.write(block[:left])
        left -= len(block)
        if left <= 0:
            break
    if is_cut and request.transport is not None:
        request.transport.close()
    return response
