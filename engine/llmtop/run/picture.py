"""One immutable picture of a run, from what its parts have counted. Made on demand, whatever the load."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from llmtop.model import Outcome
from llmtop.policy.budget import project
from llmtop.policy.job_figures import batches_view, waiting_words
from llmtop.policy.job_figures import eta_s as eta_of_jobs
from llmtop.policy.limiter import Cause, Resource
from llmtop.policy.pricing import usd
from llmtop.policy.tuner import evidence_words, next_step, phase_words
from llmtop.run.job_rows import job_rows
from llmtop.snapshot import (
    BatchesView,
    CostView,
    FlightRow,
    HeldBy,
    Knob,
    MemoryView,
    PackView,
    ProcessView,
    RunLine,
    RunState,
    Snapshot,
    ThroughputView,
    TunerView,
)
from llmtop.submit.work import Flight, Landed

if TYPE_CHECKING:
    from llmtop.run.run import Run

_ROWS = 200
_JOBS = 100
_SLOW_FACTOR = 3.0
_RATE_KNOBS = (
    (
        "requests_per_second",
        Resource.REQ,
        1.0,
        ("limits.requests_per_second", "limits.requests_per_minute"),
    ),
    ("tokens_per_minute", Resource.TOTAL, 60.0, ("limits.tokens_per_minute",)),
)
"""Name, resource, seconds of its unit, and the settings that state it."""


def picture(run: Run, memory: MemoryView, processes: ProcessView) -> Snapshot:
    """Return the run as it stands now, beside what the engine knows of the machine."""
    now, at = run.clock(), run.wall()
    held = _held(run, now, at)
    jobs = job_rows(run.parts.batches, at, run.parts.accounts.pricer.batch_factor)
    together = _batches(run, jobs)
    eta_s = _eta_s(run, now, jobs)
    cooldown_s = max(0.0, run.lane.hold_until - now)
    latency = run.parts.meters.latency(now)
    state, state_at = see_state(run, at)
    return Snapshot(
        version=run.version,
        at=at,
        run_id=run.id,
        name=run.name,
        state=state,
        state_at=state_at,
        counts=run.counts,
        state_detail=waiting_words(together, at) if state == "waiting" else _detail(run),
        model=run.config.provider.model,
        provider=run.config.provider.kind,
        via=run.parts.way.mode,
        started_at=run.opened.record.started_at or run.opened.record.created_at,
        elapsed_s=run.elapsed_s,
        eta_s=eta_s,
        eta_at=None if eta_s is None else at + eta_s,
        exit_code=run.exit_code if run.is_settled else None,
        output_path=str(run.config.output.path or ""),
        held=held,
        memory=memory,
        processes=processes,
        throughput=_throughput(run, now),
        latency=latency,
        cost=_cost(run),
        errors=run.parts.meters.errors(now, cooldown_s),
        tuner=_tuner(run, now),
        rows=_rows(run, jobs, now, latency.request.p99),
        log=tuple(run.log),
        warnings=_warnings(run, memory, processes),
        last_command=run.last_command,
        plan=run.opened.plan,
        batches=together,
        packs=PackView(run.parts.reception.checks.checked, run.parts.reception.checks.agreed),
        filters=() if run.parts.filters is None else run.parts.filters.views(),
    )


def see_state(run: Run, at: float) -> tuple[RunState, float]:
    """Return the one word for a run's state, and since when it is that; `at` is the wall clock."""
    word = word_of(run, is_held=run.parts.line.waits.binding == Cause.COOLDOWN)
    if run.seen_state is None or run.seen_state[0] != word:
        run.seen_state = (word, at)
    return run.seen_state


def word_of(run: Run, *, is_held: bool) -> RunState:
    """Return the one word for a run's state."""
    batches = run.parts.batches
    is_waiting = batches is not None and any(job.record.batch_id for job in batches.jobs)
    return run.standing.word(
        in_flight=len(run.parts.submitter.flights), is_held=is_held, is_waiting=is_waiting
    )


def _detail(run: Run) -> str:
    standing = run.standing
    return str(standing.fault or (standing.halt.message if standing.halt else ""))


def _batches(run: Run, jobs: list[FlightRow]) -> BatchesView:
    accounts = run.parts.accounts
    return batches_view(jobs, accounts.batch_pusd, accounts.pricer.batch_factor)


def _eta_s(run: Run, now: float, jobs: list[FlightRow]) -> float | None:
    """By the rate of the last minutes; by the jobs, where all that is left is in them."""
    if run.standing.phase != "running":
        return None
    batches = run.parts.batches
    if batches is not None and jobs and 0 < run.counts.pending <= batches.flying_items:
        return eta_of_jobs(jobs)
    return run.parts.meters.eta_s(now, run.counts.pending)


def line_of(run: Run, pid: int) -> RunLine:
    """Return the run's line in a list of runs."""
    accounts = run.parts.accounts
    return RunLine(
        run_id=run.id,
        name=run.name,
        state=word_of(run, is_held=False),
        counts=run.counts,
        cost_pusd=accounts.budget.spent,
        is_cost_at_least=accounts.unpriced > 0 or accounts.estimated > 0,
        created_at=run.opened.record.created_at,
        pid=pid,
        model=run.config.provider.model,
    )


def _held(run: Run, now: float, at: float) -> HeldBy:
    waits = run.parts.line.waits
    cause = waits.binding
    return HeldBy(
        cause=None if cause is None else str(cause),
        detail=waits.detail or _why_held(run, cause),
        shares=tuple((str(name), share) for name, share in waits.shares(now)),
        total_s=tuple((str(name), seconds) for name, seconds in waits.totals(now)),
        until_at=at + run.lane.hold_until - now if run.lane.hold_until > now else None,
    )


def _why_held(run: Run, cause: Cause | None) -> str:
    """The number behind a cause that the lane knows nothing of."""
    budget, submitter = run.parts.accounts.budget, run.parts.submitter
    if cause is Cause.BUDGET and budget.cap is not None:
        bound = budget.spent + budget.maybe + budget.reserved
        return f"{usd(bound)} of {usd(budget.cap)} USD bound"
    if cause is Cause.MEMORY and submitter.ceiling is not None:
        return f"the memory guard allows {submitter.ceiling} in flight"
    if cause is Cause.WRITER:
        return f"{run.parts.reception.settlement.uncommitted} answers wait for the disk"
    return "by the operator" if cause is Cause.PAUSE and run.standing.is_paused else ""


def _throughput(run: Run, now: float) -> ThroughputView:
    submitter = run.parts.submitter
    cached, totals = run.parts.cached, run.opened.totals
    in_flight = len(submitter.flights)
    return replace(
        run.parts.meters.throughput(now),
        in_flight=in_flight,
        concurrency=run.lane.concurrency,
        queued=max(0, run.counts.pending - submitter.flying_items),
        retry_waiting=submitter.waiting,
        cache_hits=totals.cache_hits if cached is None else cached.hits,
        dup_joined=totals.dup_joined if cached is None else cached.joined,
    )


def _cost(run: Run) -> CostView:
    accounts = run.parts.accounts
    budget = accounts.budget
    projected = project(budget.spent, run.counts.finished, run.counts.total, accounts.item_costs)
    expected, low, high = projected or (None, None, None)
    does_hold = None if expected is None or budget.cap is None else expected + budget.maybe <= budget.cap
    used = accounts.tokens
    cached = run.parts.cached
    return CostView(
        spent_pusd=budget.spent,
        is_at_least=accounts.unpriced > 0 or accounts.estimated > 0,
        is_price_known=accounts.pricer.is_known,
        reserved_pusd=budget.reserved,
        cap_pusd=budget.cap,
        projected_pusd=expected,
        projected_low_pusd=low,
        projected_high_pusd=high,
        does_cap_hold=does_hold,
        saved_cache_pusd=run.opened.totals.saved_cache_pusd if cached is None else cached.saved_pusd,
        saved_batch_pusd=accounts.saved_by_batches_pusd,
        maybe_billed=accounts.maybe_billed,
        price_origin=accounts.pricer.origin,
        input_tokens=used.input_tokens,
        cached_input_tokens=used.cached_input_tokens,
        output_tokens=used.output_tokens,
        reasoning_tokens=used.reasoning_tokens,
    )


def _tuner(run: Run, now: float) -> TunerView:
    lane = run.lane
    tuner = lane.tuner
    return TunerView(
        is_on=lane.is_tuning,
        knobs=_knobs(run),
        phase=phase_words(tuner) if lane.is_tuning else "off: nothing moves by itself",
        next_step=next_step(tuner, now) if lane.is_tuning else "",
        evidence=evidence_words(tuner, now) if lane.is_tuning else (),
        decisions=tuple(run.decisions),
        curve=tuner.telemetry.curve,
    )


def _knobs(run: Run) -> tuple[Knob, ...]:
    """What can be steered live and has a value: as `llmtop set` takes it, with who gave it last."""
    lane = run.lane
    knobs = [
        Knob(
            name="concurrency",
            value=str(lane.concurrency),
            low=str(lane.bounds.low),
            high=str(lane.bounds.high),
            origin=run.config.origins.get("execution.concurrency", "default"),
            is_pinned="concurrency" in lane.pinned,
        ),
        _pack_knob(run),
        *_rate_knobs(run),
    ]
    cap = run.parts.accounts.budget.cap
    if cap is not None:
        origin = run.config.origins.get("budget.max_cost", "default")
        knobs.append(Knob(name="max_cost", value=usd(cap), origin=origin))
    return tuple(_signed(knob, run.set_by.get(knob.name)) for knob in knobs)


def _pack_knob(run: Run) -> Knob:
    span = run.config.execution.items_per_request
    return Knob(
        name="items_per_request",
        value=str(run.parts.packs.size),
        low=str(span.low),
        high=str(span.high),
        origin=run.config.origins.get("execution.items_per_request", "default"),
        is_pinned="pack" in run.lane.pinned,
    )


def _signed(knob: Knob, by: tuple[str, float] | None) -> Knob:
    return knob if by is None else replace(knob, origin=by[0], changed_at=by[1])


def _rate_knobs(run: Run) -> list[Knob]:
    """The limits that were stated: by the config, by hand or by the provider."""
    lane, origins = run.lane, run.config.origins
    knobs = []
    for name, resource, unit_s, keys in _RATE_KNOBS:
        rate = lane.stated(resource)
        if rate is None:
            continue
        said = [origins[key] for key in keys if key in origins]
        origin = said[0] if said else "reported"
        is_pinned = f"rate:{resource}" in lane.pinned
        knobs.append(Knob(name, f"{rate * unit_s:.10g}", origin=origin, is_pinned=is_pinned))
    return knobs


def _rows(run: Run, jobs: list[FlightRow], now: float, p99_s: float | None) -> tuple[FlightRow, ...]:
    slow_s = math.inf if p99_s is None else _SLOW_FACTOR * p99_s
    flying = sorted(run.parts.submitter.flights.values(), key=lambda flight: flight.started)
    rows = jobs[:_JOBS]
    rows += [_flying(flight, now, slow_s) for flight in flying[: _ROWS - len(rows)]]
    landed = reversed(run.parts.reception.settlement.recent)
    rows += [_landed(row) for row in islice(landed, _ROWS - len(rows))]
    return tuple(rows)


def _flying(flight: Flight, now: float, slow_s: float) -> FlightRow:
    age_s = now - flight.started
    is_slow = age_s > slow_s
    items = len(flight.work.members)
    return FlightRow(
        key=_row_key(flight.attempt.id, items),
        via="rt",
        state="slow" if is_slow else "sent",
        item_id=flight.work.item.id,
        items_done=0,
        items=items,
        attempt=flight.attempt.number,
        started_at=flight.attempt.started_at,
        role="warn" if is_slow else "plain",
    )


def _landed(row: Landed) -> FlightRow:
    error = row.error
    is_good = row.status == "done" or row.is_same
    role = "good" if is_good else "warn" if row.status is None else "bad"
    return FlightRow(
        key=_row_key(row.attempt.id, row.items),
        via="rt",
        state=_landed_state(row),
        item_id=row.item_id,
        items_done=row.done + row.rejected if row.items > 1 else int(row.status is not None),
        items=row.items,
        attempt=row.attempt.number,
        started_at=row.attempt.started_at,
        latency_s=row.latency_s,
        tokens=row.tokens,
        cost_pusd=row.cost_pusd,
        note="" if error is None else f"{error.type}: {error.message}",
        role=role,  # type: ignore[arg-type]
    )


def _row_key(attempt_id: int, items: int) -> str:
    return f"{'p' if items > 1 else 'r'}{attempt_id:05d}"


def _landed_state(row: Landed) -> str:
    if row.is_same is not None:
        return "check same" if row.is_same else "check differs"
    if row.status is None:
        if row.again_in_s:
            return f"again {_what(row)} in {row.again_in_s:.1f}s"
        return "halved" if row.items > 1 and row.error else "again"
    if row.items == 1:
        return row.status
    left = row.items - row.done - row.rejected
    words = [
        f"done {row.done}",
        f"rej {row.rejected}" if row.rejected else "",
        f"left {left}" if left else "",
    ]
    return " ".join(word for word in words if word)


def _what(row: Landed) -> str:
    return str(row.error.http_status or row.error.type) if row.error else Outcome.FAULT.value


def _warnings(run: Run, memory: MemoryView, processes: ProcessView) -> tuple[str, ...]:
    accounts = run.parts.accounts
    found = []
    if memory.level != "good":
        found.append(f"memory: {memory.guard}")
    if processes.warning:
        found.append(processes.warning)
    if not accounts.pricer.is_known and accounts.unpriced:
        found.append(f"the price of {run.config.provider.model} is unknown: the cost shown is what is known")
    if accounts.estimated:
        found.append(f"{accounts.estimated} answers came without believable usage: their cost is estimated")
    if accounts.maybe_billed:
        found.append(f"{accounts.maybe_billed} requests lost their answer: possibly billed")
    return tuple(found)
