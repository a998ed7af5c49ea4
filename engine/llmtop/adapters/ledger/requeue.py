"""What changes after a result was written: items put back in the queue, output files that move."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.adapters.ledger.lines import storable
from llmtop.adapters.ledger.output import Output
from llmtop.adapters.ledger.records import RunRecord
from llmtop.errors import UsageError
from llmtop.model import ItemStatus, RunCounts

_RETRIED: tuple[ItemStatus, ...] = ("failed", "rejected")


def requeue(
    connection: sqlite3.Connection, output: Output, statuses: Sequence[ItemStatus], ids: Sequence[str] | None
) -> RunCounts:
    """Take results out in one transaction, then write the output files anew; return what went.

    A crash between the two leaves `output_state = 'rewrite'`, and the next owner writes the files.
    Attempts stay as history. Raises UsageError for an id that is not in the run.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _choose(connection, statuses, ids)
        taken = _count(connection)
        if taken.total:
            connection.execute(
                """INSERT INTO owed SELECT seq, cost_pusd FROM results
                WHERE seq IN (SELECT seq FROM temp.chosen) AND (cost_pusd IS NULL OR cost_pusd <> 0)
                ON CONFLICT (seq) DO UPDATE SET cost_pusd = excluded.cost_pusd"""
            )
            connection.execute("DELETE FROM lines WHERE seq IN (SELECT seq FROM temp.chosen)")
            connection.execute("DELETE FROM results WHERE seq IN (SELECT seq FROM temp.chosen)")
            for file in output.files:
                _renumber(connection, file.statuses)
            connection.execute(
                """UPDATE run SET output_state = 'rewrite', finished_at = NULL, exit_code = NULL,
                state = CASE WHEN state IN ('finished', 'cancelled') THEN 'stopped' ELSE state END"""
            )
        connection.execute("DROP TABLE temp.chosen")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if taken.total:
        output.rewrite(connection)
        connection.execute("UPDATE run SET output_state = 'open'")
    return taken


def renew_record(connection: sqlite3.Connection, record: RunRecord) -> None:
    """Take config, source, output files and prices from how the run is started this time.

    A new output file is filled from the ledger when the owner opens it; the old one stays as it is.
    """
    connection.execute("BEGIN IMMEDIATE")
    old = connection.execute("SELECT output_path, rejected_path FROM run").fetchone()
    connection.execute(
        """UPDATE run SET config = ?, prices = ?, source_path = ?, output_path = ?, rejected_path = ?""",
        (
            json.dumps(record.config, default=str),
            json.dumps(record.prices, default=str),
            record.source_path,
            record.output_path,
            record.rejected_path,
        ),
    )
    if old != (record.output_path, record.rejected_path):
        connection.execute("UPDATE run SET output_state = 'open'")
        for file in Output(record.output_path, record.rejected_path).files:
            _renumber(connection, file.statuses)
    connection.execute("COMMIT")


def _count(connection: sqlite3.Connection) -> RunCounts:
    """Count what is chosen by what it had come to; `total` is the sum."""
    found: dict[str, int] = dict(
        connection.execute(
            "SELECT status, COUNT(*) FROM temp.chosen JOIN results USING (seq) GROUP BY status"
        ).fetchall()
    )
    return RunCounts(
        total=sum(found.values()),
        done=found.get("done", 0),
        rejected=found.get("rejected", 0),
        failed=found.get("failed", 0),
    )


def _choose(
    connection: sqlite3.Connection, statuses: Sequence[ItemStatus], ids: Sequence[str] | None
) -> None:
    connection.execute("CREATE TEMP TABLE chosen (seq INTEGER PRIMARY KEY)")
    marks = ", ".join("?" * len(statuses))
    if ids is None:
        connection.execute(f"INSERT INTO chosen SELECT seq FROM results WHERE status IN ({marks})", statuses)
        return
    for id in ids:
        found = connection.execute("SELECT seq FROM items WHERE id = ?", (storable(id),)).fetchone()
        if found is None:
            raise UsageError(f"item {id[:80]!r}", "is not in this run", "`llmtop items` lists its items")
        connection.execute(
            f"""INSERT INTO chosen SELECT seq FROM results WHERE seq = ? AND status IN ({marks})
            ON CONFLICT DO NOTHING""",
            (found[0], *statuses),
        )


def _renumber(connection: sqlite3.Connection, statuses: Sequence[ItemStatus]) -> None:
    """Close the gaps: every line begins where the one before it ends."""
    marks = ", ".join("?" * len(statuses))
    connection.execute(
        f"""UPDATE results SET file_end = moved.file_end FROM (
            SELECT results.seq AS seq,
                SUM(length(lines.line) + 1) OVER (ORDER BY results.file_end) AS file_end
            FROM results JOIN lines ON lines.seq = results.seq WHERE results.status IN ({marks})
        ) AS moved WHERE results.seq = moved.seq""",
        tuple(statuses),
    )


def retry_choice(values: Mapping[str, Any] | None) -> tuple[tuple[ItemStatus, ...], list[str] | None]:
    """Return the statuses and ids that a `retry` command means.

    `failed`, `rejected` (bool) choose statuses; `ids` (list) narrows it to these items. Ids without
    a status mean those items whatever they came to; nothing at all means every failed item.
    """
    wanted = values or {}
    ids = wanted.get("ids")
    statuses: list[ItemStatus] = [status for status in _RETRIED if wanted.get(status)]
    if not statuses:
        statuses = ["done", "rejected", "failed"] if ids else ["failed"]
    return tuple(statuses), list(ids) if ids else None
