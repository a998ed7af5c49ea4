"""The batch jobs of a run in its ledger: written in the writer's transactions, read for restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal

from llmtop.adapters.ledger.lines import storable
from llmtop.adapters.ledger.records import BatchIntent, BatchLine, BatchSaved
from llmtop.adapters.ledger.schema import BATCHES_VERSION, UPLOADS_VERSION, version_of
from llmtop.batch_jobs import BatchRecord, OpenLine
from llmtop.listing import JobDetail, JobOutcome
from llmtop.model import RunCounts

Pending = Literal["all", "free", "fresh", "spilled"]
"""Items without a result: all of them; `free`: in no open job; of these `fresh`: never asked in a job, or
given back unasked; `spilled`: asked in a job."""

_COLUMNS = (
    *("number", "tag", "state", "model", "requests", "input_bytes", "input_sha256", "tokens"),
    *("reserved_pusd", "intended_at", "file_id", "uploaded_at", "batch_id", "created_at", "done", "failed"),
    *("polled_at", "ended_at", "expires_at", "results_until", "over_at", "error"),
)
_CHANGING = _COLUMNS[_COLUMNS.index("file_id") :]

_OPEN = "EXISTS (SELECT 1 FROM batch_items WHERE batch_items.seq = items.seq AND outcome IS NULL)"
_ASKED = "EXISTS (SELECT 1 FROM batch_items WHERE batch_items.seq = items.seq AND outcome <> 'released')"
_WHICH: dict[Pending, str] = {
    "all": "",
    "free": f"AND NOT {_OPEN}",
    "fresh": f"AND NOT {_OPEN} AND NOT {_ASKED}",
    "spilled": f"AND NOT {_OPEN} AND {_ASKED}",
}
_PACKED = "EXISTS (SELECT 1 FROM packed WHERE packed.attempt_id = attempts.id)"
_TRY = "outcome NOT LIKE 'refused.%' AND COALESCE(error_type, '') <> 'cancelled'"


def write_jobs(
    connection: sqlite3.Connection, entries: Iterable[BatchIntent | BatchSaved | BatchLine]
) -> None:
    """Write these, in their order, inside the caller's transaction."""
    for entry in entries:
        match entry:
            case BatchIntent():
                _add(connection, entry)
            case BatchSaved():
                _save(connection, entry)
            case BatchLine():
                connection.executemany(
                    "UPDATE batch_items SET outcome = ?, attempt_id = ? WHERE batch = ? AND seq = ?",
                    ((outcome, entry.attempt.id, entry.number, seq) for seq, outcome in entry.items),
                )


def _add(connection: sqlite3.Connection, intent: BatchIntent) -> None:
    values = [getattr(intent.record, name) for name in _COLUMNS]
    marks = ", ".join("?" * len(_COLUMNS))
    connection.execute(f"INSERT INTO batches ({', '.join(_COLUMNS)}) VALUES ({marks})", values)
    number = intent.record.number
    connection.executemany(
        "INSERT INTO batch_items (batch, seq, custom_id, reserved_pusd) VALUES (?, ?, ?, ?)",
        ((number, seq, custom_id, reserved) for seq, custom_id, reserved in intent.items),
    )


def _save(connection: sqlite3.Connection, saved: BatchSaved) -> None:
    record = saved.record
    values = [getattr(record, name) for name in _CHANGING]
    values[-1] = None if record.error is None else storable(record.error)
    places = ", ".join(f"{name} = ?" for name in _CHANGING)
    connection.execute(
        f"UPDATE batches SET state = ?, {places} WHERE number = ?", (record.state, *values, record.number)
    )
    if saved.released is not None:
        connection.execute(
            "UPDATE batch_items SET outcome = ? WHERE batch = ? AND outcome IS NULL",
            (saved.released, record.number),
        )


def read_jobs(connection: sqlite3.Connection, *, is_open_only: bool = False) -> tuple[BatchRecord, ...]:
    """Return the jobs, oldest first, with what their items came to and their requests cost."""
    if version_of(connection) < BATCHES_VERSION:  # beside an owner of an earlier version
        return ()
    where = "WHERE over_at IS NULL" if is_open_only else ""
    is_old = version_of(connection) < UPLOADS_VERSION
    columns = ["NULL" if is_old and name == "uploaded_at" else name for name in _COLUMNS]
    rows = connection.execute(
        f"""SELECT {", ".join(columns)},
            (SELECT COUNT(*) FROM batch_items WHERE batch = batches.number),
            (SELECT COUNT(*) FROM batch_items WHERE batch = batches.number AND attempt_id IS NOT NULL),
            (SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts
                WHERE id IN (SELECT attempt_id FROM batch_items WHERE batch = batches.number))
        FROM batches {where} ORDER BY number"""
    ).fetchall()
    names = (*_COLUMNS, "items", "retrieved", "cost_pusd")
    return tuple(BatchRecord(**dict(zip(names, row, strict=True))) for row in rows)


def read_job(connection: sqlite3.Connection, number: int) -> JobDetail | None:
    """Return what the requests and items of a job came to; None: no such job."""
    if version_of(connection) < BATCHES_VERSION:
        return None
    outcomes = _outcomes(connection, number)
    by_status = connection.execute(
        """SELECT status, COUNT(*) FROM batch_items JOIN results ON results.seq = batch_items.seq
        WHERE batch = ? GROUP BY status""",
        (number,),
    ).fetchall()
    counts = RunCounts(sum(each.count for each in outcomes), **dict(by_status))
    return JobDetail(number, counts, outcomes) if outcomes else None


def _outcomes(connection: sqlite3.Connection, number: int) -> tuple[JobOutcome, ...]:
    """Those in trouble first, each with its last message."""
    rows = connection.execute(
        """SELECT COALESCE(batch_items.outcome, 'open') AS name, requests, ended_at,
            COALESCE(error_message, '') FROM (
            SELECT outcome, COUNT(*) AS requests, MAX(attempt_id) AS last
            FROM batch_items WHERE batch = ? GROUP BY outcome
        ) AS batch_items LEFT JOIN attempts ON attempts.id = last
        ORDER BY name IN ('answered', 'released', 'open'), requests DESC, name""",
        (number,),
    ).fetchall()
    return tuple(JobOutcome(*row) for row in rows)


def read_pending(connection: sqlite3.Connection, after_seq: int, limit: int, which: Pending) -> list[int]:
    """Return the next items without a result, ascending."""
    rows = connection.execute(
        f"""SELECT seq FROM items WHERE seq > ?
        AND NOT EXISTS (SELECT 1 FROM results WHERE results.seq = items.seq) {_WHICH[which]}
        ORDER BY seq LIMIT ?""",
        (after_seq, limit),
    ).fetchall()
    return [seq for (seq,) in rows]


def read_open_ids(connection: sqlite3.Connection, number: int, after: str, limit: int) -> list[str]:
    """Return the next custom_ids of open requests behind `after` (empty: from the first), ascending."""
    rows = connection.execute(
        """SELECT DISTINCT custom_id FROM batch_items WHERE batch = ? AND custom_id > ? AND outcome IS NULL
        ORDER BY custom_id LIMIT ?""",
        (number, after, limit),
    ).fetchall()
    return [custom_id for (custom_id,) in rows]


def read_open_lines(connection: sqlite3.Connection, number: int, custom_ids: Sequence[str]) -> list[OpenLine]:
    """Return the items of these requests, as far as they are open, by custom_id, a pack's in its order."""
    rows = connection.execute(
        f"""SELECT custom_id, line.seq, reserved_pusd,
            (SELECT COUNT(*) FROM sends WHERE sends.seq = line.seq),
            COALESCE((SELECT MIN(started_at) FROM sends WHERE sends.seq = line.seq), 0.0),
            (SELECT COUNT(*) FROM attempts WHERE seq = line.seq AND NOT {_PACKED}),
            (SELECT COUNT(*) FROM attempts WHERE seq = line.seq AND NOT {_PACKED} AND {_TRY}),
            (SELECT COUNT(*) FROM sends AS attempts WHERE seq = line.seq AND {_PACKED}),
            (SELECT COUNT(*) FROM sends AS attempts WHERE seq = line.seq AND {_PACKED} AND {_TRY}
                AND outcome <> 'ok'),
            (SELECT COUNT(*) FROM batch_items WHERE seq = line.seq AND outcome = 'answered'),
            CASE WHEN owed.seq IS NULL THEN 0 ELSE cost_pusd END
        FROM batch_items AS line LEFT JOIN owed ON owed.seq = line.seq
        WHERE batch = ? AND outcome IS NULL
        AND custom_id IN ({", ".join("?" * len(custom_ids))}) ORDER BY custom_id, line.rowid""",
        (number, *custom_ids),
    ).fetchall()
    return [OpenLine(*row) for row in rows]


def read_open_reserved(connection: sqlite3.Connection, number: int) -> int:
    """Return what is set aside for a job's open requests."""
    (reserved,) = connection.execute(
        "SELECT COALESCE(SUM(reserved_pusd), 0) FROM batch_items WHERE batch = ? AND outcome IS NULL",
        (number,),
    ).fetchone()
    return int(reserved)
