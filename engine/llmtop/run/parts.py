"""What a run is made of, put together in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmtop.adapters.ledger import Pending
from llmtop.policy.batching import REALTIME, Way
from llmtop.policy.estimates import TokenEstimates
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import Pricer
from llmtop.run.batch_parts import Jobs, batch_side
from llmtop.run.core import Core, core_of
from llmtop.run.exchange import ChatExchange
from llmtop.run.feed import LedgerFeed
from llmtop.run.filtering import RunFilters
from llmtop.run.packs import RunPacks
from llmtop.run.workload import way_of
from llmtop.submit.accounts import Accounts
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.both_ways import BothWays
from llmtop.submit.cached import Cached, CacheUse, InFlight
from llmtop.submit.line import Line
from llmtop.submit.packer import Packer
from llmtop.submit.realtime import RealtimeSubmitter
from llmtop.submit.reception import Reception

if TYPE_CHECKING:
    from llmtop.run.run import Run


@dataclass(frozen=True, slots=True)
class Parts:
    """The live objects of one run; all belong to the engine's event loop."""

    line: Line
    accounts: Accounts
    meters: RunMeters
    reception: Reception
    submitter: RealtimeSubmitter | BatchSubmitter | BothWays
    cached: Cached | None
    """None: the run has no cache."""
    filters: RunFilters | None
    """None: the run has no filters."""
    packs: RunPacks
    batches: BatchSubmitter | None = None
    """None: the run has no batch jobs."""
    way: Way = REALTIME
    """Which way new items go, with the reason where `auto` chose it."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What a run shares with the others of its process, where it has a cache."""

    use: CacheUse
    in_flight: InFlight


def assemble(
    run: Run,
    exchange: ChatExchange,
    pricer: Pricer,
    estimates: TokenEstimates,
    caching: Caching | None,
    jobs: Jobs | None,
) -> Parts:
    """Put a run together from its ledger's totals, so that a restart goes on where it was."""
    core = core_of(run, exchange, pricer, estimates)
    cached = None if caching is None else _cached(run, core, caching)
    way = way_of(run.config, run.counts.total, pricer, has_batches=jobs is not None, spent_s=_spent_s(run))
    batches = None if jobs is None else _batches(run, core, jobs, way)
    return Parts(
        core.line,
        core.accounts,
        core.meters,
        core.reception,
        _submitter(run, core, batches, way),
        cached,
        run.opened.filters,
        core.packs,
        batches=batches,
        way=way,
    )


def _batches(run: Run, core: Core, jobs: Jobs, way: Way) -> BatchSubmitter | None:
    """Return the batch side, where there is or may come a job; None: all goes in realtime."""
    spill, is_batch = run.config.batch.spill, way.mode == "batch"
    is_open = is_batch or spill == "both"
    if not is_open and not run.ledger.jobs(is_open_only=True):
        return None
    batches = batch_side(run, jobs, core, is_open=is_open, is_spilling=is_batch and spill != "none")
    core.settlement.on_commit = batches.woken
    return batches


def _submitter(
    run: Run, core: Core, batches: BatchSubmitter | None, way: Way
) -> RealtimeSubmitter | BatchSubmitter | BothWays:
    """Return what sends the run's items: in realtime, in jobs, or either as it comes."""
    spill, is_batch = run.config.batch.spill, way.mode == "batch"
    if batches is not None and is_batch and spill == "none":
        return batches

    def which() -> Pending:
        """What jobs leave over; and all that is in none, once no more are made."""
        return "spilled" if is_batch and batches is not None and not batches.is_late else "free"

    packs = core.packs
    core.reception.packer = Packer(core.exchange, lambda: packs.size, packs.choose)
    realtime = RealtimeSubmitter(
        feed=LedgerFeed(run.opened.source, run.ledger, which),
        line=core.line,
        exchange=core.exchange,
        books=core.books,
        reception=core.reception,
        packer=core.reception.packer,
        on_halt=lambda halt: (both or run).halted(halt),
        clock=run.clock,
        wall=run.wall,
    )
    both: BothWays | None = None
    if batches is None:
        return realtime
    both = BothWays(batches, realtime, takes_over=not is_batch and spill == "both", on_halt=run.halted)
    core.reception.on_halt = both.halted
    core.settlement.on_commit = _all(core.settlement.on_commit, batches.woken)
    return both


def _spent_s(run: Run) -> float:
    """Return how long ago the run began."""
    started_at = run.opened.record.started_at
    return 0.0 if started_at is None else max(0.0, run.wall() - started_at)


def _all(*told: Callable[[], None]) -> Callable[[], None]:
    def tell() -> None:
        for one in told:
            one()

    return tell


def _cached(run: Run, core: Core, caching: Caching) -> Cached:
    totals = run.opened.totals
    return Cached(
        caching.use,
        caching.in_flight,
        core.exchange,
        core.reception,
        run.wall,
        hits=totals.cache_hits,
        joined=totals.dup_joined,
        saved_pusd=totals.saved_cache_pusd,
    )
