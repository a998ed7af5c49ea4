"""What a comparison of runs reads from a ledger, beside what every reader reads. Short reads, read-only."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from llmtop.adapters.ledger.connection import DATABASE_NAME, in_words, read_database
from llmtop.adapters.ledger.past import read_asked_again

_ROWS_A_READ = 2000
_LINES_A_READ = 500
_RULES_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the answers that a request brought, in milliseconds; None: there is none."""

    p50_ms: int | None
    p95_ms: int | None


class ComparisonReader:
    """Use it as `with`. Every method raises StateError when the ledger cannot be read."""

    def __init__(self, folder: Path) -> None:
        """Open the ledger of the run in `folder`."""
        self.path = folder / DATABASE_NAME
        self._connection = read_database(self.path)

    def __enter__(self) -> ComparisonReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def items_digest(self) -> bytes:
        """Return what the ids of all items in their order come to: equal for equal items."""
        digest = hashlib.sha256()
        for rows in self._pages("SELECT seq, id FROM items WHERE seq > ? ORDER BY seq LIMIT ?", _ROWS_A_READ):
            digest.update(orjson.dumps([item_id for _, item_id in rows]))
        return digest.digest()

    def first_difference(self, other: ComparisonReader) -> tuple[str | None, str | None]:
        """Return the first items in which two runs differ; None: the run has no item there."""
        sql = "SELECT seq, id FROM items WHERE seq > ? ORDER BY seq LIMIT ?"
        mine = (row[1] for rows in self._pages(sql, _ROWS_A_READ) for row in rows)
        others = (row[1] for rows in other._pages(sql, _ROWS_A_READ) for row in rows)
        while True:
            one, two = next(mine, None), next(others, None)
            if one != two or one is None:
                return one, two

    def latencies(self) -> Latencies:
        """Return percentiles (nearest rank) over all results that a request brought."""
        where = "FROM results WHERE via <> 'cache' AND latency_ms IS NOT NULL"
        with in_words(self.path):
            count = self._connection.execute(f"SELECT COUNT(*) {where}").fetchone()[0]
            found = [
                self._connection.execute(
                    f"SELECT latency_ms {where} ORDER BY latency_ms LIMIT 1 OFFSET ?",
                    (max(0, -(-count * percent // 100) - 1),),
                ).fetchone()
                for percent in (50, 95)
            ]
        return Latencies(*(row[0] if row else None for row in found))

    def last_finished_at(self) -> float | None:
        """Return when the newest result came, wall clock; None: there is none."""
        with in_words(self.path):
            found: float | None = self._connection.execute("SELECT MAX(finished_at) FROM results").fetchone()[
                0
            ]
        return found

    def failed_by(self) -> dict[str, int]:
        """Count failed items by their kind of error, most frequent first."""
        with in_words(self.path):
            rows = self._connection.execute(
                """SELECT COALESCE(error_type, ''), COUNT(*) FROM results WHERE status = 'failed'
                GROUP BY 1 ORDER BY 2 DESC, 1"""
            ).fetchall()
        return dict(rows)

    def rejected_by(self) -> dict[str, int]:
        """Count rejected items by the rule that said no, most frequent first.

        The rule is the last entry of the result's filter trail; where there is none, the message.
        """
        sql = """SELECT results.seq, line FROM results JOIN lines ON lines.seq = results.seq
            WHERE status = 'rejected' AND results.seq > ? ORDER BY results.seq LIMIT ?"""
        counts: Counter[str] = Counter()
        for rows in self._pages(sql, _LINES_A_READ):
            for _, line in rows:
                rule = _rule(orjson.loads(line))
                if rule in counts or len(counts) < _RULES_AT_MOST:
                    counts[rule] += 1
        return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))

    def asked_again_by(self) -> dict[str, int]:
        """Count answers that were rejected and asked again by the rule that said no, most frequent first."""
        counts: Counter[str] = Counter()
        after = 0
        while True:
            with in_words(self.path):
                found = read_asked_again(self._connection, after, _LINES_A_READ)
            for _, trail in found:
                rule = _rule({"filters": trail})
                if rule in counts or len(counts) < _RULES_AT_MOST:
                    counts[rule] += 1
            if len(found) < _LINES_A_READ:
                return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
            after = found[-1][0]

    def outputs(self) -> Iterator[tuple[int, Any]]:
        """Yield (seq, output) of every item that is done, in input order."""
        sql = """SELECT results.seq, line FROM results JOIN lines ON lines.seq = results.seq
            WHERE status = 'done' AND results.seq > ? ORDER BY results.seq LIMIT ?"""
        for rows in self._pages(sql, _LINES_A_READ):
            for seq, line in rows:
                yield seq, orjson.loads(line)["output"]

    def _pages(self, sql: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield pages of rows whose first column is the seq; each page is a read of its own."""
        after = -1
        while True:
            with in_words(self.path):
                rows = _fetch(self._connection, sql, (after, size))
            if rows:
                yield rows
            if len(rows) < size:
                return
            after = rows[-1][0]


def _fetch(connection: sqlite3.Connection, sql: str, parameters: tuple[int, int]) -> list[tuple[Any, ...]]:
    return connection.execute(sql, parameters).fetchall()


def _rule(result: dict[str, Any]) -> str:
    trail = result.get("filters") or []
    if trail and isinstance(trail[-1], dict) and isinstance(trail[-1].get("use"), str):
        return str(trail[-1]["use"])
    error = result.get("error") or {}
    return str(error.get("message") or error.get("type") or "unknown")[:80]
