"""Answers that come in an odd way: reset, hanging, dripping, cut, zipped, late. Speaks HTTP with aiohttp."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Mapping, Sequence

from aiohttp import web

from llmtop.adapters.simulator.profile import Profile

JSON = "application/json"
EVENTS = "text/event-stream"
_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    "<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
)
_TITLES = {502: "502 Bad Gateway", 504: "504 Gateway Time-out", 200: "Please wait"}
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_BLANK_LINES = 4


def html_page(status: int) -> web.Response:
    """Return the page of a proxy that knows nothing of JSON."""
    text = _PAGE.format(title=_TITLES[status])
    return web.Response(status=status, body=text.encode(), content_type="text/html")


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection; nothing can be sent on it any more."""
    transport = request.transport
    if transport is not None:
        link = transport.get_extra_info("socket")
        if link is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        transport.abort()
    return web.Response()


async def reset_after_headers(
    request: web.BaseRequest, body: bytes, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send the headers and half of the body, then reset."""
    response = await _begin(request, headers, len(body))
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(0)
    reset(request)
    return response


async def cut_body(request: web.BaseRequest, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Promise the whole body, send half of it, close."""
    response = await _begin(request, headers, len(body))
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def drip(
    request: web.BaseRequest, body: bytes, headers: Mapping[str, str], profile: Profile
) -> web.StreamResponse:
    """Send one byte each `drip_s`."""
    response = await _begin(request, headers, len(body))
    for at in range(len(body)):
        await response.write(body[at : at + 1])
        await asyncio.sleep(profile.drip_s)
    return response


async def begin_blank_lines(
    request: web.BaseRequest, headers: Mapping[str, str], delay_s: float
) -> web.StreamResponse:
    """Send headers and blank lines while the model thinks for `delay_s`; the caller writes the JSON."""
    response = await _begin(request, headers, None)
    for _ in range(_BLANK_LINES):
        await response.write(b"\n")
        await asyncio.sleep(delay_s / _BLANK_LINES)
    return response


def odd_body(kind: str, body: bytes, headers: dict[str, str], content_type: str = JSON) -> web.Response:
    """Return a complete HTTP answer whose body or headers have the fault `kind`."""
    if kind == "truncated":
        body = body[: len(body) * 2 // 3]
    elif kind == "malformed":
        name = b"message" if b'"message":' in body else b"content"
        body = body.replace(b'"%s":' % name, b"%s:" % name, 1)
    elif kind == "empty_body":
        body = b""
    elif kind == "wrong_content_type":
        content_type = "text/plain"
    elif kind in ("gzip", "cut_gzip"):
        body = gzip.compress(body, 6, mtime=0)
        body = body[: len(body) // 2] if kind == "cut_gzip" else body
        headers = {**headers, "Content-Encoding": "gzip"}
    return web.Response(body=body, headers=headers, content_type=content_type)


async def stream(
    request: web.BaseRequest,
    events: Sequence[bytes],
    headers: Mapping[str, str],
    kind: str | None,
    delay_s: float,
    drip_s: float,
) -> web.StreamResponse:
    """Send events, evenly over `delay_s`, with the fault `kind` in the middle of them; None: no fault."""
    response = await _begin(request, headers, None, EVENTS)
    half = len(events) // 2
    for number, event in enumerate(events):
        await asyncio.sleep(delay_s / len(events))
        if number == half and kind in ("reset_after_headers", "cut_body", "truncated"):
            break
        if kind == "malformed" and number == half:
            event = event.replace(b'"', b"", 1)
        if kind == "blank_lines":
            event = b": wait\n\n" + event
        for at in range(0, len(event), 1 if kind == "drip" else len(event)):
            await response.write(event[at : at + 1] if kind == "drip" else event)
            if kind == "drip":
                await asyncio.sleep(drip_s)
    if kind == "reset_after_headers":
        reset(request)
    elif kind == "cut_body" and request.transport is not None:
        request.transport.close()
    return response


async def _begin(
    request: web.BaseRequest, headers: Mapping[str, str], length: int | None, content_type: str = JSON
) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_type = content_type
    response.content_length = length
    await response.prepare(request)
    return response
