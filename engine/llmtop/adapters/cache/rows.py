"""The statements of the cache: each short, bounded in rows and in bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from llmtop.adapters.cache.entries import CacheGroup

ROWS_AT_MOST = 100
BYTES_AT_MOST = 2**20
_PAGES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer to be written."""

    key: bytes
    place: str
    cost_pusd: int | None
    stored_at: float
    expires_at: float
    value: bytes


def find(reader: sqlite3.Connection, key: bytes, now: float, ttl_s: float) -> tuple[bytes, float] | None:
    """Return (value, last use) of a key that has not expired, neither by its own term nor by `ttl_s`."""
    found: tuple[bytes, float] | None = reader.execute(
        "SELECT value, used_at FROM answers WHERE key = ? AND expires_at > ? AND stored_at > ?",
        (key, now, now - ttl_s),
    ).fetchone()
    return found


def write(writer: sqlite3.Connection, entries: Sequence[Entry | bytes], now: float) -> None:
    """Write entries, and the use of keys, in the transaction that was begun."""
    added = [
        (e.key, e.place, len(e.value), e.cost_pusd, e.stored_at, e.expires_at, e.stored_at, e.value)
        for e in entries
        if isinstance(e, Entry)
    ]
    used = [(now, entry) for entry in entries if isinstance(entry, bytes)]
    try:
        writer.executemany(
            """INSERT INTO answers (key, place, bytes, cost_pusd, stored_at, expires_at, used_at, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (key) DO UPDATE SET bytes = excluded.bytes, cost_pusd = excluded.cost_pusd,
            stored_at = excluded.stored_at, expires_at = excluded.expires_at, used_at = excluded.used_at,
            value = excluded.value""",
            added,
        )
        writer.executemany("UPDATE answers SET used_at = ? WHERE key = ?", used)
        writer.execute("COMMIT")
    except BaseException:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        raise


def groups(reader: sqlite3.Connection) -> list[CacheGroup]:
    """Return what there is, by provider and model, largest first."""
    rows = reader.execute(
        """SELECT place, COUNT(*), SUM(bytes), SUM(COALESCE(cost_pusd, 0)), MIN(stored_at), MAX(used_at)
        FROM answers GROUP BY place ORDER BY SUM(bytes) DESC, place"""
    ).fetchall()
    return [
        CacheGroup(place=place, entries=count, bytes=size, worth_pusd=worth, oldest_at=oldest, used_at=used)
        for place, count, size, worth, oldest, used in rows
    ]


def remove_expired(writer: sqlite3.Connection, now: float, before: float | None) -> int:
    """Remove a part of what has expired, or was stored before a moment; return how many, 0: none is left."""
    if before is None:
        found = writer.execute(
            "SELECT id, bytes FROM answers WHERE expires_at <= ? LIMIT ?", (now, ROWS_AT_MOST)
        )
    else:
        found = writer.execute(
            "SELECT id, bytes FROM answers WHERE expires_at <= ? OR stored_at < ? LIMIT ?",
            (now, before, ROWS_AT_MOST),
        )
    return _remove(writer, found.fetchall())


def remove_oldest(writer: sqlite3.Connection, excess_bytes: int) -> int:
    """Remove what was not used for longest, about `excess_bytes` or a part of it; return how many."""
    found = writer.execute("SELECT id, bytes FROM answers ORDER BY used_at LIMIT ?", (ROWS_AT_MOST,))
    return _remove(writer, found.fetchall(), excess_bytes)


def give_back(writer: sqlite3.Connection) -> int:
    """Give some free pages back to the disk, in a transaction of its own; return how many are left.

    As a script: `execute` takes one step of this pragma, which is one page.
    """
    writer.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
    return int(writer.execute("PRAGMA freelist_count").fetchone()[0])


def _remove(
    writer: sqlite3.Connection, found: Sequence[tuple[int, int]], bytes_at_most: int = BYTES_AT_MOST
) -> int:
    ids: list[tuple[int]] = []
    size = 0
    for row_id, count in found:
        ids.append((row_id,))
        size += count
        if size >= min(bytes_at_most, BYTES_AT_MOST):
            break
    writer.executemany("DELETE FROM answers WHERE id = ?", ids)
    return len(ids)
