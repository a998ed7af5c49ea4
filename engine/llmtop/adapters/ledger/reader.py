"""Reading a run's ledger from outside: beside a live owner, or when nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from llmtop.adapters.ledger.connection import DATABASE_NAME, in_words, read_database
from llmtop.adapters.ledger.intake import ItemPlace
from llmtop.adapters.ledger.jobs import read_job, read_jobs
from llmtop.adapters.ledger.pages import next_seqs, read_attempts, read_page, read_row
from llmtop.adapters.ledger.past import read_asked_again
from llmtop.adapters.ledger.records import RunRecord, Totals
from llmtop.adapters.ledger.totals import read_counts, read_plan, read_record, read_totals
from llmtop.batch_jobs import BatchRecord
from llmtop.errors import StateError
from llmtop.listing import ItemDetail, ItemPage, ItemQuery, JobDetail
from llmtop.model import Decision, ItemStatus, RunCounts

_LINES_A_READ = 500
_HAS_FILTERS = b'"filters":[{'
"""Stands in the line of every result that a filter touched: within a text its quotes are escaped."""


class LedgerReader:
    """A read-only connection: every call is a short read of its own, so it never holds up the owner.

    Used from one thread at a time. Every method raises StateError when the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        """Open the ledger of the run in `folder`."""
        self.path = folder / DATABASE_NAME
        self._connection = read_database(self.path)

    def __enter__(self) -> LedgerReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self) -> RunRecord:
        """Return the run as it stands."""
        with in_words(self.path):
            record = read_record(self._connection)
        if record is None:
            raise StateError(str(self.path), "is damaged: it holds no run", "restore it from a backup")
        return record

    def plan(self) -> dict[str, Any] | None:
        """Return what was planned when the run was begun; None: it is not known."""
        with in_words(self.path):
            return read_plan(self._connection)

    def counts(self) -> RunCounts:
        """Count items by what they came to."""
        with in_words(self.path):
            return read_counts(self._connection)

    def totals(self) -> Totals:
        """Return all counters, over all starts of the run."""
        with in_words(self.path):
            return read_totals(self._connection)

    def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items, in input order."""
        with in_words(self.path):
            return read_page(self._connection, query)

    def item(self, item_id: str) -> ItemDetail | None:
        """Return one item without its prompt (the ledger does not hold the input); None: no such id."""
        with in_words(self.path):
            row = read_row(self._connection, item_id)
            if row is None:
                return None
            found = self._connection.execute("SELECT line FROM lines WHERE seq = ?", (row.seq,)).fetchone()
            return ItemDetail(
                row=row,
                messages=None,
                messages_note="",
                result=orjson.loads(found[0]) if found else None,
                attempts=read_attempts(self._connection, row.seq),
            )

    def place(self, seq: int) -> ItemPlace:
        """Return where in the input the item stands: (seq, id, line, byte offset)."""
        with in_words(self.path):
            found: ItemPlace = self._connection.execute(
                "SELECT seq, id, line, byte_offset FROM items WHERE seq = ?", (seq,)
            ).fetchone()
        return found

    def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""
        with in_words(self.path):
            rows = self._connection.execute(
                """SELECT at, what, old, new, why, origin FROM (
                    SELECT at, 1 AS kind, id, what, old, new, why, origin FROM decisions
                    UNION ALL
                    SELECT at, 2, id, 'command', '', verb || COALESCE(' ' || arguments, ''), message, origin
                    FROM commands
                ) AS everything ORDER BY at DESC, kind DESC, id DESC LIMIT ?""",
                (limit,),
            ).fetchall()
        return tuple(Decision(*row) for row in reversed(rows))

    def results(self, statuses: Sequence[ItemStatus] = ("done", "rejected", "failed")) -> Iterator[bytes]:
        """Yield the lines of these results in input order, without newlines: each item at most once.

        While the run goes, results that come in behind the place already read are in it.
        """
        return (line for _, line in self.numbered_results(statuses))

    def numbered_results(
        self, statuses: Sequence[ItemStatus] = ("done", "rejected", "failed")
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (seq, line) of these results, as `results`."""
        after = -1
        while True:
            with in_words(self.path):
                seqs = next_seqs(self._connection, statuses, after, _LINES_A_READ)
                rows = self._connection.execute(
                    f"SELECT seq, line FROM lines WHERE seq IN ({', '.join('?' * len(seqs))}) ORDER BY seq",
                    seqs,
                ).fetchall()
            yield from rows
            if len(seqs) < _LINES_A_READ:
                return
            after = seqs[-1]

    def results_filtered(self) -> Iterator[bytes]:
        """Yield the lines of results that a filter touched, in input order; rarely others as well.

        They are found by their bytes, without parsing the rest.
        """
        after = -1
        while True:
            with in_words(self.path):
                rows = self._connection.execute(
                    """SELECT seq, CASE WHEN instr(line, ?) THEN line END FROM lines
                    WHERE seq > ? ORDER BY seq LIMIT ?""",
                    (_HAS_FILTERS, after, _LINES_A_READ),
                ).fetchall()
            yield from (line for _, line in rows if line is not None)
            if len(rows) < _LINES_A_READ:
                return
            after = rows[-1][0]

    def asked_again(self) -> Iterator[list[Any]]:
        """Yield what the filters did to each answer that one of them rejected, with its item asked again."""
        after = 0
        while True:
            with in_words(self.path):
                rows = read_asked_again(self._connection, after, _LINES_A_READ)
            yield from (trail for _, trail in rows)
            if len(rows) < _LINES_A_READ:
                return
            after = rows[-1][0]

    def jobs(self) -> tuple[BatchRecord, ...]:
        """Return the run's batch jobs, oldest first."""
        with in_words(self.path):
            return read_jobs(self._connection)

    def job(self, number: int) -> JobDetail | None:
        """Return what the requests of one batch job came to; None: no such job."""
        with in_words(self.path):
            return read_job(self._connection, number)

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self._connection.close()
