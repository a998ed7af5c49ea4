"""The door over an engine's Unix socket: snapshots, commands and pages of a run that lives elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from llmtop.control.codec import decode, decode_value, encode
from llmtop.control.faults import from_words
from llmtop.control.protocol import ItemDetail, ItemPage, ItemQuery, JobDetail
from llmtop.errors import StateError, UsageError
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import RunLine, Snapshot

_BASE = "http://engine/v1"
_TIMEOUT_S = 10.0
_MAX_MESSAGE = 8 * 1024 * 1024
_POLITE = (1000, 1001)


class NotFound(UsageError):
    """The engine has no such run, item or answer."""


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
        lines: tuple[RunLine, ...] = await self.ask("GET", "/runs", tuple[RunLine, ...])
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

    async def ask(self, method: str, path: str, kind: Any, body: object | None = None) -> Any:
        """Return the answer as a value of `kind`.

        Raises NotFound for a 404, the fault that the engine reports, and StateError when it does not
        answer, or in words that this version does not know.
        """
        data = None if body is None else encode(body)
        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            async with self.session.request(method, _BASE + path, data=data, timeout=timeout) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _gone(self.socket, error) from error
        try:
            if status >= 400:
                words = decode_value(dict, orjson.loads(text))
                raise NotFound(path, str(words.get("error"))) if status == 404 else from_words(words)
            return decode(kind, text)
        except ValueError as error:
            raise _foreign(self.socket, error) from error

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
        snapshot: Snapshot = await self._ask("GET", "snapshot", Snapshot)
        return snapshot

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now and on every tick; ends when the engine closes the stream.

        Raises StateError when the engine cannot be reached or breaks off.
        """
        url = f"{_BASE}/runs/{self.run_id}/stream?interval={interval_s:g}"
        socket = self._engine.socket
        try:
            async with self._engine.session.ws_connect(url, max_msg_size=_MAX_MESSAGE, compress=0) as stream:
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield _understood(socket, message.data)
                if stream.close_code not in _POLITE:
                    raise StateError(str(socket), "the engine broke off the stream")
        except (aiohttp.ClientError, OSError) as error:
            raise _gone(socket, error) from error

    async def command(self, command: Command) -> Acknowledgement:
        """Do what is asked, all or nothing."""
        done: Acknowledgement = await self._ask("POST", "commands", Acknowledgement, command)
        return done

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items."""
        page: ItemPage = await self._ask("POST", "items", ItemPage, query)
        return page

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item, or None where there is no such id."""
        try:
            found: ItemDetail = await self._ask("POST", "item", ItemDetail, {"id": item_id})
        except NotFound:
            return None
        return found

    async def job(self, number: int) -> JobDetail | None:
        """Return what the requests of a batch job came to, or None where there is no such job."""
        try:
            found: JobDetail = await self._ask("POST", "job", JobDetail, {"number": number})
        except NotFound:
            return None
        return found

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        found: tuple[Decision, ...] = await self._ask("GET", f"decisions?limit={limit}", tuple[Decision, ...])
        return found

    async def close(self) -> None:
        """Let go of the run and of its engine's connections; the run goes on."""
        await self._engine.close()

    async def _ask(self, method: str, what: str, kind: Any, body: object | None = None) -> Any:
        return await self._engine.ask(method, f"/runs/{self.run_id}/{what}", kind, body)


def _understood(socket: Path, text: str) -> Snapshot:
    try:
        return decode(Snapshot, text)
    except ValueError as error:
        raise _foreign(socket, error) from error


def _gone(socket: Path, error: BaseException) -> StateError:
    reason = "does not answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
    return StateError(str(socket), f"the engine {reason}", "`llmtop runs` shows which engines live")


def _foreign(socket: Path, error: ValueError) -> StateError:
    return StateError(
        str(socket),
        f"the engine answers in words of another version ({error})",
        "use the version that runs it",
    )
