"""What items without a result went through before, for results that tell all their sends and costs."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from llmtop.adapters.ledger.schema import ASKED_AGAIN_VERSION, version_of
from llmtop.model import ItemPast


def read_past(connection: sqlite3.Connection, seq: int) -> ItemPast | None:
    """Return an item's sends, costs and first moment, over all starts; None: it was never sent."""
    sends, first = connection.execute(
        "SELECT COUNT(*), MIN(started_at) FROM sends WHERE seq = ?", (seq,)
    ).fetchone()
    if not sends:
        return None
    owed = connection.execute("SELECT cost_pusd FROM owed WHERE seq = ?", (seq,)).fetchone()
    return ItemPast(sends, owed[0] if owed else 0, first)


def read_asked_again(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, list[Any]]]:
    """Return (place, what the filters did) of rejected answers whose items were asked again, ascending."""
    if version_of(connection) < ASKED_AGAIN_VERSION:  # beside an owner of an earlier version
        return []
    rows = connection.execute(
        "SELECT rowid, filters FROM asked_again WHERE rowid > ? ORDER BY rowid LIMIT ?", (after, limit)
    ).fetchall()
    return [(place, orjson.loads(filters)) for place, filters in rows]


def read_last_sent(connection: sqlite3.Connection) -> int:
    """Return the highest seq that was ever sent; -1: none was. Looks at the ends of two indices only."""
    found = [
        connection.execute(f"SELECT MAX(seq) FROM {table}").fetchone()[0] for table in ("attempts", "packed")
    ]
    return max((seq for seq in found if seq is not None), default=-1)
