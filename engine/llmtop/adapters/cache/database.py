"""The file `cache.db`: made, opened, found damaged and put aside, between processes that all use it.

Whoever has the cache open holds a shared lock on `cache.lock`. Only a process that holds it alone
may put the file aside: SQLite's own files must not be renamed under a process that writes to them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from pathlib import Path

from llmtop.adapters.ledger.files import open_private, sync_folder
from llmtop.errors import StateError

_APPLICATION_ID = 0x6C6C6D63  # "llmc", in the file's header
_VERSION = 1
_OPEN_WITHIN_S = 2.0
_READ_WAIT_MS = 20  # a reader meets a lock only while a log is recovered or removed
_WRITE_WAIT_MS = 10
_RETRY_S = 0.001
_LOG_KEPT_BYTES = 8 * 1024 * 1024

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_TABLES = (
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        place TEXT NOT NULL,
        bytes BIGINT NOT NULL,
        cost_pusd BIGINT,
        stored_at DOUBLE PRECISION NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL,
        used_at DOUBLE PRECISION NOT NULL,
        value BLOB NOT NULL
    )""",
    "CREATE INDEX answers_by_use ON answers (used_at)",
    "CREATE INDEX answers_by_end ON answers (expires_at)",
)


class Unusable(Exception):
    """Why there is no cache, in words that follow its path."""


class Database:
    """The two connections of one process: `writer` for the writing thread, `reader` for the event loop."""

    def __init__(self, path: Path) -> None:
        """Open the cache, made where it is missing, put aside where it is damaged. Raises Unusable."""
        self.path = path
        self.notice: str | None = None
        """What the user should know of the opening."""
        self._lock = _locked(path.with_name("cache.lock"))
        try:
            self._connect_or_renew()
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Put the damaged file aside and begin an empty one. Raises Unusable where others use it."""
        self._disconnect()
        self._put_aside()
        self._connect()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self._disconnect()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def begin(self, within_s: float) -> bool:
        """Begin to write; False when other processes wrote all the while.

        SQLite waits 1, 2 and 5 ms without the interpreter lock, then begins again: left to itself it
        would sleep up to 100 ms at a time, and transactions here take a few.
        """
        give_up_at = time.monotonic() + within_s
        while True:
            try:
                self.writer.execute("BEGIN IMMEDIATE")
                return True
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
                if time.monotonic() > give_up_at:
                    return False

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            int(self.writer.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _connect_or_renew(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise Unusable(f"cannot be used ({error})") from error
            self._disconnect()
            self._put_aside()
            try:
                self._connect()
            except sqlite3.DatabaseError as still:
                raise Unusable(f"cannot be made anew ({still})") from still

    def _connect(self) -> None:
        try:
            os.close(open_private(self.path, os.O_RDWR | os.O_CREAT))
        except StateError as error:
            raise Unusable(error.what) from error
        self.writer = sqlite3.connect(
            self.path, timeout=_WRITE_WAIT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        self.reader = sqlite3.connect(
            self.path, timeout=_READ_WAIT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        _settle(self)
        self.reader.execute("PRAGMA query_only = ON")
        self.reader.execute("SELECT value FROM answers WHERE key = ?", (b"",)).fetchone()

    def _disconnect(self) -> None:
        for name in ("writer", "reader"):
            connection: sqlite3.Connection | None = self.__dict__.pop(name, None)
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def _put_aside(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unusable("is damaged, and another process uses it still") from None
        try:
            aside = _free_name(self.path)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.replace(aside)
            sync_folder(self.path.parent)
        except OSError as error:
            raise Unusable(f"is damaged, and cannot be put aside ({error.strerror})") from error
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.notice = f"is damaged: it is put aside as {aside.name}, and an empty cache begins"


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, or is no cache of ours."""
    return _code(error) in _DAMAGED


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another process writes just now."""
    return _code(error) in _LOCKED


def _code(error: sqlite3.Error) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def _locked(path: Path) -> int:
    try:
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except (StateError, OSError) as error:
        raise Unusable(f"cannot be locked ({error})") from error
    return descriptor


def _settle(database: Database) -> None:
    """Bring a file to its form: by several processes at once, each may be the first."""
    give_up_at = time.monotonic() + _OPEN_WITHIN_S
    while True:
        try:
            _prepare(database)
            return
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(_RETRY_S)


def _prepare(database: Database) -> None:
    writer = database.writer
    writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the newest entries, never the file
    writer.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT_BYTES}")
    writer.execute("BEGIN IMMEDIATE")
    try:
        if _number(writer, "schema_version") == 0:
            for statement in _TABLES:
                writer.execute(statement)
            writer.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            writer.execute(f"PRAGMA user_version = {_VERSION}")
        found = _number(writer, "application_id"), _number(writer, "user_version")
        writer.execute("COMMIT")
    except BaseException:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise
    if found[0] != _APPLICATION_ID:
        raise Unusable("is another program's database")
    if found[1] != _VERSION:
        raise Unusable("was written by another version of llmtop")


def _number(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (path.with_name(f"{stem}{suffix}") for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if not name.exists())
