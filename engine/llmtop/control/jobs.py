"""The batch jobs of a run, whether it is live or not: read from its ledger."""

from __future__ import annotations

from dataclasses import dataclass

from llmtop.adapters.home import Home
from llmtop.adapters.ledger.lock import owner_pid
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.batch_jobs import BatchRecord
from llmtop.policy.batching import countdown_words
from llmtop.policy.job_figures import Seen, batch_factor_of, job_row
from llmtop.snapshot import FlightRow, JobView

__all__ = ["BatchRecord", "JobLine", "job_lines"]


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job, with how long it may still take, or its results can still be had, in words."""

    record: BatchRecord
    age_s: float
    countdown: str
    row: FlightRow
    """As the dashboard shows it, but for what only its engine knows."""
    job: JobView
    """Of the row."""


def job_lines(home: Home, ref: str, now: float) -> tuple[JobLine, ...]:
    """Return the jobs of a run, oldest first; `now` in epoch seconds. Raises UsageError, StateError."""
    folder = home.resolve(ref).folder
    seen = None if owner_pid(folder) is None else Seen()
    with LedgerReader(folder) as reader:
        factor = batch_factor_of(reader.record().prices)
        return tuple(_line(record, now, factor, seen) for record in reader.jobs())


def _line(record: BatchRecord, now: float, batch_factor: float | None, seen: Seen | None) -> JobLine:
    age_s = max(0.0, (record.over_at or now) - (record.created_at or record.intended_at))
    words = countdown_words(
        now,
        expires_at=record.expires_at,
        results_until=record.results_until,
        is_terminal=record.ended_at is not None,
    )
    row = job_row(record, now, batch_factor, seen)
    assert row.job is not None  # since it is the row of a job
    return JobLine(record, age_s, "" if record.is_over else words, row, row.job)
