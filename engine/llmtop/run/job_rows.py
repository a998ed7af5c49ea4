"""The batch jobs of a run as rows of its table: those at the provider first, then the last that ended."""

from __future__ import annotations

from llmtop.policy.batching import countdown_words, is_urgent
from llmtop.snapshot import FlightRow
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.batch_work import Job

_OVER = 20


def job_rows(batches: BatchSubmitter | None, at: float) -> list[FlightRow]:
    """Return one row a job; `at` is the wall clock."""
    if batches is None:
        return []
    return [_row(job, at) for job in (*batches.jobs, *reversed(batches.over[-_OVER:]))]


def _row(job: Job, at: float) -> FlightRow:
    record = job.record
    started_at = record.created_at or record.intended_at
    age_s = (record.over_at or at) - started_at
    is_bad = record.state in ("held", "failed") or (
        not record.is_over and record.ended_at is not None and is_urgent(at, record.results_until)
    )
    done = record.done or 0
    role = "bad" if is_bad else "good" if record.state == "retrieved" else "warn" if job.note else "plain"
    return FlightRow(
        key=f"b{record.number:04d}",
        via="batch",
        state=record.state,
        item_id=record.batch_id or record.tag,
        items_done=record.retrieved if record.is_over else done * record.items // max(1, record.requests),
        items=record.items,
        attempt=1,
        started_at=started_at,
        latency_s=max(0.0, age_s),
        tokens=record.tokens,
        cost_pusd=record.cost_pusd if record.retrieved else None,
        note=_note(job, at, age_s, done),
        role=role,  # type: ignore[arg-type]
    )


def _note(job: Job, at: float, age_s: float, done: int) -> str:
    record = job.record
    if job.note:
        return job.note
    if record.is_over:
        return record.error or ""
    words = [f"{record.failed:,} failed" if record.failed else ""]
    if 0 < done < record.requests and age_s > 0:
        words.append(f"{done / age_s:.1f}/s, {(record.requests - done) * age_s / done:.0f} s to go")
    if job.next_poll_at is not None:
        words.append(f"next look in {max(0.0, job.next_poll_at - at):.0f} s")
    words.append(
        countdown_words(
            at,
            expires_at=record.expires_at,
            results_until=record.results_until,
            is_terminal=record.ended_at is not None,
        )
    )
    return ", ".join(word for word in words if word)
