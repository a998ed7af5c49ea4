"""Open doors to runs wherever they live, without the engine: what a viewer imports.

The HTTP client and the ledger's writer are imported when a door needs them: a screen paints first,
and a viewer of a live run never holds the archive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from llmtop.adapters.home import Home
from llmtop.control.protocol import ItemDetail, ItemPage, ItemQuery, JobDetail, RunDoor
from llmtop.errors import StateError
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import Snapshot


async def open_run(home: Home, ref: str) -> RunDoor:
    """Open a run: through its live engine's socket, else from its ledger. Raises UsageError, StateError."""
    found = home.resolve(ref)
    record = home.engine_of(found.run_id)
    if record is not None:
        from llmtop.control.client import EngineClient, RemoteRun  # aiohttp: not needed for a finished run

        client = EngineClient(Path(record.socket))
        try:
            await client.runs()
            return RemoteRun(client, found.run_id)
        except StateError:
            await client.close()
            if home.owner_pid(found.run_id) is not None:
                raise
    from llmtop.control.archive import ArchivedRun  # not needed for a live run

    return ArchivedRun(found.folder, _prompts(found.folder))


class RunAhead:
    """A `RunDoor` that is there before the run is opened, and opens it again when its engine has gone.

    So a screen can paint before it connects; and what it shows stays readable, from the ledger, when
    the engine dies. Every method raises what opening raises.
    """

    def __init__(self, run_id: str, open_door: Callable[[], Awaitable[RunDoor]]) -> None:
        self.run_id = run_id
        self._open = open_door
        self._door: RunDoor | None = None
        self._opening = asyncio.Lock()

    async def snapshot(self) -> Snapshot:
        """Return the state now."""
        return await (await self._opened()).snapshot()

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now and on every tick; what it was opened for is found anew at the next call."""
        door = await self._opened()
        try:
            async for snapshot in door.snapshots(interval_s):
                yield snapshot
        finally:
            if self._door is door:
                self._door = None
            await door.close()

    async def command(self, command: Command) -> Acknowledgement:
        """Do what is asked, all or nothing."""
        return await (await self._opened()).command(command)

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items."""
        return await (await self._opened()).items(query)

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item, or None where there is no such id."""
        return await (await self._opened()).item(item_id)

    async def job(self, number: int) -> JobDetail | None:
        """Return what the requests of a batch job came to, or None where there is no such job."""
        return await (await self._opened()).job(number)

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        return await (await self._opened()).decisions(limit)

    async def close(self) -> None:
        """Let go of the run; it goes on."""
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    async def _opened(self) -> RunDoor:
        async with self._opening:
            if self._door is None:
                self._door = await self._open()
            return self._door


def _prompts(
    folder: Path,
) -> Callable[[tuple[int, str, int, int]], tuple[tuple[dict[str, Any], ...] | None, str]]:
    def render(place: tuple[int, str, int, int]) -> tuple[tuple[dict[str, Any], ...] | None, str]:
        from llmtop.adapters.ledger import LedgerReader
        from llmtop.config.effective import from_record
        from llmtop.run.prompts import prompt_of  # the template and the sources: for whoever opens an item

        with LedgerReader(folder) as reader:
            config = from_record(reader.record().config)
        return prompt_of(config, folder, place)

    return render
