"""The batch side of a run, put together: which way it goes, and what goes that way."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmtop.batch_jobs import BatchLimits, BatchProvider, BatchRecord
from llmtop.config.schema import BatchConfig
from llmtop.policy.batching import JobLimits
from llmtop.policy.job_figures import latency_of
from llmtop.policy.limiter import Cause
from llmtop.policy.meters import BATCH_WINDOW_S, RunMeters
from llmtop.run.books import LedgerBooks, LedgerJobBooks
from llmtop.run.exchange import ChatExchange
from llmtop.run.feed import LedgerFeed
from llmtop.run.packs import RunPacks
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
from llmtop.submit.estimator import Estimator
from llmtop.submit.line import Line
from llmtop.submit.reception import Reception
from llmtop.submit.settlement import Settlement

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


def batch_side(
    run: Run,
    jobs: Jobs,
    line: Line,
    exchange: ChatExchange,
    books: LedgerBooks,
    reception: Reception,
    estimator: Estimator,
    meters: RunMeters,
    packs: RunPacks,
    *,
    is_open: bool,
    is_spilling: bool,
) -> BatchSubmitter:
    """Put the batch jobs of a run together; not `is_open`: those that exist only.

    `is_spilling`: what was asked in a job once is finished in realtime.
    """
    settings, ledger = run.config.batch, run.ledger
    settlement = reception.settlement
    own = LedgerJobBooks(ledger, run.opened.source, books)
    known = JobList()
    which: Literal["free", "fresh"] = "fresh" if is_spilling else "free"
    deadline_at = _deadline_at(run)
    rng = random.Random(run.id)
    packer = JobPacker(
        feed=LedgerFeed(run.opened.source, ledger, lambda: which),
        exchange=exchange,
        item_of=own.item,
        size=lambda: packs.size,
        sparing=_sparing(line, exchange, settlement, known),
        keeps_left=lambda: maker.is_open and not is_spilling,
    )
    filler = Filler(
        packer=packer,
        provider=jobs.provider,
        exchange=exchange,
        settlement=settlement,
        estimator=estimator,
        folder=ledger.folder / _FOLDER,
        prefix=f"lt{hashlib.sha256(run.id.encode()).hexdigest()[:12]}",
        limits=_limits(jobs.provider.limits, settings),
        wall=run.wall,
    )
    creator = Creator(
        jobs=known,
        provider=jobs.provider,
        books=own,
        desk=jobs.desk,
        poll_interval_s=settings.poll_interval,
        patience_s=run.config.retry.give_up_throttled_after,
        rng=rng,
        on_news=run.heard,
        clock=run.clock,
        wall=run.wall,
    )
    settler = LineSettler(
        exchange=exchange,
        books=own,
        settlement=settlement,
        sieve=reception.sieve,
        packer=packer,
        meters=meters,
        max_attempts=run.config.retry.max_attempts,
        on_halt=run.halted,
        on_commit=known.ring,
        clock=run.clock,
        wall=run.wall,
    )
    receiver = BatchReceiver(provider=jobs.provider, books=own, settler=settler)

    def took(record: BatchRecord) -> None:
        if (latency_s := latency_of(record)) is not None:
            meters.batch_ended(run.clock(), latency_s)

    follower = Follower(
        jobs=known,
        provider=jobs.provider,
        books=own,
        receiver=receiver,
        poll_interval_s=settings.poll_interval,
        deadline_at=deadline_at,
        rng=rng,
        on_halt=run.halted,
        on_news=run.heard,
        on_retrieved=took,
        wall=run.wall,
    )
    maker = Maker(
        jobs=known,
        line=line,
        books=own,
        packer=packer,
        filler=filler,
        creator=creator,
        settler=settler,
        settlement=settlement,
        patience_s=run.config.retry.give_up_throttled_after,
        deadline_at=deadline_at,
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


def _sparing(line: Line, exchange: ChatExchange, settlement: Settlement, known: JobList) -> Sparing | None:
    """Return what jobs take from the cache; None: the run has none."""
    if settlement.cached is None:
        return None

    async def has_room() -> None:
        while Cause.PAUSE in line.blocks or settlement.uncommitted >= _SPARED_AT_MOST:
            await known.changed()

    return Sparing(settlement.cached, exchange, has_room)
