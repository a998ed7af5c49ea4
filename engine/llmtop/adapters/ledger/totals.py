"""The counters of a run, worked out from its rows: what a restart begins with and a list shows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llmtop.adapters.ledger.records import ErrorCount, RunRecord, Totals
from llmtop.adapters.ledger.schema import BATCHES_VERSION, CACHE_VERSION, CHECKS_VERSION, version_of
from llmtop.model import RunCounts

_RECORD_COLUMNS = (
    *("id", "name", "created_at", "llmtop_version", "model", "provider", "config", "fingerprint"),
    *("fingerprint_parts", "source_path", "output_path", "rejected_path", "prices", "item_count", "state"),
    *("state_detail", "is_paused", "exit_code", "started_at", "finished_at", "elapsed_s"),
)
_JSON_COLUMNS = ("config", "fingerprint_parts", "prices")
_ERRORS_AT_MOST = 50


def insert_record(connection: sqlite3.Connection, record: RunRecord) -> None:
    """Write the one row of the table `run`."""
    values: dict[str, Any] = {name: getattr(record, name) for name in _RECORD_COLUMNS}
    for name in _JSON_COLUMNS:
        values[name] = json.dumps(values[name], ensure_ascii=True, default=str)
    columns = ", ".join((*_RECORD_COLUMNS, "output_state"))
    marks = ", ".join("?" * (len(_RECORD_COLUMNS) + 1))
    connection.execute(f"INSERT INTO run ({columns}) VALUES ({marks})", (*values.values(), "open"))


def read_record(connection: sqlite3.Connection) -> RunRecord | None:
    """Return the run's record; None where the file has no run in it."""
    row = connection.execute(f"SELECT {', '.join(_RECORD_COLUMNS)} FROM run").fetchone()
    if row is None:
        return None
    values = dict(zip(_RECORD_COLUMNS, row, strict=True))
    for name in _JSON_COLUMNS:
        values[name] = json.loads(values[name])
    values["is_paused"] = bool(values["is_paused"])
    return RunRecord(**values)


def read_plan(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return what was planned when the run was begun; None: it is not known."""
    if version_of(connection) < CHECKS_VERSION:
        return None
    row = connection.execute("SELECT plan FROM run").fetchone()
    return json.loads(row[0]) if row and row[0] else None


def read_counts(connection: sqlite3.Connection) -> RunCounts:
    """Count items by what they came to."""
    total = connection.execute(
        "SELECT COALESCE(item_count, (SELECT COUNT(*) FROM items)) FROM run"
    ).fetchone()
    by_status = dict(connection.execute("SELECT status, COUNT(*) FROM results GROUP BY status"))
    return RunCounts(total=total[0] if total else 0, **by_status)


def read_totals(connection: sqlite3.Connection) -> Totals:
    """Return all counters: as saved at the last close in order, else counted anew."""
    saved = connection.execute("SELECT totals FROM run").fetchone()
    if saved and saved[0]:
        return _from_json(json.loads(saved[0]))
    return count_totals(connection)


def save_totals(connection: sqlite3.Connection) -> None:
    """Keep the counters with the run, so that lists need not count again. Inside a transaction."""
    totals = json.dumps(asdict(count_totals(connection)))
    connection.execute("UPDATE run SET totals = ?", (totals,))


def count_totals(connection: sqlite3.Connection) -> Totals:
    """Count everything from the rows."""
    row = connection.execute(
        """SELECT COUNT(*), COALESCE(SUM(CASE WHEN number > 1 THEN 1 ELSE 0 END), 0),
            COALESCE(SUM(CASE WHEN http_status = 429 THEN 1 ELSE 0 END), 0),
            COALESCE(SUM(cost_pusd), 0),
            COALESCE(SUM(CASE WHEN outcome = 'ok' AND cost_pusd IS NULL THEN 1 ELSE 0 END), 0),
            COALESCE(SUM(CASE WHEN is_estimated = 1 THEN 1 ELSE 0 END), 0),
            COALESCE(SUM(is_maybe_billed), 0),
            COALESCE(SUM(CASE WHEN is_maybe_billed = 1 THEN reserved_pusd ELSE 0 END), 0),
            COALESCE(SUM(input_tokens), 0), COALESCE(SUM(cached_input_tokens), 0),
            COALESCE(SUM(cache_write_tokens), 0), COALESCE(SUM(output_tokens), 0),
            COALESCE(SUM(reasoning_tokens), 0), COALESCE(MAX(id), 0)
        FROM attempts"""
    ).fetchone()
    hits, joined, saved = _count_cache(connection)
    checked, agreed = _count_checks(connection)
    names = (
        *("requests", "retries", "throttled_429", "spent_pusd", "unknown_cost", "estimated", "maybe_billed"),
        *("maybe_billed_pusd", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"),
        *("reasoning_tokens", "last_attempt_id"),
    )
    return Totals(
        counts=read_counts(connection),
        cache_hits=hits,
        dup_joined=joined,
        saved_cache_pusd=saved,
        checked=checked,
        agreed=agreed,
        batch_pusd=_count_batches(connection),
        errors=_count_errors(connection),
        **dict(zip(names, row, strict=True)),
    )


def _count_cache(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return results from the cache, results that joined another's request, and what both saved."""
    if version_of(connection) < CACHE_VERSION:  # beside an owner of an earlier version, which has no cache
        return 0, 0, 0
    hits, joined, saved = connection.execute(
        """SELECT COUNT(*), COALESCE(SUM(is_joined), 0), COALESCE(SUM(saved_pusd), 0)
        FROM results WHERE via = 'cache'"""
    ).fetchone()
    return hits - joined, joined, saved


def _count_checks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return packed answers that were compared with lone ones, and those that agreed."""
    if version_of(connection) < CHECKS_VERSION:  # beside an owner of an earlier version, which checks none
        return 0, 0
    checked, agreed = connection.execute("SELECT COUNT(*), COALESCE(SUM(is_same), 0) FROM checks").fetchone()
    return checked, agreed


def _count_batches(connection: sqlite3.Connection) -> int:
    """Return what was paid for requests of batch jobs."""
    if version_of(connection) < BATCHES_VERSION:  # beside an owner of an earlier version
        return 0
    (paid,) = connection.execute(
        """SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts
        WHERE id IN (SELECT attempt_id FROM batch_items)"""
    ).fetchone()
    return int(paid)


def _count_errors(connection: sqlite3.Connection) -> tuple[ErrorCount, ...]:
    rows = connection.execute(
        """SELECT error_type, http_status, COUNT(*), MAX(ended_at), MAX(id) FROM attempts
        WHERE error_type IS NOT NULL GROUP BY error_type, http_status
        ORDER BY COUNT(*) DESC, error_type LIMIT ?""",
        (_ERRORS_AT_MOST,),
    ).fetchall()
    return tuple(
        ErrorCount(
            error_type=name,
            http_status=status,
            count=count,
            last_at=last_at,
            last_message=connection.execute(
                "SELECT error_message FROM attempts WHERE id = ?", (last_id,)
            ).fetchone()[0]
            or "",
        )
        for name, status, count, last_at, last_id in rows
    )


def _from_json(saved: Mapping[str, Any]) -> Totals:
    values = dict(saved)
    values["counts"] = RunCounts(**values["counts"])
    values["errors"] = tuple(ErrorCount(**error) for error in values["errors"])
    return Totals(**values)
