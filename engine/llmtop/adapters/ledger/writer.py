"""The one thread that writes to a run's database: entries in by a queue, out in group commits.

A lone entry is committed at once; while entries keep coming they are gathered for some
milliseconds. The event loop never waits for the disk. One exception: while the loop is busy
without a pause, Python hands the interpreter lock to this thread so rarely that answers would
wait for seconds (measured at 6,000 answers/s and a loop that never waits: half of them 1.4 s and
more; with it 0.15 s at the longest), so `put` then gives way for some milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmtop.adapters.ledger.batch import Batch
from llmtop.adapters.ledger.connection import is_locked, state_error
from llmtop.adapters.ledger.output import Output
from llmtop.adapters.ledger.records import BatchLine, Entry, Finish
from llmtop.errors import LlmtopError, StateError

ROWS_AT_MOST = 500
"""Entries in one transaction."""

_GATHER_S = 0.01  # between two transactions while entries keep coming
_LATE_S = 0.05  # an entry that waits longer makes `put` give way
_GIVE_WAY_S = 0.005  # for so long at most ...
_BREATH_S = 0.01  # ... and then not again for so long
_TROUBLE_AFTER_S = 3.0  # a lock held for so long is told to the operator

Callback = Callable[[], None]


class _Job:
    """Something to do between two transactions, in the writer's thread."""

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.future.set_result(self.work(connection))
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.future.set_exception(error)


class Writer:
    """Owns the write connection from `start` until `stop`.

    `on_trouble(sentence)` tells that another process holds the database, `on_trouble(None)` that it
    let go. `on_failure(error)` is called once when nothing can be written any more; entries put
    later are dropped, and `flush` raises. Both, and the callbacks of `put`, run in the event loop.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        output: Output,
        loop: asyncio.AbstractEventLoop,
        on_trouble: Callable[[str | None], None],
        on_failure: Callable[[LlmtopError], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._output = output
        self._loop = loop
        self._on_trouble = on_trouble
        self._on_failure = on_failure
        self._queue: deque[tuple[Entry | _Job, Callback | None]] = deque()
        self._job: _Job | None = None
        self._wake = threading.Event()
        self._turn = threading.Event()
        self._is_asleep = False
        self._is_hurried = False
        self._is_blocked = False
        self._give_up_at: float | None = None
        self._oldest = self._gave_way = self._last_commit = time.monotonic()
        self._results_put = 0
        self._results_kept = 0
        self.failure: LlmtopError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)

    @property
    def backlog(self) -> int:
        """Results put and not yet committed."""
        return self._results_put - self._results_kept

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, entry: Entry | _Job, on_commit: Callback | None = None) -> None:
        """Queue an entry; call `on_commit` in the event loop when it is on the disk."""
        if self.failure is not None:
            return
        now = time.monotonic()
        if not self._queue:
            self._oldest = now
        self._results_put += _results_of(entry)
        self._queue.append((entry, on_commit))
        if self._is_asleep:
            self._is_asleep = False
            self._wake.set()
        elif now - self._oldest > _LATE_S and now - self._gave_way > _BREATH_S and not self._is_blocked:
            self._turn.clear()
            self._turn.wait(_GIVE_WAY_S)
            self._gave_way = time.monotonic()

    def call(self, work: Callable[[sqlite3.Connection], Any]) -> Future[Any]:
        """Do `work` after all that was put before, at once and in this thread; return its future."""
        job = _Job(work)
        if self.failure is not None or not self._thread.is_alive():
            job.future.set_exception(self.failure or StateError(str(self._path), "is closed"))
            return job.future
        self._is_hurried = True
        self.put(job)
        self._wake.set()
        if self.failure is not None and not job.future.done():  # it failed between the two lines above
            with contextlib.suppress(InvalidStateError):
                job.future.set_exception(self.failure)
        return job.future

    def stop(self, patience_s: float) -> None:
        """Write what is queued, then end the thread; give up on a locked database after `patience_s`."""
        self._give_up_at = time.monotonic() + patience_s
        if self._thread.is_alive():
            with contextlib.suppress(LlmtopError):
                self.call(lambda _: _end_thread()).exception()
            self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                batch, self._job = self._take()
                if batch:
                    self._keep(batch)
                if self._job is not None and not self._do(self._job):
                    return
        except LlmtopError as error:
            self._fail(error)
        except sqlite3.Error as error:
            self._fail(state_error(self._path, error))
        except Exception as error:  # a bug must end the run loudly, not one thread in silence
            self._fail(LlmtopError("ledger", f"{type(error).__name__}: {error}", "please report this"))

    def _do(self, job: _Job) -> bool:
        try:
            job.run(self._connection)
        finally:
            self._is_hurried = False
        return not isinstance(job.future.exception(), _Ended)

    def _take(self) -> tuple[list[tuple[Entry, Callback | None]], _Job | None]:
        """Wait for entries; return up to a transaction of them, or those before the next job and that job."""
        queue = self._queue
        while not queue:
            self._is_asleep = True
            if not queue:
                self._wake.wait()
            self._is_asleep = False
            self._wake.clear()
        rest_s = self._last_commit + _GATHER_S - time.monotonic()
        if rest_s > 0 and not self._is_hurried:
            self._wake.wait(rest_s)
        self._wake.clear()
        taken: list[tuple[Entry, Callback | None]] = []
        while queue and len(taken) < ROWS_AT_MOST:
            entry, on_commit = queue.popleft()
            if isinstance(entry, _Job):
                return taken, entry
            taken.append((entry, on_commit))
        self._oldest = time.monotonic()
        return taken, None

    def _keep(self, taken: list[tuple[Entry, Callback | None]]) -> None:
        batch = Batch([entry for entry, _ in taken], self._output)
        try:
            self._commit(batch)
        except sqlite3.IntegrityError:
            batch = Batch(self._without_repeats([entry for entry, _ in taken]), self._output)
            self._commit(batch)
        self._results_kept += sum(_results_of(entry) for entry, _ in taken)
        try:
            batch.append_lines()
        finally:
            self._turn.set()
            self._tell([on_commit for _, on_commit in taken if on_commit is not None])

    def _without_repeats(self, entries: list[Entry]) -> list[Entry]:
        """Drop results of items that have one: an accepted result never changes."""
        kept: list[Entry] = []
        seen: set[int] = set()

        def is_new(seq: int) -> bool:
            select = "SELECT 1 FROM results WHERE seq = ?"
            if seq in seen or self._connection.execute(select, (seq,)).fetchone():
                return False
            seen.add(seq)
            return True

        for entry in entries:
            if isinstance(entry, BatchLine):
                kept.append(replace(entry, results=[each for each in entry.results if is_new(each.seq)]))
            elif not isinstance(entry, Finish) or is_new(entry.result.seq):
                kept.append(entry)
            elif entry.end is not None:
                kept.append(entry.end)
        return kept

    def _commit(self, batch: Batch) -> None:
        began = time.monotonic()
        is_told = False
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                batch.write(self._connection)
                self._connection.execute("COMMIT")
                break
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                now = time.monotonic()
                if not is_locked(error) or (self._give_up_at is not None and now > self._give_up_at):
                    raise
                self._is_blocked = True
                if not is_told and now - began > _TROUBLE_AFTER_S:
                    is_told = True
                    self._soon(self._on_trouble, _LOCKED.format(self._path, now - began))
        self._last_commit = time.monotonic()
        self._is_blocked = False
        if is_told:
            self._soon(self._on_trouble, None)

    def _tell(self, callbacks: list[Callback]) -> None:
        if callbacks:
            self._soon(_call_all, callbacks)

    def _soon(self, function: Callable[[Any], None], argument: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, argument)

    def _fail(self, error: LlmtopError) -> None:
        self.failure = error
        waiting: list[Entry | _Job | None] = [self._job]
        while self._queue:
            waiting.append(self._queue.popleft()[0])
        for job in waiting:
            if isinstance(job, _Job):
                with contextlib.suppress(InvalidStateError):
                    job.future.set_exception(error)
        self._turn.set()
        self._soon(self._on_failure, error)


def _results_of(entry: object) -> int:
    return len(entry.results) if type(entry) is BatchLine else type(entry) is Finish


_LOCKED = "another process has locked {} for {:.0f} s: answers wait in memory, and nothing is lost"


class _Ended(Exception):
    """Ends the writer's thread."""


def _end_thread() -> None:
    raise _Ended


def _call_all(callbacks: list[Callback]) -> None:
    loop = asyncio.get_running_loop()
    for callback in callbacks:
        try:
            callback()
        except Exception as error:
            loop.call_exception_handler({"message": "a callback of the ledger failed", "exception": error})
