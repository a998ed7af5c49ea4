"""The run's items going into the ledger, before the first request."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from llmtop.adapters.ledger.batch import insert
from llmtop.adapters.ledger.lines import storable
from llmtop.errors import InputError

ItemPlace = tuple[int, str, int, int]
"""(seq, id, line in the input from 1, byte offset of the item in the input)."""

_CHUNK_ROWS = 10_000
_ITEMS = insert("items", "seq", "id", "line", "byte_offset")


def add_items(connection: sqlite3.Connection, items: Iterable[ItemPlace], source: str) -> int:
    """Store all items and the run's item count; return it.

    Streams: memory does not grow with the number of items. What an earlier start of the run left
    half read is replaced. Raises InputError when an id comes twice, naming both lines.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM items")
    source_rows = iter(items)
    count = 0
    try:
        while chunk := [
            (seq, storable(id), line, at) for seq, id, line, at in islice(source_rows, _CHUNK_ROWS)
        ]:
            _add_chunk(connection, chunk, source)
            count += len(chunk)
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE run SET item_count = ?", (count,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return count


def _add_chunk(connection: sqlite3.Connection, chunk: Sequence[ItemPlace], source: str) -> None:
    try:
        _ITEMS.execute(connection, chunk)
    except sqlite3.IntegrityError as error:
        raise _repeated(connection, chunk, source) from error


def _repeated(connection: sqlite3.Connection, chunk: Sequence[ItemPlace], source: str) -> InputError:
    """Find the first id of the chunk that was there before it."""
    connection.execute("ROLLBACK")
    lines: dict[str, int] = {}
    for _, id, line, _ in chunk:
        known = connection.execute("SELECT line FROM items WHERE id = ?", (id,)).fetchone()
        first = known[0] if known else lines.get(id)
        if first is not None:
            return InputError(
                f"{Path(source).name}: line {line}",
                f"has the id {id[:80]!r} of line {first} again",
                "give every item an id of its own, or name another field as input.id_field",
            )
        lines[id] = line
    raise AssertionError("a chunk of items was refused although every id and seq in it is new")
