"""The engine's side of the door: HTTP and WebSocket on a Unix socket, for this user's processes only.

    GET  /v1/runs                       the runs of this engine
    GET  /v1/runs/ID/snapshot           one run now
    GET  /v1/runs/ID/stream?interval=S  WebSocket: a snapshot now, every S seconds, and soon after a change
    POST /v1/runs/ID/commands           a command; answers with its acknowledgement
    POST /v1/runs/ID/items              a page of items
    POST /v1/runs/ID/item               one item with everything
    POST /v1/runs/ID/job                what the requests of a batch job came to
    GET  /v1/runs/ID/decisions?limit=N  the last decisions and commands

The peer's uid is checked before a byte of a connection is read. A viewer that does not read is
dropped; it never slows the engine. `docs/control-api.md` is the manual.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar, get_args

import orjson
from aiohttp import web

from llmtop.control.codec import decode, encode
from llmtop.control.faults import as_words
from llmtop.control.peers import OwnUserOnly
from llmtop.control.protocol import ItemQuery, ItemState, RunDoor
from llmtop.errors import LlmtopError, StateError, UsageError
from llmtop.model import Command
from llmtop.snapshot import RunLine, Snapshot

_MAX_BODY = 1024 * 1024
_FASTEST_S, _SLOWEST_S = 0.1, 60.0
_PATIENCE_S = 5.0
_GOODBYE_S = 1.0
_MAX_LIMIT = 10_000

T = TypeVar("T")

ListRuns = Callable[[], tuple[RunLine, ...]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """Serves the doors of one engine on `path` while it is entered; removes the socket at the end.

    Streams end by themselves when their engine has ended; leaving waits a second for that, so that
    viewers get the last snapshot. `patience_s`: how long a viewer may not take a snapshot.
    """

    def __init__(
        self,
        path: Path,
        doors: Mapping[str, RunDoor],
        list_runs: ListRuns,
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.path = path
        self._doors = doors
        self._list_runs = list_runs
        self._patience_s = patience_s
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._streams: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<ControlServer {self.path} {self.viewers} viewers>"

    @property
    def viewers(self) -> int:
        """Streams that are open now."""
        return len(self._streams)

    async def __aenter__(self) -> ControlServer:
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[_faults_in_words])
        app.router.add_get("/v1/runs", self._runs)
        app.router.add_get("/v1/runs/{run}/snapshot", self._snapshot)
        app.router.add_get("/v1/runs/{run}/stream", self._stream)
        app.router.add_post("/v1/runs/{run}/commands", self._command)
        app.router.add_post("/v1/runs/{run}/items", self._items)
        app.router.add_post("/v1/runs/{run}/item", self._item)
        app.router.add_post("/v1/runs/{run}/job", self._job)
        app.router.add_get("/v1/runs/{run}/decisions", self._decisions)
        runner = self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_GOODBYE_S
        )
        await runner.setup()
        assert runner.server is not None  # since `setup`
        serve = runner.server
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: OwnUserOnly(serve), sock=_bind(self.path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
        self.path.unlink(missing_ok=True)
        if self._streams:
            await asyncio.wait(self._streams, timeout=_GOODBYE_S)
        for stream in list(self._streams):
            stream.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

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
        unknown = set(query.states) - set(get_args(ItemState))
        if unknown:
            raise _bad(f"states must be of {', '.join(get_args(ItemState))}")
        return _json(await self._door(request).items(query))

    async def _item(self, request: web.Request) -> web.Response:
        wanted = (await _object(request)).get("id")
        if not isinstance(wanted, str):
            raise _bad("an item is asked for by its id, a string")
        detail = await self._door(request).item(wanted)
        return _json({"error": "no such item"}, 404) if detail is None else _json(detail)

    async def _job(self, request: web.Request) -> web.Response:
        wanted = (await _object(request)).get("number")
        if type(wanted) is not int or not 0 < wanted < 2**63:
            raise _bad("a batch job is asked for by its number, from 1")
        detail = await self._door(request).job(wanted)
        return _json({"error": "no such batch job"}, 404) if detail is None else _json(detail)

    async def _decisions(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "100")
        if not (limit.isascii() and limit.isdecimal() and 0 < int(limit[:9]) <= _MAX_LIMIT):
            raise _bad(f"limit must be 1 to {_MAX_LIMIT}")
        return _json(await self._door(request).decisions(int(limit)))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        door = self._door(request)
        interval_s = _interval(request.query.get("interval", "1"))
        stream = web.WebSocketResponse(compress=False, heartbeat=30.0, max_msg_size=4096)
        await stream.prepare(request)
        code = 1001
        sending = asyncio.create_task(self._send_all(stream, door.snapshots(interval_s)))
        listening = asyncio.create_task(_until_closed(stream))
        self._streams.add(sending)
        sending.add_done_callback(self._streams.discard)
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.cancelled() and sending.exception() is not None:
                code = 1011
        finally:
            sending.cancel()
            listening.cancel()
            await asyncio.wait({sending, listening})
            await _hang_up(request, stream, code)
        return stream

    async def _send_all(self, stream: web.WebSocketResponse, snapshots: AsyncIterator[Snapshot]) -> None:
        """Send until the engine ends. A viewer that does not take a snapshot in time is let go."""
        async for snapshot in snapshots:
            async with asyncio.timeout(self._patience_s):
                await stream.send_str(encode(snapshot).decode())

    def _door(self, request: web.Request) -> RunDoor:
        door = self._doors.get(request.match_info["run"])
        if door is None:
            raise web.HTTPNotFound(text=_text("no such run"), content_type="application/json")
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
        reason = error.strerror or str(error)
        raise StateError(str(path), f"the control socket cannot be made: {reason}") from error
    finally:
        os.umask(old)
    return listener


@web.middleware
async def _faults_in_words(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every fault is an object with `error`: of the request, of the state folder, or a bug."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json":
            raise
        return _json({"error": error.reason.lower()}, error.status)
    except LlmtopError as error:
        return _json(as_words(error), 400 if isinstance(error, UsageError) else 500)
    except Exception as error:
        return _json({"error": f"a bug in llmtop: {type(error).__name__}"}, 500)


async def _hang_up(request: web.Request, stream: web.WebSocketResponse, code: int) -> None:
    """Close the stream; a viewer that does not even take that is cut off."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await stream.close(code=code)
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()


async def _until_closed(stream: web.WebSocketResponse) -> None:
    async for _message in stream:
        continue


def _interval(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds):
            return min(_SLOWEST_S, max(_FASTEST_S, seconds))
    raise _bad("interval is not a number of seconds")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


def _text(message: str) -> str:
    return encode({"error": message}).decode()


def _bad(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=_text(message), content_type="application/json")


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
