"""What a run is made of, put together in one place."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmtop.adapters.ledger import Totals
from llmtop.model import Usage
from llmtop.policy.budget import Budget
from llmtop.policy.estimates import TokenEstimates
from llmtop.policy.meters import MeterTotals, RunMeters
from llmtop.policy.pricing import Pricer
from llmtop.policy.retry import RetryPolicy
from llmtop.run.books import LedgerBooks
from llmtop.run.exchange import ChatExchange
from llmtop.run.feed import LedgerFeed
from llmtop.run.filtering import RunFilters
from llmtop.run.packs import RunPacks
from llmtop.snapshot import ErrorKind, ErrorsView
from llmtop.submit.accounts import Accounts
from llmtop.submit.cached import Cached, CacheUse, InFlight
from llmtop.submit.checks import PackChecks
from llmtop.submit.estimator import Estimator
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
    submitter: RealtimeSubmitter
    cached: Cached | None
    """None: the run has no cache."""
    filters: RunFilters | None
    """None: the run has no filters."""
    packs: RunPacks


@dataclass(frozen=True, slots=True)
class Caching:
    """What a run shares with the others of its process, where it has a cache."""

    use: CacheUse
    in_flight: InFlight


def assemble(
    run: Run, exchange: ChatExchange, pricer: Pricer, estimates: TokenEstimates, caching: Caching | None
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
    )
    meters = RunMeters(run.clock(), _restored(totals))
    books = LedgerBooks(run.ledger, totals.last_attempt_id)
    line = run.lane.line(run.id)
    reception = Reception(
        exchange=exchange,
        books=books,
        accounts=accounts,
        meters=meters,
        estimator=Estimator(
            estimates,
            config.provider.model,
            config.request.prompt or "",
            config.request.max_output_tokens,
        ),
        retry=RetryPolicy(config.retry, random.Random(run.id)),
        on_halt=run.halted,
        on_result=run.finished,
        clock=run.clock,
        wall=run.wall,
    )
    reception.filters = run.opened.filters
    cached = None if caching is None else _cached(run, exchange, reception, caching)
    share = config.execution.pack_check
    reception.checks = PackChecks(exchange, share, run.id, checked=totals.checked, agreed=totals.agreed)
    packs = RunPacks(run.lane, config.execution.items_per_request)
    packer = reception.packer = Packer(exchange, lambda: packs.size, packs.choose)
    submitter = RealtimeSubmitter(
        feed=LedgerFeed(run.opened.source, run.ledger.pending),
        line=line,
        exchange=exchange,
        books=books,
        reception=reception,
        packer=packer,
        on_halt=run.halted,
        clock=run.clock,
        wall=run.wall,
    )
    return Parts(line, accounts, meters, reception, submitter, cached, run.opened.filters, packs)


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
