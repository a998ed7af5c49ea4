"""The batch side of a run, put together: which way it goes, and what goes that way."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from llmtop.batch_jobs import BatchLimits, BatchProvider, BatchRecord
from llmtop.config.schema import BatchConfig
from llmtop.policy.batching import JobLimits
from llmtop.policy.job_figures import latency_of
from llmtop.policy.limiter import Cause
from llmtop.policy.meters import BATCH_WINDOW_S
from llmtop.run.books import LedgerJobBooks
from llmtop.run.core import Core
from llmtop.run.feed import LedgerFeed
from llmtop.submit.batch_creating import Creator
from llmtop.submit.batch_filling import Filler
from llmtop.submit.batch_following import Follower
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.batch_making import Maker
from llmtop.submit.batch_packing import JobPacker
from llmtop.submit.batch_receiving import BatchReceiver
from llmtop.submit.batch_settling import LineSettler
from llmtop.submit.batch_sparing import Sparing
from llmtop.submit.batch_work import JobList, KeyDesk

if TYPE_CHECKING:
    from llmtop.run.run import Run

_FOLDER = "batches"
"""In the run's folder: the inputs of jobs that are not over."""
_SPARED_AT_MOST = 1000
"""Answers of the cache that may wait for the disk."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """A provider's batch jobs, with what all runs on its key share."""

    provider: BatchProvider
    desk: KeyDesk


def batch_side(run: Run, jobs: Jobs, core: Core, *, is_open: bool, is_spilling: bool) -> BatchSubmitter:
    """Put the batch jobs of a run together; not `is_open`: those that exist only.

    `is_spilling`: what was asked in a job once is finished in realtime.
    """
    own = LedgerJobBooks(run.ledger, run.opened.source, core.books)
    known = JobList()
    which: Literal["free", "fresh"] = "fresh" if is_spilling else "free"
    rng = random.Random(run.id)
    packer = JobPacker(
        feed=LedgerFeed(run.opened.source, run.ledger, lambda: which),
        exchange=core.exchange,
        item_of=own.item,
        size=lambda: core.packs.size,
        sparing=_sparing(core, known),
        keeps_left=lambda: maker.is_open and not is_spilling,
    )
    creator = _creator(run, jobs, own, known, rng)
    settler = _settler(run, core, own, known, packer)
    took = partial(_took, run, core)
    follower = Follower(
        jobs=known,
        provider=jobs.provider,
        books=own,
        receiver=BatchReceiver(provider=jobs.provider, books=own, settler=settler),
        poll_interval_s=run.config.batch.poll_interval,
        deadline_at=_deadline_at(run),
        rng=rng,
        on_halt=run.halted,
        on_news=run.heard,
        on_retrieved=took,
        wall=run.wall,
    )
    maker = Maker(
        jobs=known,
        line=core.line,
        books=own,
        packer=packer,
        filler=_filler(run, jobs, core, packer),
        creator=creator,
        settler=settler,
        settlement=core.settlement,
        patience_s=run.config.retry.give_up_throttled_after,
        deadline_at=_deadline_at(run),
        on_halt=run.halted,
        on_news=run.heard,
        clock=run.clock,
        wall=run.wall,
        is_open=is_open,
    )
    for job in known.over:
        if (job.record.over_at or 0.0) > run.wall() - BATCH_WINDOW_S:
            took(job.record)
    return BatchSubmitter(
        jobs=known,
        maker=maker,
        creator=creator,
        follower=follower,
        books=own,
        on_news=run.heard,
        wall=run.wall,
    )


def _filler(run: Run, jobs: Jobs, core: Core, packer: JobPacker) -> Filler:
    return Filler(
        packer=packer,
        provider=jobs.provider,
        exchange=core.exchange,
        settlement=core.settlement,
        estimator=core.estimator,
        folder=run.ledger.folder / _FOLDER,
        prefix=f"lt{hashlib.sha256(run.id.encode()).hexdigest()[:12]}",
        limits=_limits(jobs.provider.limits, run.config.batch),
        wall=run.wall,
    )


def _creator(run: Run, jobs: Jobs, own: LedgerJobBooks, known: JobList, rng: random.Random) -> Creator:
    return Creator(
        jobs=known,
        provider=jobs.provider,
        books=own,
        desk=jobs.desk,
        poll_interval_s=run.config.batch.poll_interval,
        look_for_s=run.config.batch.look_for,
        patience_s=run.config.retry.give_up_throttled_after,
        rng=rng,
        on_news=run.heard,
        clock=run.clock,
        wall=run.wall,
    )


def _settler(run: Run, core: Core, own: LedgerJobBooks, known: JobList, packer: JobPacker) -> LineSettler:
    return LineSettler(
        exchange=core.exchange,
        books=own,
        settlement=core.settlement,
        sieve=core.reception.sieve,
        packer=packer,
        meters=core.meters,
        max_attempts=run.config.retry.max_attempts,
        on_halt=run.halted,
        on_commit=known.ring,
        clock=run.clock,
        wall=run.wall,
    )


def _took(run: Run, core: Core, record: BatchRecord) -> None:
    """Count how long a job took that was retrieved."""
    if (latency_s := latency_of(record)) is not None:
        core.meters.batch_ended(run.clock(), latency_s)


def _deadline_at(run: Run) -> float | None:
    """Return when jobs end for the rest to go in realtime (wall clock); None: never, or it could not."""
    settings = run.config.batch
    if settings.deadline is None or settings.spill == "none":
        return None
    return (run.opened.record.started_at or run.wall()) + settings.deadline


def _limits(said: BatchLimits, settings: BatchConfig) -> JobLimits:
    return JobLimits(
        max_requests=min(said.max_requests, settings.max_requests or said.max_requests),
        max_bytes=min(said.max_bytes, settings.max_bytes or said.max_bytes),
        max_enqueued_tokens=settings.max_enqueued_tokens,
    )


def _sparing(core: Core, known: JobList) -> Sparing | None:
    """Return what jobs take from the cache; None: the run has none."""
    settlement = core.settlement
    if settlement.cached is None:
        return None

    async def has_room() -> None:
        while Cause.PAUSE in core.line.blocks or settlement.uncommitted >= _SPARED_AT_MOST:
            await known.changed()

    return Sparing(settlement.cached, core.exchange, has_room)
