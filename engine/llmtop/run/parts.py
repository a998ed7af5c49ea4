"""What a run is made of, put together in one place."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmtop.adapters.ledger import Pending, Totals
from llmtop.model import Usage
from llmtop.policy.batching import REALTIME, Way
from llmtop.policy.budget import Budget
from llmtop.policy.estimates import TokenEstimates
from llmtop.policy.meters import MeterTotals, RunMeters
from llmtop.policy.pricing import Pricer
from llmtop.policy.retry import RetryPolicy
from llmtop.run.batch_parts import Jobs, batch_side
from llmtop.run.books import LedgerBooks
from llmtop.run.exchange import ChatExchange
from llmtop.run.feed import LedgerFeed
from llmtop.run.filtering import RunFilters
from llmtop.run.packs import RunPacks
from llmtop.run.workload import way_of
from llmtop.snapshot import ErrorKind, ErrorsView
from llmtop.submit.accounts import Accounts
from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.both_ways import BothWays
from llmtop.submit.cached import Cached, CacheUse, InFlight
from llmtop.submit.checks import PackChecks
from llmtop.submit.estimator import Estimator
from llmtop.submit.filtering import Sieve
from llmtop.submit.line import Line
from llmtop.submit.packer import Packer
from llmtop.submit.realtime import RealtimeSubmitter
from llmtop.submit.reception import Reception
from llmtop.submit.settlement import Settlement

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
    totals = run.opened.totals
    config = run.config
    budget = Budget(config.budget.max_cost, totals.spent_pusd, totals.maybe_billed_pusd)
    accounts = Accounts(
        budget,
        pricer,
        unpriced=totals.unknown_cost,
        estimated=totals.estimated,
        maybe_billed=totals.maybe_billed,
        tokens=Usage(
            input_tokens=totals.input_tokens,
            cached_input_tokens=totals.cached_input_tokens,
            output_tokens=totals.output_tokens,
            reasoning_tokens=totals.reasoning_tokens,
        ),
        batch_pusd=totals.batch_pusd,
    )
    meters = RunMeters(run.clock(), _restored(totals))
    books = LedgerBooks(run.ledger, totals.last_attempt_id)
    line = run.lane.line(run.id)
    estimator = Estimator(
        estimates, config.provider.model, config.request.prompt or "", config.request.max_output_tokens
    )
    reception = Reception(
        exchange=exchange,
        settlement=Settlement(
            books=books,
            accounts=accounts,
            meters=meters,
            filters=run.opened.filters,
            on_result=run.finished,
            clock=run.clock,
            wall=run.wall,
        ),
        sieve=Sieve(run.opened.filters, exchange),
        meters=meters,
        estimator=estimator,
        retry=RetryPolicy(config.retry, random.Random(run.id)),
        on_halt=run.halted,
        clock=run.clock,
        wall=run.wall,
    )
    cached = None if caching is None else _cached(run, exchange, reception, caching)
    share = config.execution.pack_check
    reception.checks = PackChecks(exchange, share, run.id, checked=totals.checked, agreed=totals.agreed)
    packs = RunPacks(run.lane, config.execution.items_per_request)
    packer = reception.packer = Packer(exchange, lambda: packs.size, packs.choose)
    way = way_of(config, run.counts.total, pricer, has_batches=jobs is not None, spent_s=_spent_s(run))
    submitter: RealtimeSubmitter | BatchSubmitter | BothWays
    batches: BatchSubmitter | None = None
    is_batch = way.mode == "batch"
    has_jobs = is_batch or config.batch.spill == "both" or bool(run.ledger.jobs(is_open_only=True))
    if jobs is not None and has_jobs:
        is_open = is_batch or config.batch.spill == "both"
        batches = batch_side(
            run,
            jobs,
            line,
            exchange,
            books,
            reception,
            estimator,
            meters,
            packs,
            is_open=is_open,
            is_spilling=is_batch and config.batch.spill != "none",
        )
        reception.settlement.on_commit = batches.woken
    if batches is not None and is_batch and config.batch.spill == "none":
        submitter = batches
    else:

        def which() -> Pending:
            """What jobs leave over; and all that is in none, once no more are made."""
            return "spilled" if is_batch and batches is not None and not batches.is_late else "free"

        realtime = RealtimeSubmitter(
            feed=LedgerFeed(run.opened.source, run.ledger, which),
            line=line,
            exchange=exchange,
            books=books,
            reception=reception,
            packer=packer,
            on_halt=lambda halt: (both or run).halted(halt),
            clock=run.clock,
            wall=run.wall,
        )
        submitter = realtime
        both: BothWays | None = None
        if batches is not None:
            takes_over = not is_batch and config.batch.spill == "both"
            submitter = both = BothWays(batches, realtime, takes_over=takes_over, on_halt=run.halted)
            reception.on_halt = both.halted
            settlement = reception.settlement
            settlement.on_commit = _all(settlement.on_commit, batches.woken)
    return Parts(
        line,
        accounts,
        meters,
        reception,
        submitter,
        cached,
        run.opened.filters,
        packs,
        batches=batches,
        way=way,
    )


def _spent_s(run: Run) -> float:
    """Return how long ago the run began."""
    started_at = run.opened.record.started_at
    return 0.0 if started_at is None else max(0.0, run.wall() - started_at)


def _all(*told: Callable[[], None]) -> Callable[[], None]:
    def tell() -> None:
        for one in told:
            one()

    return tell


def _cached(run: Run, exchange: ChatExchange, reception: Reception, caching: Caching) -> Cached:
    totals = run.opened.totals
    return Cached(
        caching.use,
        caching.in_flight,
        exchange,
        reception,
        run.wall,
        hits=totals.cache_hits,
        joined=totals.dup_joined,
        saved_pusd=totals.saved_cache_pusd,
    )


def _restored(totals: Totals) -> MeterTotals:
    kinds = tuple(
        ErrorKind(
            name=error.error_type,
            count=error.count,
            per_min=0.0,
            last_at=error.last_at,
            cost="before this start",
            last_message=error.last_message,
        )
        for error in totals.errors
    )
    status_5xx = sum(error.count for error in totals.errors if 500 <= (error.http_status or 0) < 600)
    errors = ErrorsView(kinds=kinds, status_429=totals.throttled_429, status_5xx=status_5xx)
    return MeterTotals(requests=totals.requests, retries=totals.retries, errors=errors)
