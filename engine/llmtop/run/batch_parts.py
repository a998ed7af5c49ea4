"""The batch side of a run, put together: which way it goes, and what goes that way."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmtop.batch_jobs import BatchProvider
from llmtop.policy.batching import JobLimits, Way, choose_way
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import Pricer
from llmtop.run.books import LedgerBooks, LedgerJobBooks
from llmtop.run.exchange import ChatExchange
from llmtop.run.feed import LedgerFeed
from llmtop.submit.batch_creating import Creator
from llmtop.submit.batch_filling import Filler
from llmtop.submit.batch_following import Follower
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.batch_making import Maker
from llmtop.submit.batch_receiving import BatchReceiver
from llmtop.submit.batch_work import JobList, KeyDesk
from llmtop.submit.estimator import Estimator
from llmtop.submit.line import Line
from llmtop.submit.reception import Reception

if TYPE_CHECKING:
    from llmtop.run.run import Run

_FOLDER = "batches"
"""In the run's folder: the inputs of jobs that are not over."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """A provider's batch jobs, with what all runs on its key share."""

    provider: BatchProvider
    desk: KeyDesk


def way_of(run: Run, jobs: Jobs | None, pricer: Pricer) -> Way:
    """Return which way new items go, and why."""
    config = run.config
    if config.execution.mode != "auto":
        return Way(config.execution.mode, "")
    return choose_way(
        run.counts.total,
        has_batches=jobs is not None,
        batch_factor=pricer.batch_factor,
        deadline_s=config.batch.deadline,
        window_s=config.batch.completion_window,
    )


def batch_side(
    run: Run,
    jobs: Jobs,
    line: Line,
    exchange: ChatExchange,
    books: LedgerBooks,
    reception: Reception,
    estimator: Estimator,
    meters: RunMeters,
    *,
    is_open: bool,
    is_spilling: bool,
) -> BatchSubmitter:
    """Put the batch jobs of a run together; not `is_open`: those that exist only.

    `is_spilling`: what was asked in a job once is finished in realtime.
    """
    settings, ledger = run.config.batch, run.ledger
    own = LedgerJobBooks(ledger, run.opened.source, books)
    which: Literal["free", "fresh"] = "fresh" if is_spilling else "free"
    feed = LedgerFeed(run.opened.source, ledger, which)
    rng = random.Random(run.id)
    said = jobs.provider.limits
    filler = Filler(
        feed=feed,
        provider=jobs.provider,
        exchange=exchange,
        reception=reception,
        estimator=estimator,
        folder=ledger.folder / _FOLDER,
        prefix=f"lt{hashlib.sha256(run.id.encode()).hexdigest()[:12]}",
        limits=JobLimits(
            max_requests=min(said.max_requests, settings.max_requests or said.max_requests),
            max_bytes=min(said.max_bytes, settings.max_bytes or said.max_bytes),
            max_enqueued_tokens=settings.max_enqueued_tokens,
        ),
        wall=run.wall,
    )
    creator = Creator(
        provider=jobs.provider,
        books=own,
        desk=jobs.desk,
        poll_interval_s=settings.poll_interval,
        rng=rng,
        on_news=run.heard,
        wall=run.wall,
    )
    receiver = BatchReceiver(
        provider=jobs.provider,
        exchange=exchange,
        books=own,
        reception=reception,
        meters=meters,
        explained=filler.explained,
        max_attempts=run.config.retry.max_attempts,
        on_halt=run.halted,
        on_commit=lambda: submitter.woken(),
        clock=run.clock,
        wall=run.wall,
    )
    started_at = run.opened.record.started_at or run.wall()
    known = JobList()
    follower = Follower(
        jobs=known,
        provider=jobs.provider,
        books=own,
        receiver=receiver,
        poll_interval_s=settings.poll_interval,
        deadline_at=None if settings.deadline is None else started_at + settings.deadline,
        rng=rng,
        on_halt=run.halted,
        on_news=run.heard,
        wall=run.wall,
    )
    maker = Maker(
        jobs=known,
        feed=feed if is_open else None,
        line=line,
        books=own,
        filler=filler,
        creator=creator,
        receiver=receiver,
        settlement=reception.settlement,
        on_halt=run.halted,
        on_news=run.heard,
        wall=run.wall,
    )
    submitter = BatchSubmitter(
        jobs=known,
        maker=maker,
        creator=creator,
        follower=follower,
        provider=jobs.provider,
        books=own,
        on_news=run.heard,
        wall=run.wall,
    )
    return submitter
