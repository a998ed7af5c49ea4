"""The door to a run of this process: what the socket's server and an embedding program hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from llmtop.adapters.ledger import LedgerReader
from llmtop.engine import Engine
from llmtop.errors import UsageError
from llmtop.listing import ItemDetail, ItemPage, ItemQuery, JobDetail
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.run.prompts import prompt_of
from llmtop.snapshot import RunLine, Snapshot

T = TypeVar("T")

_SOONEST_S = 0.05
"""Between a change and its snapshot: a burst of changes is one picture."""


class LocalRun:
    """One run of an engine in this process; a `RunDoor`.

    The ledger and the input are read in a thread of its own: no page of items holds up the engine.
    """

    def __init__(self, engine: Engine, run_id: str) -> None:
        self.run_id = run_id
        self._engine = engine
        self._run = engine.runs[run_id]
        self._reader: LedgerReader | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pages")

    async def snapshot(self) -> Snapshot:
        """Return the state now."""
        return self._engine.snapshot(self.run_id)

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now, at every tick, and soon after every change; ends with the engine."""
        while True:
            is_last = self._engine.is_closed
            changed = self._run.changed
            yield self._engine.snapshot(self.run_id)
            if is_last:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await changed.wait()
                    await asyncio.sleep(_SOONEST_S)

    async def command(self, command: Command) -> Acknowledgement:
        """Do what is asked, all or nothing."""
        if self._engine.is_ending:
            return Acknowledgement(False, "the engine is ending", version=self._run.version)
        return await self._run.command(command)

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items; those in flight are named so."""
        page = await self._read(lambda ledger: ledger.items(query))
        flights = self._run.parts.submitter.flights.values()
        flying = {member.item.seq for flight in flights for member in flight.work.members}
        rows = tuple(
            replace(row, state="in_flight") if row.seq in flying and row.state == "pending" else row
            for row in page.rows
        )
        return replace(page, rows=rows)

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item with its prompt, or None where there is no such id."""
        return await self._read(lambda ledger: self._detail(ledger, item_id))

    def _detail(self, ledger: LedgerReader, item_id: str) -> ItemDetail | None:
        detail = ledger.item(item_id)
        if detail is None:
            return None
        messages, note = prompt_of(self._run.config, self._run.ledger.folder, ledger.place(detail.row.seq))
        return replace(detail, messages=messages, messages_note=note)

    async def job(self, number: int) -> JobDetail | None:
        """Return what the requests of a batch job came to, or None where there is no such job."""
        return await self._read(lambda ledger: ledger.job(number))

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        return await self._read(lambda ledger: ledger.decisions(limit))

    async def close(self) -> None:
        """Let go of the run; it goes on. Safe to call twice."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, reader.close)

    async def _read(self, look: Callable[[LedgerReader], T]) -> T:
        def work() -> T:
            if self._reader is None:
                self._reader = LedgerReader(self._run.ledger.folder)
            return look(self._reader)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class LocalEngine:
    """The runs of an engine in this process; an `EngineDoor`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def runs(self) -> tuple[RunLine, ...]:
        """List the runs."""
        return self._engine.lines()

    async def run(self, run_id: str) -> LocalRun:
        """Open one of them. Raises UsageError when there is no such run."""
        if run_id not in self._engine.runs:
            raise UsageError(run_id, "is not a run of this engine", "`llmtop runs` lists them")
        return LocalRun(self._engine, run_id)
