"""The batch jobs of a run as rows of its table: those at the provider first, then the last that ended."""

from __future__ import annotations

from llmtop.policy.job_figures import Seen, job_row
from llmtop.snapshot import FlightRow
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.batch_work import Job


def job_rows(batches: BatchSubmitter | None, at: float, batch_factor: float | None) -> list[FlightRow]:
    """Return one row a job; `at` is the wall clock, `batch_factor` batch price over realtime price."""
    if batches is None:
        return []
    jobs = (*batches.jobs, *reversed(batches.over))
    return [job_row(job.record, at, batch_factor, _seen(job)) for job in jobs]


def _seen(job: Job) -> Seen:
    record = job.record
    return Seen(
        per_s=job.pace.per_s(record.created_at or record.intended_at),
        next_look_at=job.next_poll_at,
        note=job.note,
        is_cancel_wanted=job.is_cancel_wanted,
    )
