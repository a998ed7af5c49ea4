"""The ledger of one run: the truth about it, and the door through which its owner writes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from llmtop.adapters.ledger.connection import (
    DATABASE_NAME,
    create_database,
    in_words,
    open_database,
    read_database,
)
from llmtop.adapters.ledger.files import make_private_folder, refuse_network_file_system
from llmtop.adapters.ledger.intake import ItemPlace, add_items
from llmtop.adapters.ledger.jobs import (
    Pending,
    read_jobs,
    read_open_ids,
    read_open_lines,
    read_open_reserved,
    read_pending,
)
from llmtop.adapters.ledger.lock import RunLock
from llmtop.adapters.ledger.output import Output
from llmtop.adapters.ledger.past import read_last_sent, read_past
from llmtop.adapters.ledger.records import Entry, RunRecord, Totals
from llmtop.adapters.ledger.requeue import renew_record, requeue
from llmtop.adapters.ledger.totals import (
    count_totals,
    insert_record,
    read_counts,
    read_plan,
    read_record,
    save_totals,
)
from llmtop.adapters.ledger.writer import Callback, Writer
from llmtop.batch_jobs import BatchRecord, OpenLine
from llmtop.errors import LlmtopError, StateError
from llmtop.model import ItemPast, ItemStatus, RunCounts

_CLOSE_PATIENCE_S = 5.0  # for a database that somebody else has locked: a polite stop has 10 s in all


class Ledger:
    """One run's database, its output files and its lock, owned until `close`.

    Before `start` it is used from one thread and writes at once (`add_items`, `requeue`). After
    `start` one thread of its own writes; `put` and `flush` belong to the event loop, reads may come
    from anywhere. `close` writes what is queued and lets go of the lock; a process that dies
    instead loses nothing whose `on_commit` was called.
    """

    def __init__(
        self, folder: Path, lock: RunLock, connection: sqlite3.Connection, *, is_output_left: bool = False
    ) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self.path = folder / DATABASE_NAME
        self.notices: tuple[str, ...] = ()
        """What was found and mended when it was opened, one sentence each."""
        self._lock = lock
        self._connection = connection
        self._writer: Writer | None = None
        self._is_closed = False
        self._reader = read_database(self.path)
        self._is_output_left = is_output_left
        record = self.record
        self._output = (
            Output(None, None) if is_output_left else Output(record.output_path, record.rejected_path)
        )

    def __repr__(self) -> str:
        return f"Ledger({self.folder.name}, backlog={self.backlog}, failure={self.failure})"

    @classmethod
    def create(cls, folder: Path, record: RunRecord) -> Ledger:
        """Make the folder (0700) and a new ledger in it, and own the run.

        The output files are not touched before `add_items` has come to its end: an input that turns
        out to be faulty leaves everything as it was.

        Raises StateError (cannot be written, network file system, a ledger is there) or RunOwned.
        """
        make_private_folder(folder)
        refuse_network_file_system(folder)
        lock = RunLock(folder)
        try:
            connection = create_database(folder / DATABASE_NAME, lambda new: insert_record(new, record))
            ledger = cls._owned(folder, lock, connection, is_new=True)
        except BaseException:
            lock.release()
            raise
        return ledger

    @classmethod
    def open(cls, folder: Path, renewed: RunRecord | None = None, *, is_output_left: bool = False) -> Ledger:
        """Own a run that exists: check its database, mend its output files, settle what a crash left open.

        `renewed`: how it is started this time; config, source, output files and prices are taken from it.
        `is_output_left`: output files are not touched: it is for a note only (no result, no `requeue`).

        Raises StateError (damaged, newer, unwritable) or RunOwned.
        """
        refuse_network_file_system(folder)
        if not folder.is_dir():
            raise StateError(str(folder), "is not there", "`llmtop runs` lists the runs")
        lock = RunLock(folder)
        try:
            connection = open_database(folder / DATABASE_NAME)
            ledger = cls._owned(folder, lock, connection, renewed=renewed, is_output_left=is_output_left)
        except BaseException:
            lock.release()
            raise
        return ledger

    @property
    def record(self) -> RunRecord:
        """The run as it stands in the ledger."""
        with in_words(self.path):
            record = read_record(self._reader)
        if record is None:
            raise StateError(str(self.path), "is damaged: it holds no run", "restore it from a backup")
        return record

    @property
    def backlog(self) -> int:
        """Results put and not yet committed."""
        return self._writer.backlog if self._writer else 0

    @property
    def failure(self) -> LlmtopError | None:
        """Why nothing can be written any more, if so."""
        return self._writer.failure if self._writer else None

    def add_items(self, items: Iterable[ItemPlace]) -> int:
        """Store the run's items, before `start`, then open its output files; return how many.

        Raises InputError (an id twice) or StateError.
        """
        with in_words(self.path):
            count = add_items(self._connection, items, self.record.source_path)
        self._take_over()
        return count

    def expect(self, plan: Mapping[str, Any]) -> None:
        """Note what the run is expected to take, before `start`."""
        with in_words(self.path):
            self._connection.execute("UPDATE run SET plan = ?", (json.dumps(dict(plan)),))

    def plan(self) -> dict[str, Any] | None:
        """Return what the run was expected to take; None: it is not known."""
        with in_words(self.path):
            return read_plan(self._reader)

    def identify(self, fingerprint: str, parts: Mapping[str, str]) -> None:
        """Note what makes this run this run, before `start`: it is known once the input was read."""
        with in_words(self.path):
            self._connection.execute(
                "UPDATE run SET fingerprint = ?, fingerprint_parts = ?",
                (fingerprint, json.dumps(dict(parts), sort_keys=True)),
            )

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_trouble: Callable[[str | None], None],
        on_failure: Callable[[LlmtopError], None],
    ) -> None:
        """Start the writer's thread. The three callables' contract is `Writer`'s."""
        if self._writer is not None:
            raise AssertionError("a ledger is started once")
        self._writer = Writer(self._connection, self.path, self._output, loop, on_trouble, on_failure)
        self._writer.start()

    def put(self, entry: Entry, on_commit: Callback | None = None) -> None:
        """Queue an entry; `on_commit` is called in the event loop once it is on the disk.

        An item's second result is dropped: the first stays. After a failure entries are dropped.
        """
        if self._writer is None:
            raise AssertionError("start the ledger before the first put")
        self._writer.put(entry, on_commit)

    async def flush(self) -> None:
        """Wait until everything put before is on the disk. Raises what `on_failure` was told."""
        if self._writer is not None:
            await asyncio.wrap_future(self._writer.call(lambda _: None))

    def requeue(self, statuses: Sequence[ItemStatus], ids: Sequence[str] | None = None) -> int:
        """Take results out, so that their items are pending again; return how many. Waits for the disk.

        With `ids` only those of them. Attempts and costs stay. Raises UsageError for an unknown id.
        """
        return self.requeue_soon(statuses, ids).result().total

    def requeue_soon(
        self, statuses: Sequence[ItemStatus], ids: Sequence[str] | None = None
    ) -> Future[RunCounts]:
        """As `requeue`, without waiting: `await asyncio.wrap_future(...)` in the event loop.

        Counts what was taken out by what it had come to; `total` is the sum.
        """

        def work(connection: sqlite3.Connection) -> RunCounts:
            with in_words(self.path):
                return requeue(connection, self._output, statuses, ids)

        if self._writer is not None:
            return self._writer.call(work)
        future: Future[RunCounts] = Future()
        try:
            future.set_result(work(self._connection))
        except LlmtopError as error:
            future.set_exception(error)
        return future

    def pending(self, after_seq: int, limit: int, which: Pending = "all") -> list[int]:
        """Return the next items without a result behind `after_seq` (-1: from the first), ascending."""
        with in_words(self.path):
            return read_pending(self._reader, after_seq, limit, which)

    def jobs(self, *, is_open_only: bool = False) -> tuple[BatchRecord, ...]:
        """Return the run's batch jobs, oldest first."""
        with in_words(self.path):
            return read_jobs(self._reader, is_open_only=is_open_only)

    def open_ids(self, number: int, after: str, limit: int) -> list[str]:
        """Return the next custom_ids of a job's open requests behind `after`, ascending."""
        with in_words(self.path):
            return read_open_ids(self._reader, number, after, limit)

    def open_lines(self, number: int, custom_ids: Sequence[str]) -> list[OpenLine]:
        """Return the items of these requests of a job, as far as they have come to nothing yet."""
        with in_words(self.path):
            return read_open_lines(self._reader, number, custom_ids)

    def open_reserved(self, number: int) -> int:
        """Return what is still set aside for a job's open requests."""
        with in_words(self.path):
            return read_open_reserved(self._reader, number)

    def places(self, seqs: Sequence[int]) -> list[ItemPlace]:
        """Return where in the input these items stand, in the order of `seqs`."""
        with in_words(self.path):
            return [
                self._reader.execute(
                    "SELECT seq, id, line, byte_offset FROM items WHERE seq = ?", (seq,)
                ).fetchone()
                for seq in seqs
            ]

    def past(self, seq: int) -> ItemPast | None:
        """Return what this item went through so far, over all starts; None: it was never sent."""
        with in_words(self.path):
            return read_past(self._reader, seq)

    def last_sent(self) -> int:
        """Return the highest seq that was ever sent; -1: none was."""
        with in_words(self.path):
            return read_last_sent(self._reader)

    def counts(self) -> RunCounts:
        """Count items by what they came to."""
        with in_words(self.path):
            return read_counts(self._reader)

    def totals(self) -> Totals:
        """Count everything, over all starts: what the live counters begin with."""
        with in_words(self.path):
            return count_totals(self._reader)

    def close(self) -> None:
        """Write what is queued, leave database and output files in order, let go of the run.

        Raises what made writing fail, after letting go. Safe to call twice.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._writer is not None:
                self._writer.stop(_CLOSE_PATIENCE_S)
            if self.failure is not None:
                raise self.failure
            self._settle()
        finally:
            self._output.close()
            self._reader.close()
            self._connection.close()
            self._lock.release()

    @classmethod
    def _owned(
        cls,
        folder: Path,
        lock: RunLock,
        connection: sqlite3.Connection,
        *,
        renewed: RunRecord | None = None,
        is_new: bool = False,
        is_output_left: bool = False,
    ) -> Ledger:
        try:
            if renewed is not None:
                with in_words(folder / DATABASE_NAME):
                    renew_record(connection, renewed)
            ledger = cls(folder, lock, connection, is_output_left=is_output_left)
            if not is_new:
                ledger._take_over()
        except BaseException:
            connection.close()
            raise
        return ledger

    def _take_over(self) -> None:
        """Settle what the last owner left: output files, attempts without an end, saved counters."""
        connection = self._connection
        with in_words(self.path):
            (output_state,) = connection.execute("SELECT output_state FROM run").fetchone()
            notices = self._output.restore(
                connection, is_clean=output_state == "settled", is_ours=output_state == "rewrite"
            )
            connection.execute("BEGIN IMMEDIATE")
            lost = connection.execute(
                "UPDATE attempts SET is_maybe_billed = 1 WHERE ended_at IS NULL AND is_maybe_billed = 0"
            ).rowcount
            connection.execute("UPDATE run SET totals = NULL")
            if not self._is_output_left:
                connection.execute("UPDATE run SET output_state = 'open'")
            connection.execute("COMMIT")
        if lost:
            notices += (f"{lost} requests were cut off by the last stop: possibly billed, and asked again",)
        self.notices = notices

    def _settle(self) -> None:
        with in_words(self.path):
            (output_state,) = self._connection.execute("SELECT output_state FROM run").fetchone()
            if output_state == "rewrite" and not self._is_output_left:
                self._output.rewrite(self._connection)
            self._output.settle(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            save_totals(self._connection)
            if not self._is_output_left:
                self._connection.execute("UPDATE run SET output_state = 'settled'")
            self._connection.execute("COMMIT")
            self._reader.close()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
