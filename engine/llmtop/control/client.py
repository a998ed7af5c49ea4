"""The door over an engine's Unix socket: snapshots, commands and pages of a run that lives elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp

from llmtop.control.codec import decode, decode_value, encode
from llmtop.control.protocol import ItemDetail, ItemPage, ItemQuery
from llmtop.errors import LlmtopError, StateError, UsageError
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import RunLine, Snapshot

T = TypeVar("T")

_BASE = "http://engine/v1"
_TIMEOUT_S = 10.0
_MAX_MESSAGE = 8 * 1024 * 1024


class EngineClient:
    """One connection pool to one engine. Use it as an async context manager, or `close` it."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> EngineClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def runs(self) -> tuple[RunLine, ...]:
        """List the runs that this engine holds."""
        lines: tuple[RunLine, ...] = decode_value(tuple[RunLine, ...], await self._get("/runs"))
        return lines

    async def run(self, run_id: str) -> RemoteRun:
        """Open one of them. Raises UsageError when it has no such run."""
        if run_id not in {line.run_id for line in await self.runs()}:
            raise UsageError(run_id, "is not a run of this engine", "`llmtop runs` lists them")
        return RemoteRun(self, run_id)

    async def close(self) -> None:
        """Close the connections; the engine goes on."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str) -> Any:
        return await self._call("GET", path, None)

    async def _call(self, method: str, path: str, body: object | None) -> Any:
        """Return the parsed answer; None for 404. Raises StateError when the engine does not answer."""
        data = None if body is None else encode(body)
        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            async with self.session.request(method, _BASE + path, data=data, timeout=timeout) as answer:
                if answer.status == 404:
                    return None
                parsed = await answer.json(content_type=None)
                if answer.status >= 400:
                    raise UsageError(path, str(parsed.get("error", answer.status)))
                return parsed
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _gone(self.socket, error) from error

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, opened at the first use (it needs a running loop)."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket)))
        return self._session


class RemoteRun:
    """One run of an engine in another process; a `RunDoor`."""

    def __init__(self, engine: EngineClient, run_id: str) -> None:
        self.run_id = run_id
        self._engine = engine

    async def snapshot(self) -> Snapshot:
        """Return the state now."""
        snapshot: Snapshot = decode_value(Snapshot, await self._call("GET", "/snapshot"))
        return snapshot

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now and on every tick; ends when the engine closes the stream.

        Raises StateError when the engine cannot be reached or breaks off.
        """
        url = f"{_BASE}/runs/{self.run_id}/stream?interval={interval_s:g}"
        try:
            async with self._engine.session.ws_connect(url, max_msg_size=_MAX_MESSAGE, compress=0) as stream:
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield decode(Snapshot, message.data)
                if stream.close_code not in (1000, 1001):
                    raise StateError(str(self._engine.socket), "the engine broke off the stream")
        except (aiohttp.ClientError, OSError) as error:
            raise _gone(self._engine.socket, error) from error

    async def command(self, command: Command) -> Acknowledgement:
        """Do what is asked, all or nothing."""
        acknowledgement: Acknowledgement = decode_value(
            Acknowledgement, await self._call("POST", "/commands", command)
        )
        return acknowledgement

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items."""
        page: ItemPage = decode_value(ItemPage, await self._call("POST", "/items", query))
        return page

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item, or None where there is no such id."""
        found = await self._engine._call("POST", f"/runs/{self.run_id}/item", {"id": item_id})
        return None if found is None else decode_value(ItemDetail, found)

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        found = await self._call("GET", f"/decisions?limit={limit}")
        decisions: tuple[Decision, ...] = decode_value(tuple[Decision, ...], found)
        return decisions

    async def close(self) -> None:
        """Let go of the run and of its engine's connections; the run goes on."""
        await self._engine.close()

    async def _call(self, method: str, path: str, body: object | None = None) -> Any:
        found = await self._engine._call(method, f"/runs/{self.run_id}{path}", body)
        if found is None:
            raise UsageError(self.run_id, "is not a run of this engine any more")
        return found


async def wait_for_engine(socket: Path, timeout_s: float) -> EngineClient:
    """Return a client once the engine accepts commands. Raises StateError after `timeout_s`."""
    client = EngineClient(socket)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            await client.runs()
            return client
        except StateError:
            if loop.time() > deadline:
                await client.close()
                raise
            await asyncio.sleep(0.02)


def _gone(socket: Path, error: BaseException) -> LlmtopError:
    reason = "does not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
    return StateError(str(socket), f"the engine {reason}", "`llmtop runs` shows which engines live")
