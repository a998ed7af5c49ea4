"""A run that nobody runs: looked at, and steered, through its ledger."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from llmtop.adapters.ledger.intake import ItemPlace
from llmtop.adapters.ledger.ledger import Ledger
from llmtop.adapters.ledger.lock import owner_pid
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import CommandRecord, RunRecord, StateChange
from llmtop.adapters.ledger.requeue import retry_choice
from llmtop.batch_jobs import BatchRecord
from llmtop.control.archive_view import archive_filters, archive_snapshot
from llmtop.errors import LlmtopError, UsageError
from llmtop.listing import ItemDetail, ItemPage, ItemQuery, JobDetail
from llmtop.model import Acknowledgement, Change, Command, Decision, RunCounts
from llmtop.snapshot import FilterView, RunState, Snapshot

T = TypeVar("T")
PromptOf = Callable[[ItemPlace], tuple[tuple[dict[str, Any], ...] | None, str]]
"""(seq, id, line, byte offset in the input) -> (messages as they were sent, or None; a note)."""

_REFUSED = "nobody runs this run: `llmtop run` with its config goes on with it"
_SET_REFUSED = "nobody runs this run: change its config file, or use `llmtop run CONFIG --set KEY=VALUE`"


class ArchivedRun:
    """The door (`control.protocol.RunDoor`) to a run without an engine.

    A command owns the run while it is obeyed.
    """

    def __init__(self, folder: Path, prompt_of: PromptOf | None) -> None:
        """Open the run in `folder`; `prompt_of` renders prompts again from the input. Raises StateError."""
        self.run_id = folder.name
        self._folder = folder
        self._prompt_of = prompt_of
        self._reader = LedgerReader(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._version = 1
        self._known: tuple[RunCounts, tuple[FilterView, ...], tuple[BatchRecord, ...]] | None = None
        self._closed = asyncio.Event()

    async def snapshot(self) -> Snapshot:
        """Return the run as its ledger has it."""
        owner, now = owner_pid(self._folder), time.time()
        return await self._read(
            lambda: archive_snapshot(self._reader, owner, self._version, now, *self._slow_to_read())
        )

    def _slow_to_read(self) -> tuple[tuple[FilterView, ...], tuple[BatchRecord, ...]]:
        """Return what the filters did, and the batch jobs: read again only when there are other results."""
        counts = self._reader.counts()
        if self._known is None or self._known[0] != counts:
            self._known = (counts, archive_filters(self._reader), self._reader.jobs())
        return self._known[1:]

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now and on every tick, until `close`."""
        while not self._closed.is_set():
            yield await self.snapshot()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), interval_s)

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items."""
        return await self._read(lambda: self._reader.items(query))

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item, its prompt rendered again where the input can still be read."""
        return await self._read(lambda: self._detail(item_id))

    def _detail(self, item_id: str) -> ItemDetail | None:
        detail = self._reader.item(item_id)
        if detail is None or self._prompt_of is None:
            return detail
        messages, note = self._prompt_of(self._reader.place(detail.row.seq))
        return dataclasses.replace(detail, messages=messages, messages_note=note)

    async def job(self, number: int) -> JobDetail | None:
        """Return what the requests of a batch job came to, or None where there is no such job."""
        return await self._read(lambda: self._reader.job(number))

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        return await self._read(lambda: self._reader.decisions(limit))

    async def command(self, command: Command) -> Acknowledgement:
        """Do what can be done without an engine: pause, resume, cancel, retry."""
        if command.verb == "set":
            return Acknowledgement(False, _SET_REFUSED, version=self._version)
        if command.verb in ("stop", "stop_now", "cancel_job", "look_up"):
            state = self._reader.record().state
            refused = f"has ended: {state}" if state in ("finished", "cancelled") else _REFUSED
            return Acknowledgement(False, refused, version=self._version)
        try:
            ledger = Ledger.open(self._folder, is_output_left=command.verb != "retry")
        except LlmtopError as error:
            return Acknowledgement(False, str(error), version=self._version)
        try:
            acknowledgement = await self._obey(ledger, command)
        except LlmtopError as error:
            acknowledgement = Acknowledgement(False, str(error), version=self._version)
        finally:
            ledger.close()
        return acknowledgement

    async def close(self) -> None:
        """Let go of the ledger."""
        self._closed.set()
        self._thread.submit(self._reader.close)
        self._thread.shutdown(wait=False)

    async def _read(self, look: Callable[[], T]) -> T:
        """Read in a thread of its own: a long list holds up no screen."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, look)

    async def _obey(self, ledger: Ledger, command: Command) -> Acknowledgement:
        record = ledger.record
        ledger.start(asyncio.get_running_loop(), lambda _: None, lambda _: None)
        if command.verb == "retry":
            message, changes, state = await self._retry(ledger, record, command)
        else:
            _check_jobs(ledger, record, command)
            message, changes, state = _steer(record, command)
        if command.is_dry_run:
            return Acknowledgement(True, f"would do: {message}", changes, self._version)
        if state is not None:
            ledger.put(state)
        ledger.put(CommandRecord(time.time(), command.verb, command.origin, True, message, command.values))
        await ledger.flush()
        self._version += 1
        return Acknowledgement(True, message, changes, self._version)

    async def _retry(
        self, ledger: Ledger, record: RunRecord, command: Command
    ) -> tuple[str, tuple[Change, ...], StateChange | None]:
        statuses, ids = retry_choice(command.values)
        if command.is_dry_run:
            return f"put {' and '.join(statuses)} items back in the queue", (), None
        pending = ledger.counts().pending
        count = (await asyncio.wrap_future(ledger.requeue_soon(statuses, ids))).total
        if not count:
            return "no item to put back", (), None
        change = Change("pending", str(pending), str(pending + count))
        state = StateChange(at=time.time(), state="stopped", detail=f"{count} items put back")
        return f"{count} items put back; `llmtop run` asks them again", (change,), state


def _check_jobs(ledger: Ledger, record: RunRecord, command: Command) -> None:
    """A cancelled run is not gone on with: its jobs at the provider must be ended by an engine first."""
    jobs = ledger.jobs(is_open_only=True)
    if command.verb == "cancel" and jobs:
        raise UsageError(
            f"run {record.id}",
            f"has {len(jobs)} open batch jobs, and nobody is here to end them at the provider",
            "go on with `llmtop run`, and cancel it then",
        )


def _steer(record: RunRecord, command: Command) -> tuple[str, tuple[Change, ...], StateChange | None]:
    """Return what a pause, resume or cancel comes to; raise UsageError where it makes no sense."""
    if record.state in ("finished", "cancelled"):
        raise UsageError(
            f"run {record.id}", f"is {record.state}", "`llmtop retry` puts items back in the queue"
        )
    now = time.time()
    if command.verb == "cancel":
        state = StateChange(at=now, state="cancelled", detail="by the operator", is_paused=False, exit_code=8)
        return "cancelled; what is finished stays", (Change("state", record.state, "cancelled"),), state
    is_paused = command.verb in ("pause", "hold")
    if is_paused == record.is_paused:
        return "is paused already" if is_paused else "is not paused; `llmtop run` goes on with it", (), None
    new: RunState = "paused" if is_paused else "stopped"
    state = StateChange(at=now, state=new, is_paused=is_paused, exit_code=record.exit_code)
    message = "paused: holds over restarts" if is_paused else "no longer paused; `llmtop run` goes on with it"
    return message, (Change("state", record.state, new),), state
