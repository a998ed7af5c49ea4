"""The shared cache in SQLite: reads in the event loop, writes in a thread of its own.

A read is one lookup by key in a write-ahead log database: it waits for no writer. Transactions
are short (rows and bytes are bounded), so that processes do not hold each other up.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from llmtop.adapters.cache import rows
from llmtop.adapters.cache.database import Database, Unusable, is_damage, is_locked
from llmtop.adapters.cache.entries import CacheGroup, packed, unpacked
from llmtop.model import Answer

T = TypeVar("T")

_GATHER_S = 0.02  # writes are gathered for so long
_QUEUE_BYTES = 32 * 1024 * 1024  # what may wait to be written; more is not kept
_WRITE_WITHIN_S = 5.0
_BREATH_S = 0.003  # between two transactions of a long piece of work
_CLOSE_WITHIN_S = 5.0
_LOW_SHARE = 0.95
"""Pruning goes down to this share of the size, so that not every write prunes."""
TOUCH_AFTER_S = 600.0
"""Use is written down when the last one is so long ago: a hit does not become a write."""


class SharedCache:
    """Answers by request, for all processes of one state folder. Use from one event loop.

    Nothing in it raises because of the file: what is damaged is put aside, what cannot be used is
    left alone; both become a notice (`take_notices`) and misses. `close` writes what waits.
    """

    def __init__(self, path: Path, max_bytes: int, wall: Callable[[], float] = time.time) -> None:
        """Open the cache at `path`, kept below `max_bytes`. Blocking: some milliseconds."""
        self.path = path
        self.max_bytes = max_bytes
        self._wall = wall
        self._notices: deque[str] = deque()
        self._queue: deque[rows.Entry | bytes | _Job] = deque()
        self._bytes_in = self._bytes_out = 0  # each counted by one thread only
        self._unwritten: dict[bytes, rows.Entry] = {}  # what is put is there at once
        self._wake = threading.Event()
        self._swap = threading.Lock()  # held while the reader is used, and while it is exchanged
        self._is_renewed = False
        self._database: Database | None = None
        try:
            self._database = Database(path)
        except (Unusable, sqlite3.Error) as error:
            self._say(f"{error}: answers are not cached")
        else:
            if self._database.notice:
                self._say(self._database.notice)
        self._thread = threading.Thread(target=self._run, name="cache writer", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"SharedCache({self.path}, {'on' if self.is_on else 'off'})"

    @property
    def is_on(self) -> bool:
        """Whether it can be used."""
        return self._database is not None

    def take_notices(self) -> list[str]:
        """Return what the user should know and was not told yet."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    async def get(self, key: bytes, ttl_s: float) -> Answer | None:
        """Return the answer to an equal request that is not older than `ttl_s`; None: there is none."""
        now = self._wall()
        waiting = self._unwritten.get(key)
        if waiting is not None:
            return unpacked(waiting.value)
        with self._swap:
            if self._database is None:
                return None
            try:
                found = rows.find(self._database.reader, key, now, ttl_s)
            except sqlite3.Error as error:
                self._failed(error)
                return None
        if found is None:
            return None
        value, used_at = found
        if now - used_at > TOUCH_AFTER_S:
            self._add(key, len(key))
        return unpacked(value)

    def put(self, key: bytes, answer: Answer, *, place: str, ttl_s: float) -> None:
        """Keep an answer for `ttl_s`; returns at once. `place` is `kind/model`, for lists."""
        value = packed(answer)
        if value is None or self._database is None or self._bytes_in - self._bytes_out > _QUEUE_BYTES:
            return
        now = self._wall()
        entry = rows.Entry(key, place, answer.cost_pusd, now, now + ttl_s, value)
        self._unwritten[key] = entry
        self._add(entry, len(value))

    async def groups(self) -> list[CacheGroup]:
        """Return what there is, by provider and model."""
        return await self._do(lambda database: rows.groups(database.writer), [])

    async def used_bytes(self) -> int:
        """Return the bytes of the file that hold something."""
        return await self._do(lambda database: database.used_bytes, 0)

    async def prune(self, max_bytes: int | None = None, older_than_s: float | None = None) -> int:
        """Remove what has expired, is older than asked, and the least recently used beyond `max_bytes`.

        Give the space back to the disk. Return how many entries went.
        """
        before = None if older_than_s is None else self._wall() - older_than_s

        def work(database: Database) -> int:
            removed = self._remove_expired(database, before)
            removed += self._remove_oldest(database, self.max_bytes if max_bytes is None else max_bytes)
            self._give_back(database)
            return removed

        return await self._do(work, 0)

    async def clear(self) -> int:
        """Remove everything; return how many entries went."""

        def work(database: Database) -> int:
            removed = self._remove_expired(database, float("inf"))
            self._give_back(database)
            return removed

        return await self._do(work, 0)

    async def close(self) -> None:
        """Write what waits, and let go of the file."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """As `close`, blocking. Safe to call twice."""
        if self._thread.is_alive():
            self._add(_Job(None), 0)
            self._thread.join(_CLOSE_WITHIN_S)
        with self._swap:
            if self._database is not None and not self._thread.is_alive():
                self._database.close()
            self._database = None

    # -- the writing thread --------------------------------------------------------------------

    def _add(self, entry: rows.Entry | bytes | _Job, size: int) -> None:
        self._bytes_in += size
        self._queue.append(entry)
        self._wake.set()

    async def _do(self, work: Callable[[Database], T], otherwise: T) -> T:
        """Do `work` in the writing thread; `otherwise` where the cache is off or fails meanwhile."""
        if self._database is None:
            return otherwise
        job = _Job(work)
        self._add(job, 0)
        try:
            result: T = await asyncio.wrap_future(job.future)
        except (sqlite3.Error, Unusable):
            return otherwise
        return result

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if not (self._queue and isinstance(self._queue[0], _Job)):
                time.sleep(_GATHER_S)
            while self._queue:
                job = self._queue[0]
                if not isinstance(job, _Job):
                    self._write()
                elif not self._obey(job):
                    return
                time.sleep(_BREATH_S)

    def _obey(self, job: _Job) -> bool:
        self._queue.popleft()
        if job.work is None:
            return False
        if not job.future.set_running_or_notify_cancel():
            return True
        try:
            if self._database is None:
                raise Unusable("is off")
            job.future.set_result(job.work(self._database))
        except (sqlite3.Error, Unusable) as error:
            job.future.set_exception(error)
            self._in_thread_failed(error)
        return True

    def _write(self) -> None:
        entries: list[rows.Entry | bytes] = []
        size = 0
        while self._queue and not isinstance(self._queue[0], _Job) and len(entries) < rows.ROWS_AT_MOST:
            entry = self._queue.popleft()
            assert not isinstance(entry, _Job)
            entries.append(entry)
            size += len(entry) if isinstance(entry, bytes) else len(entry.value)
            if size > rows.BYTES_AT_MOST:
                break
        self._bytes_out += size
        database = self._database
        try:
            if database is not None and database.begin(_WRITE_WITHIN_S):
                rows.write(database.writer, entries, self._wall())
                self._prune(database)
        except sqlite3.Error as error:
            self._in_thread_failed(error)
        for entry in entries:
            if isinstance(entry, rows.Entry) and self._unwritten.get(entry.key) is entry:
                del self._unwritten[entry.key]

    def _prune(self, database: Database) -> None:
        if database.used_bytes > self.max_bytes:
            self._remove_expired(database, None)
            self._remove_oldest(database, int(self.max_bytes * _LOW_SHARE))

    def _remove_expired(self, database: Database, before: float | None) -> int:
        now = self._wall()
        return self._in_parts(database, lambda: rows.remove_expired(database.writer, now, before))

    def _remove_oldest(self, database: Database, down_to_bytes: int) -> int:
        def part() -> int:
            excess = database.used_bytes - down_to_bytes
            return rows.remove_oldest(database.writer, excess) if excess > 0 else 0

        return self._in_parts(database, part)

    def _give_back(self, database: Database) -> None:
        with _unless_locked():
            while rows.give_back(database.writer):
                time.sleep(_BREATH_S)

    def _in_parts(self, database: Database, part: Callable[[], int]) -> int:
        """Repeat a short transaction until it has nothing to do; let others in between."""
        total = 0
        while database.begin(_WRITE_WITHIN_S):
            try:
                count = part()
                database.writer.execute("COMMIT")
            except BaseException:
                if database.writer.in_transaction:
                    database.writer.execute("ROLLBACK")
                raise
            total += count
            if not count:
                break
            time.sleep(_BREATH_S)
        return total

    # -- trouble -------------------------------------------------------------------------------

    def _say(self, what: str) -> None:
        self._notices.append(f"the cache {self.path} {what}")

    def _failed(self, error: sqlite3.Error) -> None:
        """A read failed: let the writing thread see to it."""
        if not is_locked(error):
            self._add(_Job(lambda _: _raise(error)), 0)

    def _in_thread_failed(self, error: sqlite3.Error | Unusable) -> None:
        """Begin anew once, where the file is damaged; otherwise go on without a cache."""
        database = self._database
        if database is None or (isinstance(error, sqlite3.Error) and is_locked(error)):
            return
        with self._swap:
            if isinstance(error, sqlite3.Error) and is_damage(error) and not self._is_renewed:
                self._is_renewed = True
                try:
                    database.renew()
                except (Unusable, sqlite3.Error) as still:
                    error = Unusable(str(still))
                else:
                    self._say(str(database.notice))
                    return
            self._say(f"cannot be used any more ({error}): answers are not cached")
            self._database = None
            database.close()


class _Job:
    """Something to do in the writing thread; without work: end it."""

    def __init__(self, work: Callable[[Database], Any] | None) -> None:
        self.work = work
        self.future: Future[Any] = Future()


@contextlib.contextmanager
def _unless_locked() -> Iterator[None]:
    """Leave a piece of work to another time where another process writes."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if not is_locked(error):
            raise


def _raise(error: sqlite3.Error) -> None:
    raise error
