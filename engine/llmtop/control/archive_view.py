"""The snapshot of a run that nobody runs, from its ledger: what is known stays, rates are none."""

from __future__ import annotations

from typing import Any

from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import ErrorCount, RunRecord, Totals
from llmtop.batch_jobs import BatchRecord
from llmtop.control.library import is_lower_bound, state_at_rest
from llmtop.model import Decision
from llmtop.policy.job_figures import batch_factor_of, batches_view, full_price, job_row, latency_of
from llmtop.policy.meters import Durations
from llmtop.snapshot import (
    CostView,
    ErrorKind,
    ErrorsView,
    FilterView,
    LatencyView,
    LogLine,
    PackView,
    Percentiles,
    Snapshot,
    ThroughputView,
    TunerView,
    plan_view_of,
)

_LOG_LINES = 100
_ROWS = 200
_DECISIONS = 50


def archive_snapshot(
    reader: LedgerReader,
    pid: int | None,
    version: int,
    now: float,
    filters: tuple[FilterView, ...] = (),
    jobs: tuple[BatchRecord, ...] = (),
) -> Snapshot:
    """Return the run as its ledger has it; `pid` is its owner's, None when nobody runs it.

    `filters` come from `archive_filters`, which reads too much for every tick; `jobs` are its batch
    jobs, oldest first.
    """
    record = reader.record()
    totals = reader.totals()
    factor = batch_factor_of(record.prices)
    rows = [job_row(job, now, factor) for job in sorted(jobs, key=lambda job: (job.is_over, -job.number))]
    decisions = reader.decisions(_LOG_LINES)
    commands = [decision for decision in decisions if decision.what == "command"]
    return Snapshot(
        version=version,
        at=now,
        run_id=record.id,
        name=record.name,
        state=state_at_rest(record, pid),
        state_detail=record.state_detail,
        counts=totals.counts,
        model=record.model,
        provider=record.provider,
        via=_way(record, bool(jobs)),
        started_at=record.started_at,
        elapsed_s=record.elapsed_s,
        exit_code=record.exit_code,
        output_path=record.output_path or "",
        throughput=ThroughputView(
            queued=totals.counts.pending,
            cache_hits=totals.cache_hits,
            dup_joined=totals.dup_joined,
            requests=totals.requests,
            retries=totals.retries,
            throttled_429=totals.throttled_429,
        ),
        latency=LatencyView(batch=_latency(jobs)),
        cost=_cost(record, totals, factor),
        rows=tuple(rows[:_ROWS]),
        batches=batches_view(rows, totals.batch_pusd, factor),
        errors=_errors(totals),
        plan=plan_view_of(reader.plan()),
        packs=PackView(totals.checked, totals.agreed),
        tuner=TunerView(decisions=tuple(d for d in decisions if d.by == "tuner")[-_DECISIONS:]),
        log=tuple(map(_log_line, decisions)),
        last_command=f"{commands[-1].by}: {commands[-1].new}" if commands else "",
        filters=filters,
    )


def archive_filters(reader: LedgerReader) -> tuple[FilterView, ...]:
    """Return what the run's filters did to its results: reads through all of them where it has filters."""
    tables = reader.record().config.get("filters")
    if not isinstance(tables, list) or not tables:
        return ()
    from llmtop.run.filtering import views_of  # all filters and what they need: for runs that have some

    names = [str(table.get("use", "")) if isinstance(table, dict) else "" for table in tables]
    return views_of(names, reader.results_filtered(), reader.asked_again())


def _way(record: RunRecord, has_jobs: bool) -> str:
    """Return which way the run went: `auto` is known by its jobs."""
    execution = record.config.get("execution")
    mode = str(execution.get("mode", "realtime")) if isinstance(execution, dict) else "realtime"
    return mode if mode != "auto" else "batch" if has_jobs else "realtime"


def _latency(jobs: tuple[BatchRecord, ...]) -> Percentiles:
    """Of all jobs of the run: at rest there is no last day."""
    took = Durations(1.0)
    for job in jobs:
        if (latency_s := latency_of(job)) is not None:
            took.add(0.0, latency_s)
    return took.percentiles(0.0)


def _cost(record: RunRecord, totals: Totals, batch_factor: float | None) -> CostView:
    budget = record.config.get("budget")
    cap: Any = budget.get("max_cost") if isinstance(budget, dict) else None
    return CostView(
        spent_pusd=totals.spent_pusd,
        is_at_least=is_lower_bound(totals),
        is_price_known=totals.unknown_cost == 0,
        cap_pusd=cap if isinstance(cap, int) else None,
        does_cap_hold=totals.spent_pusd <= cap if isinstance(cap, int) else None,
        saved_cache_pusd=totals.saved_cache_pusd,
        saved_batch_pusd=(full_price(totals.batch_pusd, batch_factor) or totals.batch_pusd)
        - totals.batch_pusd,
        maybe_billed=totals.maybe_billed,
        price_origin=str(record.prices.get("origin", "unknown")),
        input_tokens=totals.input_tokens,
        cached_input_tokens=totals.cached_input_tokens,
        output_tokens=totals.output_tokens,
        reasoning_tokens=totals.reasoning_tokens,
    )


def _errors(totals: Totals) -> ErrorsView:
    def count(*types: str) -> int:
        return sum(error.count for error in totals.errors if error.error_type in types)

    server = (e.count for e in totals.errors if e.http_status is not None and 500 <= e.http_status <= 599)
    return ErrorsView(
        kinds=tuple(map(_kind, totals.errors)),
        status_429=totals.throttled_429,
        status_5xx=sum(server),
        timeouts=count("timeout"),
        connections=count("connection"),
        parse=count("invalid_response"),
        missing=count("missing_in_pack"),
        refusals=count("refusal", "content_filter"),
    )


def _kind(error: ErrorCount) -> ErrorKind:
    status = f" {error.http_status}" if error.http_status else ""
    return ErrorKind(
        name=f"{error.error_type}{status}",
        count=error.count,
        per_min=0.0,
        last_at=error.last_at,
        cost=f"{error.count} tries" if error.count != 1 else "1 try",
        last_message=error.last_message,
    )


def _log_line(decision: Decision) -> LogLine:
    if decision.what == "command":
        return LogLine(decision.at, decision.by, f"{decision.new}: {decision.why}")
    change = f"{decision.what} {decision.old} -> {decision.new}"
    return LogLine(decision.at, decision.by, f"{change}: {decision.why}" if decision.why else change)
