"""The engine's side of the door: HTTP and WebSocket on a Unix socket, for this user's processes only.

    GET  /v1/runs                       the runs of this engine
    GET  /v1/runs/ID/snapshot           one run now
    GET  /v1/runs/ID/stream?interval=S  WebSocket: a snapshot now and every S seconds
    POST /v1/runs/ID/commands           a command; answers with its acknowledgement
    POST /v1/runs/ID/items · /item      pages of items, one item
    GET  /v1/runs/ID/decisions?limit=N

The peer's uid is checked on every connection before a byte is answered. A viewer that does not
read is dropped; it never slows the engine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import orjson
from aiohttp import web

from llmtop.control.codec import decode, encode
from llmtop.control.protocol import ItemQuery, RunDoor
from llmtop.errors import StateError
from llmtop.model import Command
from llmtop.snapshot import RunLine, Snapshot

_MAX_BODY = 1024 * 1024
_FASTEST_S = 0.1
_SEND_TIMEOUT_S = 5.0
_MAX_LIMIT = 10_000

T = TypeVar("T")

ListRuns = Callable[[], tuple[RunLine, ...]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """Serves the doors of one engine on `path` while it is entered; removes the socket at the end."""

    def __init__(self, path: Path, doors: Mapping[str, RunDoor], list_runs: ListRuns) -> None:
        self.path = path
        self._doors = doors
        self._list_runs = list_runs
        self._runner: web.AppRunner | None = None
        self._streams: set[web.WebSocketResponse] = set()

    @property
    def viewers(self) -> int:
        """Streams that are open now."""
        return len(self._streams)

    async def __aenter__(self) -> ControlServer:
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[_same_user])
        app.router.add_get("/v1/runs", self._runs)
        app.router.add_get("/v1/runs/{run}/snapshot", self._snapshot)
        app.router.add_get("/v1/runs/{run}/stream", self._stream)
        app.router.add_post("/v1/runs/{run}/commands", self._command)
        app.router.add_post("/v1/runs/{run}/items", self._items)
        app.router.add_post("/v1/runs/{run}/item", self._item)
        app.router.add_get("/v1/runs/{run}/decisions", self._decisions)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, _bind(self.path)).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in list(self._streams):
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.5):
                    await stream.close(code=1001, message=b"the engine ends")
        if self._runner is not None:
            await self._runner.cleanup()
        self.path.unlink(missing_ok=True)

    # -- answers -----------------------------------------------------------------------------

    async def _runs(self, _request: web.Request) -> web.Response:
        return _json(self._list_runs())

    async def _snapshot(self, request: web.Request) -> web.Response:
        return _json(await self._door(request).snapshot())

    async def _command(self, request: web.Request) -> web.Response:
        command = _parse(Command, await request.read())
        return _json(await self._door(request).command(command))

    async def _items(self, request: web.Request) -> web.Response:
        query = _parse(ItemQuery, await request.read())
        if not 0 < query.limit <= _MAX_LIMIT:
            raise _bad(f"limit is {query.limit}, and must be 1 to {_MAX_LIMIT}")
        return _json(await self._door(request).items(query))

    async def _item(self, request: web.Request) -> web.Response:
        wanted = (await _object(request)).get("id")
        if not isinstance(wanted, str):
            raise _bad("an item is asked for by its id, a string")
        detail = await self._door(request).item(wanted)
        return _json({"error": "no such item"}, 404) if detail is None else _json(detail)

    async def _decisions(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "100")
        if not limit.isdecimal() or not 0 < int(limit) <= _MAX_LIMIT:
            raise _bad(f"limit must be 1 to {_MAX_LIMIT}")
        return _json(await self._door(request).decisions(int(limit)))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        door = self._door(request)
        try:
            interval_s = max(_FASTEST_S, float(request.query.get("interval", "1")))
        except ValueError:
            raise _bad("interval is not a number of seconds") from None
        stream = web.WebSocketResponse(compress=False, heartbeat=30.0, max_msg_size=4096)
        await stream.prepare(request)
        self._streams.add(stream)
        listening = asyncio.create_task(_until_closed(stream))
        try:
            async for snapshot in door.snapshots(interval_s):
                if stream.closed or not await _sent(stream, snapshot):
                    break
        finally:
            self._streams.discard(stream)
            listening.cancel()
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.5):
                    await stream.close(code=1000)
        return stream

    def _door(self, request: web.Request) -> RunDoor:
        door = self._doors.get(request.match_info["run"])
        if door is None:
            raise web.HTTPNotFound(body=encode({"error": "no such run"}), content_type="application/json")
        return door


def _bind(path: Path) -> socket.socket:
    """Bind with mode 0600 from the first moment. A file that is in the way belongs to a dead engine."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise StateError(str(path), f"the control socket cannot be made: {error.strerror}") from error
    finally:
        os.umask(old)
    return listener


@web.middleware
async def _same_user(request: web.Request, handler: _Handler) -> web.StreamResponse:
    transport = request.transport
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is None or peer_uid(peer) != os.getuid():
        if transport is not None:
            transport.abort()
        raise web.HTTPForbidden
    return await handler(request)


def peer_uid(peer: socket.socket) -> int | None:
    """Return the uid at the other end of a Unix socket; None where it cannot be read."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, option, 12))
        return int(uid)
    try:  # macOS and the BSDs: struct xucred behind LOCAL_PEERCRED
        _version, uid = struct.unpack_from("II", peer.getsockopt(0, 1, 76))
    except OSError:
        return None
    return int(uid)


async def _sent(stream: web.WebSocketResponse, snapshot: Snapshot) -> bool:
    """Send one snapshot; a viewer that has not taken it in time is let go."""
    try:
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            await stream.send_str(encode(snapshot).decode())
    except (TimeoutError, ConnectionError):
        return False
    return True


async def _until_closed(stream: web.WebSocketResponse) -> None:
    async for _message in stream:
        continue


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


def _bad(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(body=encode({"error": message}), content_type="application/json")


def _parse(kind: type[T], body: bytes) -> T:
    try:
        return decode(kind, body)
    except ValueError as error:
        raise _bad(str(error)) from None


async def _object(request: web.Request) -> dict[str, object]:
    try:
        parsed = orjson.loads(await request.read())
    except ValueError:
        raise _bad("not JSON") from None
    if not isinstance(parsed, dict):
        raise _bad("not an object")
    return parsed
