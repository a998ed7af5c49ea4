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

from llmtop.errors import UsageError
from llmtop.listing import AttemptRow, ItemPage, ItemQuery, ItemRow, ItemState

SEARCHED_AT_MOST = 5_000
"""Items that one page of a search looks at; the page then ends early and the next goes on."""

_PREVIEW_CHARACTERS = 200
_STEP = 500

_FINISHED = ("done", "rejected", "failed")
_OPEN = "ended_at IS NULL AND is_maybe_billed = 0"
_MEMBERS = {
    "call": """(SELECT seq FROM packed WHERE attempt_id = :number
        UNION SELECT seq FROM attempts WHERE id = :number)""",
    "job": "(SELECT seq FROM batch_items WHERE batch = :number)",
}
_ROW_KINDS = {"r": "call", "p": "call", "b": "job"}
_IS_FLYING = f"EXISTS (SELECT 1 FROM sends WHERE sends.seq = members.seq AND {_OPEN})"
_IN_STATE = {
    "pending": f"(status IS NULL AND NOT {_IS_FLYING})",
    "in_flight": f"(status IS NULL AND {_IS_FLYING})",
    "done": "status = 'done'",
    "rejected": "status = 'rejected'",
    "failed": "status = 'failed'",
}
_WITHOUT_RESULT = "NOT EXISTS (SELECT 1 FROM results WHERE results.seq = items.seq)"
_FORWARD, _BACKWARD = "seq > ? {} ORDER BY seq LIMIT ?", "seq < ? {} ORDER BY seq DESC LIMIT ?"
_CANDIDATES: dict[str, tuple[str, str]] = {
    "all": ("SELECT seq FROM items WHERE", ""),
    "in_flight": ("SELECT DISTINCT seq FROM sends WHERE", f"AND {_OPEN}"),
    "pending": (
        "SELECT seq FROM items WHERE",
        f"""AND {_WITHOUT_RESULT}
        AND NOT EXISTS (SELECT 1 FROM sends WHERE sends.seq = items.seq AND {_OPEN})""",
    ),
    **{status: ("SELECT seq FROM results WHERE", f"AND status = '{status}'") for status in _FINISHED},
}


def read_page(connection: sqlite3.Connection, query: ItemQuery) -> ItemPage:
    """Return one page. A page of a search may hold fewer rows than `limit` and still have a next one."""
    is_backward = query.before_seq is not None
    found: list[ItemRow] = []
    looked_at = 0
    place = query.after_seq if query.before_seq is None else query.before_seq
    step = query.limit + 1 if query.search is None else _STEP
    while True:
        seqs = _candidates(connection, query, place, step)
        rows = list(_rows(connection, seqs, query.search))
        for row in reversed(rows) if is_backward else rows:
            if len(found) == query.limit:
                return _page(found, found[-1].seq, is_backward)
            found.append(row)
        looked_at += len(seqs)
        if len(seqs) < step:
            return _page(found, None, is_backward)
        place = seqs[-1]
        if looked_at >= SEARCHED_AT_MOST:
            return _page(found, place, is_backward)


def _page(found: list[ItemRow], place: int | None, is_backward: bool) -> ItemPage:
    return ItemPage(tuple(found[::-1] if is_backward else found), place)


def read_row(connection: sqlite3.Connection, item_id: str) -> ItemRow | None:
    """Return one item by its id."""
    found = connection.execute("SELECT seq FROM items WHERE id = ?", (item_id,)).fetchone()
    return next(_rows(connection, [found[0]], None), None) if found else None


def read_attempts(connection: sqlite3.Connection, seq: int) -> tuple[AttemptRow, ...]:
    """Return every send of an item, oldest first, with the raw answers that were kept."""
    rows = connection.execute(
        """SELECT sends.id, number, started_at, ended_at, outcome, http_status, error_type, error_message,
            retry_after_s, latency_ms, cost_pusd, is_maybe_billed, request_id, body
        FROM sends LEFT JOIN responses ON responses.attempt_id = sends.id
        WHERE seq = ? ORDER BY sends.id""",
        (seq,),
    ).fetchall()
    return tuple(AttemptRow(*(*row[:11], bool(row[11]), row[12], _body_text(row[13]))) for row in rows)


def next_seqs(
    connection: sqlite3.Connection,
    states: Sequence[str],
    place: int,
    limit: int,
    *,
    is_backward: bool = False,
) -> list[int]:
    """Return the next items in any of these states behind `place`, ascending, at most `limit`.

    Backward: those before it, descending. One read by index a state, then merged: a single one for
    several states would sort the whole run.
    """
    where = _BACKWARD if is_backward else _FORWARD
    each = []
    for state in dict.fromkeys(states):
        select, condition = _CANDIDATES[state]
        found = connection.execute(f"{select} {where.format(condition)}", (place, limit)).fetchall()
        each.append([seq for (seq,) in found])
    return list(islice(merge(*each, reverse=is_backward), limit))


def _candidates(connection: sqlite3.Connection, query: ItemQuery, place: int, limit: int) -> list[int]:
    """Return the next seqs of the wanted states in the query's direction, at most `limit`."""
    is_backward = query.before_seq is not None
    if query.of_row is not None:
        return _members(connection, query, query.of_row, place, limit)
    if query.error_type is not None:
        wanted = query.states or _FINISHED
        where = _BACKWARD if is_backward else _FORWARD
        states = f"AND status IN ({', '.join('?' * len(wanted))})"
        rows = connection.execute(
            f"SELECT seq FROM results WHERE error_type = ? AND {where.format(states)}",
            (query.error_type, place, *wanted, limit),
        ).fetchall()
        return [seq for (seq,) in rows]
    return next_seqs(connection, query.states or ("all",), place, limit, is_backward=is_backward)


def _members(
    connection: sqlite3.Connection, query: ItemQuery, row_key: str, place: int, limit: int
) -> list[int]:
    """Return the next items of one request, pack or batch job, as `_candidates`."""
    kind, number = row_number(row_key)
    where = ["seq < :place" if query.before_seq is not None else "seq > :place"]
    if query.states:
        where.append(f"({' OR '.join(_IN_STATE[state] for state in query.states)})")
    if query.error_type is not None:
        where.append("error_type = :error_type")
    order = "DESC" if query.before_seq is not None else "ASC"
    rows = connection.execute(
        f"""SELECT seq FROM (
            SELECT members.seq AS seq, status, error_type
            FROM {_MEMBERS[kind]} AS members LEFT JOIN results ON results.seq = members.seq
        ) AS members WHERE {" AND ".join(where)} ORDER BY seq {order} LIMIT :limit""",
        {"number": number, "place": place, "error_type": query.error_type, "limit": limit},
    ).fetchall()
    return [seq for (seq,) in rows]


def row_number(row_key: str) -> tuple[str, int]:
    """Return what a row of the table is (`call` or `job`) and its number in the ledger.

    Raises UsageError for what is no such key.
    """
    kind, digits = _ROW_KINDS.get(row_key[:1]), row_key[1:]
    if kind is None or not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        remedy = "its rows are named as r00012, p00827 or b0003"
        raise UsageError(f"row {row_key[:40]}", "is no row of a run", remedy)
    return kind, int(digits)


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
            f"SELECT COUNT(*), COALESCE(MAX({_OPEN}), 0) FROM sends WHERE seq = ?", (row[0],)
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
