"""Connections to a run's database, and SQLite's errors in words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from llmtop.adapters.ledger.files import open_private, sync_folder, unwritable
from llmtop.adapters.ledger.schema import APPLICATION_ID, check_version, migrate, version_of
from llmtop.errors import StateError

DATABASE_NAME = "run.db"

BUSY_WAIT_S = 1.0  # how long SQLite itself waits for a lock; whoever needs more patience asks again
_WAL_KEPT_BYTES = 16 * 1024 * 1024
_PAGES_IN_MEMORY_BYTES = 8 * 1024 * 1024
"""Of all ledgers of a process together: beyond it SQLite reuses a page before it takes another, so that
twenty runs hold hardly more than one. One ledger alone never comes near it."""

_FULL = frozenset({sqlite3.SQLITE_FULL})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def create_database(path: Path, fill: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Make a new database with all tables and what `fill` puts into them, and open it.

    It gets its name when it is complete, so a crash leaves no empty ledger behind. Raises
    StateError where the file exists or cannot be made.
    """
    if path.exists():
        raise StateError(str(path), "is there already", "give the new run another id")
    draft = path.with_name(f"{path.name}.new")
    with in_words(path):
        try:
            draft.unlink(missing_ok=True)
            os.close(open_private(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            connection = sqlite3.connect(draft, isolation_level=None)
            with contextlib.closing(connection):
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                migrate(connection, str(path))
                fill(connection)
                connection.execute("COMMIT")
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise unwritable(path, error) from error
        return _connect(path)


def open_database(path: Path) -> sqlite3.Connection:
    """Open an existing database for writing, checked for damage and brought to the newest version."""
    _refuse_absent(path)
    with in_words(path):
        connection = _connect(path)
        try:
            _refuse_damage(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            migrate(connection, str(path))
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection


def read_database(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading, beside a live owner or without one."""
    _refuse_absent(path)
    with in_words(path):
        connection = _connect_reader(path)
        try:
            version = version_of(connection)
            if version == 0:
                raise StateError(str(path), "is damaged: it holds no ledger", "restore it from a backup")
            check_version(version, str(path))
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into StateError."""
    try:
        yield
    except sqlite3.Error as error:
        raise state_error(path, error) from error


def state_error(path: Path, error: sqlite3.Error) -> StateError:
    """Return what went wrong with the database, by SQLite's result code."""
    code = primary_code(error)
    where = str(path)
    if code in _FULL:
        return StateError(
            where, "cannot be written: the disk is full", "free some space; the run can be resumed"
        )
    if code in _DAMAGED:
        return StateError(
            where, f"is damaged: {error}", "restore it from a backup, or start anew with --fresh"
        )
    if code in _LOCKED:
        return StateError(
            where, "is locked by another process", "end the program that holds it (a backup, a shell)"
        )
    if code == sqlite3.SQLITE_READONLY:
        return StateError(where, "cannot be written: it is read-only", "check permissions and the mount")
    return StateError(where, f"cannot be used: {error}", "check free space, permissions and the disk")


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another process holds the database just now."""
    return primary_code(error) in _LOCKED


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, -1 where Python raised the error itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=1024
    )
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StateError(str(path), f"cannot keep a write-ahead log (mode {mode})", "use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        connection.execute(f"PRAGMA soft_heap_limit = {_PAGES_IN_MEMORY_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_reader(path: Path) -> sqlite3.Connection:
    uri = path.resolve().as_uri()
    try:
        connection = sqlite3.connect(
            f"{uri}?mode=ro", uri=True, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
        )
        version_of(connection)
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if _has_log(path):
            raise
        # A read-only place, where SQLite cannot make its shared-memory file: nobody can write there either.
        connection = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    return connection


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _refuse_absent(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise StateError(
            str(path), f"cannot be read: {error.strerror}", "restore it from a backup"
        ) from error
    if size == 0 and not _has_log(path):
        raise StateError(str(path), "is damaged: it is empty", "restore it from a backup, or use --fresh")


def _refuse_damage(connection: sqlite3.Connection, path: Path) -> None:
    if version_of(connection) == 0:
        raise StateError(
            str(path), "is damaged: it holds no ledger", "restore it from a backup, or use --fresh"
        )
    check_version(version_of(connection), str(path))
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StateError(
            str(path), f"is damaged: {found}", "restore it from a backup, or start anew with --fresh"
        )
