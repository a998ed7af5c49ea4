"""What both ways of a run work with: its line, its money, and who takes its answers in."""

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
from llmtop.run.packs import RunPacks
from llmtop.snapshot import ErrorKind, ErrorsView
from llmtop.submit.accounts import Accounts
from llmtop.submit.checks import PackChecks
from llmtop.submit.estimator import Estimator
from llmtop.submit.filtering import Sieve
from llmtop.submit.line import Line
from llmtop.submit.reception import Reception
from llmtop.submit.settlement import Settlement

if TYPE_CHECKING:
    from llmtop.run.run import Run


@dataclass(frozen=True, slots=True)
class Core:
    """One run's own objects, whichever way its items go."""

    exchange: ChatExchange
    line: Line
    books: LedgerBooks
    accounts: Accounts
    meters: RunMeters
    settlement: Settlement
    reception: Reception
    estimator: Estimator
    packs: RunPacks


def core_of(run: Run, exchange: ChatExchange, pricer: Pricer, estimates: TokenEstimates) -> Core:
    """Make them from the ledger's totals, so that a restart goes on where it was."""
    totals, config = run.opened.totals, run.config
    meters = RunMeters(run.clock(), _restored(totals))
    books = LedgerBooks(run.ledger, totals.last_attempt_id)
    accounts = _accounts(config.budget.max_cost, pricer, totals)
    estimator = Estimator(
        estimates, config.provider.model, config.request.prompt or "", config.request.max_output_tokens
    )
    settlement = Settlement(
        books=books,
        accounts=accounts,
        meters=meters,
        filters=run.opened.filters,
        on_result=run.finished,
        clock=run.clock,
        wall=run.wall,
    )
    reception = Reception(
        exchange=exchange,
        settlement=settlement,
        sieve=Sieve(run.opened.filters, exchange),
        meters=meters,
        estimator=estimator,
        retry=RetryPolicy(config.retry, random.Random(run.id)),
        on_halt=run.halted,
        clock=run.clock,
        wall=run.wall,
    )
    share = config.execution.pack_check
    reception.checks = PackChecks(exchange, share, run.id, checked=totals.checked, agreed=totals.agreed)
    return Core(
        exchange=exchange,
        line=run.lane.line(run.id),
        books=books,
        accounts=accounts,
        meters=meters,
        settlement=settlement,
        reception=reception,
        estimator=estimator,
        packs=RunPacks(run.lane, config.execution.items_per_request),
    )


def _accounts(cap: int | None, pricer: Pricer, totals: Totals) -> Accounts:
    return Accounts(
        Budget(cap, totals.spent_pusd, totals.maybe_billed_pusd),
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
