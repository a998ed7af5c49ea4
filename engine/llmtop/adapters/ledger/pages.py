"""Lists of items, page by page, in input order: every page is a few short reads by index.

A page goes on behind a `seq`, never by an offset into a list that changes while the run goes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Any

import orjson

from llmtop.listing import AttemptRow, ItemPage, ItemQuery, ItemRow, ItemState

SEARCHED_AT_MOST = 5_000
"""Items that one page of a search looks at; the page then ends early and the next goes on."""

_PREVIEW_CHARACTERS = 200
_STEP = 500

_FINISHED = ("done", "rejected", "failed")
_OPEN = "ended_at IS NULL AND is_maybe_billed = 0"
_WITHOUT_RESULT = "NOT EXISTS (SELECT 1 FROM results WHERE results.seq = items.seq)"
_CANDIDATES: dict[str, str] = {
    "all": "SELECT seq FROM items WHERE seq > ? ORDER BY seq LIMIT ?",
    "in_flight": f"SELECT DISTINCT seq FROM attempts WHERE {_OPEN} AND seq > ? ORDER BY seq LIMIT ?",
    "pending": f"""SELECT seq FROM items WHERE seq > ? AND {_WITHOUT_RESULT}
        AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.seq = items.seq AND {_OPEN})
        ORDER BY seq LIMIT ?""",
    **{
        status: f"SELECT seq FROM results WHERE status = '{status}' AND seq > ? ORDER BY seq LIMIT ?"
        for status in _FINISHED
    },
}


def read_page(connection: sqlite3.Connection, query: ItemQuery) -> ItemPage:
    """Return one page. A page of a search may hold fewer rows than `limit` and still have a next one."""
    found: list[ItemRow] = []
    looked_at = 0
    after = query.after_seq
    step = query.limit + 1 if query.search is None else _STEP
    while True:
        seqs = _candidates(connection, query, after, step)
        for row in _rows(connection, seqs, query.search):
            if len(found) == query.limit:
                return ItemPage(tuple(found), found[-1].seq if found else query.after_seq)
            found.append(row)
        looked_at += len(seqs)
        if len(seqs) < step:
            return ItemPage(tuple(found), None)
        after = seqs[-1]
        if looked_at >= SEARCHED_AT_MOST:
            return ItemPage(tuple(found), after)


def read_row(connection: sqlite3.Connection, item_id: str) -> ItemRow | None:
    """Return one item by its id."""
    found = connection.execute("SELECT seq FROM items WHERE id = ?", (item_id,)).fetchone()
    return next(_rows(connection, [found[0]], None), None) if found else None


def read_attempts(connection: sqlite3.Connection, seq: int) -> tuple[AttemptRow, ...]:
    """Return every send of an item, oldest first, with the raw answers that were kept."""
    rows = connection.execute(
        """SELECT attempts.id, number, started_at, ended_at, outcome, http_status, error_type, error_message,
            retry_after_s, latency_ms, cost_pusd, is_maybe_billed, request_id, body
        FROM attempts LEFT JOIN responses ON responses.attempt_id = attempts.id
        WHERE seq = ? ORDER BY attempts.id""",
        (seq,),
    ).fetchall()
    return tuple(AttemptRow(*(*row[:11], bool(row[11]), row[12], _body_text(row[13]))) for row in rows)


def next_seqs(connection: sqlite3.Connection, states: Sequence[str], after: int, limit: int) -> list[int]:
    """Return the next items in any of these states behind `after`, ascending, at most `limit`.

    One read by index a state, then merged: a single one for several states would sort the whole run.
    """
    each = (
        [seq for (seq,) in connection.execute(_CANDIDATES[state], (after, limit)).fetchall()]
        for state in dict.fromkeys(states)
    )
    return list(islice(merge(*each), limit))


def _candidates(connection: sqlite3.Connection, query: ItemQuery, after: int, limit: int) -> list[int]:
    """Return the next seqs of the wanted states, ascending, at most `limit`."""
    if query.error_type is not None:
        wanted = query.states or _FINISHED
        marks = ", ".join("?" * len(wanted))
        rows = connection.execute(
            f"""SELECT seq FROM results WHERE error_type = ? AND seq > ? AND status IN ({marks})
            ORDER BY seq LIMIT ?""",
            (query.error_type, after, *wanted, limit),
        ).fetchall()
        return [seq for (seq,) in rows]
    return next_seqs(connection, query.states or ("all",), after, limit)


def _rows(connection: sqlite3.Connection, seqs: Sequence[int], search: str | None) -> Iterator[ItemRow]:
    needle = None if search is None else search.casefold()
    for start in range(0, len(seqs), _STEP):
        part = seqs[start : start + _STEP]
        rows = connection.execute(
            f"""SELECT items.seq, items.id, results.status, results.attempts, latency_ms, input_tokens,
                output_tokens, cost_pusd, error_type, error_message, finished_at, lines.line
            FROM items LEFT JOIN results ON results.seq = items.seq LEFT JOIN lines ON lines.seq = items.seq
            WHERE items.seq IN ({", ".join("?" * len(part))}) ORDER BY items.seq""",
            tuple(part),
        ).fetchall()
        for row in rows:
            output = _output_text(row[11])
            if needle is None or needle in row[1].casefold() or needle in output.casefold():
                yield _row(connection, row, output)


def _row(connection: sqlite3.Connection, row: Sequence[Any], output: str) -> ItemRow:
    state: ItemState = row[2] or "pending"
    attempts = row[3]
    if row[2] is None:
        attempts, is_open = connection.execute(
            f"SELECT COUNT(*), COALESCE(MAX({_OPEN}), 0) FROM attempts WHERE seq = ?", (row[0],)
        ).fetchone()
        state = "in_flight" if is_open else "pending"
    return ItemRow(*(row[0], row[1], state, attempts, *row[4:11], output[:_PREVIEW_CHARACTERS]))


def _output_text(line: bytes | None) -> str:
    if line is None:
        return ""
    output = orjson.loads(line)["output"]
    if output is None or isinstance(output, str):
        return output or ""
    return orjson.dumps(output).decode()


def _body_text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")
