"""What `llmtop show` prints of a snapshot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmtop.cleaning import clean
from llmtop.model import Decision
from llmtop.snapshot import ErrorKind, FilterView, Percentiles, Snapshot
from llmtop_tui.cli.printing import Column, table, terminal_width
from llmtop_tui.figures import date_and_clock, usd, usd_exact, utc
from llmtop_tui.format import UNKNOWN, age, clock, count, done_percent, latency
from llmtop_tui.jsonlines import counts_of, decision_of, knobs_of, progress_of
from llmtop_tui.plain import check_words, cost_words, next_steps, state_words

if TYPE_CHECKING:
    from llmtop.control.settings import ShownSetting

_KNOBS = (Column("LIVE SETTING"), Column("VALUE"), Column("RANGE"), Column("FROM"))
_SETTINGS = (Column("SETTING"), Column("VALUE", least=20), Column("FROM"))
_DECISIONS = (Column("AT"), Column("WHAT"), Column("CHANGE"), Column("BY"), Column("WHY", least=10))


def lines(snapshot: Snapshot, decisions: Sequence[Decision], settings: Sequence[ShownSetting]) -> list[str]:
    """Return one run for a person: a block a subject, in a fixed order."""
    counts, flow = snapshot.counts, snapshot.throughput
    detail = clean(snapshot.state_detail, limit=300)
    shown = [
        f"run        {clean(snapshot.run_id)} ({clean(snapshot.name)})",
        f"state      {state_words(snapshot)}{f': {detail}' if detail else ''}",
        f"provider   {clean(snapshot.provider) or UNKNOWN}, model {clean(snapshot.model) or UNKNOWN}, "
        f"{snapshot.via}",
        f"items      {count(counts.total)}: done {count(counts.done)} "
        f"({done_percent(counts.done, counts.total)}), rejected {count(counts.rejected)}, "
        f"failed {count(counts.failed)}, pending {count(counts.pending)}",
        f"time       started {date_and_clock(snapshot.started_at)}, ran {age(snapshot.elapsed_s)}, "
        f"left {age(snapshot.eta_s)}",
        f"rates      {flow.requests_per_s:.2f} requests/s, {flow.items_per_s:.2f} items/s, "
        f"{flow.input_tokens_per_s + flow.output_tokens_per_s:,.0f} tokens/s, "
        f"in flight {flow.in_flight} of {flow.concurrency}",
        f"requests   {count(flow.requests)}, retries {count(flow.retries)}, 429s {count(flow.throttled_429)}",
        f"latency    {_percentiles(snapshot.latency.request)}",
    ]
    shown += [f"checks     {words}" for words in check_words(snapshot)]
    shown += _spared(snapshot)
    shown += _money(snapshot)
    shown += _batches(snapshot)
    shown += _planned(snapshot)
    shown += [_filter(each) for each in snapshot.filters]
    shown.append(f"held by    {_held(snapshot)}")
    shown.append(f"output     {clean(snapshot.output_path, limit=4096) or 'the ledger only'}")
    shown += [f"warning    {clean(warning, limit=300)}" for warning in snapshot.warnings]
    shown += [_error(kind) for kind in snapshot.errors.kinds]
    shown += _knobs(snapshot) + _settings(settings) + _decided(decisions)
    return shown + [f"next       {step}" for step in next_steps(snapshot)]


def as_object(
    snapshot: Snapshot, decisions: Sequence[Decision], settings: Sequence[ShownSetting]
) -> dict[str, Any]:
    """Return one run for a program."""
    cost, flow = snapshot.cost, snapshot.throughput
    return {
        "run_id": snapshot.run_id,
        "name": snapshot.name,
        **progress_of(snapshot),
        "state_detail": snapshot.state_detail,
        "items": snapshot.counts.total,
        "counts": counts_of(snapshot),
        "provider": snapshot.provider,
        "model": snapshot.model,
        "via": snapshot.via,
        "started_at": utc(snapshot.started_at),
        "elapsed_s": round(snapshot.elapsed_s, 3),
        "requests": flow.requests,
        "retries": flow.retries,
        "throttled_429": flow.throttled_429,
        "batches": _batches_object(snapshot),
        "planned": _plan_object(snapshot),
        "filters": [
            {
                "use": each.name,
                "place": each.place,
                "hits": each.hits,
                "changed": each.changed,
                "rejected": each.rejected,
                "asked_again": each.asked_again,
            }
            for each in snapshot.filters
        ],
        "cache": {
            "hits": flow.cache_hits,
            "joined": flow.dup_joined,
            "saved_usd": usd_exact(cost.saved_cache_pusd),
        },
        "pack_check": {"checked": snapshot.packs.checked, "agreed": snapshot.packs.agreed},
        "max_cost_usd": usd_exact(cost.cap_pusd),
        "reserved_usd": usd_exact(cost.reserved_pusd),
        "projected_usd": usd_exact(cost.projected_pusd),
        "maybe_billed": cost.maybe_billed,
        "price_origin": cost.price_origin,
        "tokens": {
            "input": cost.input_tokens,
            "cached_input": cost.cached_input_tokens,
            "output": cost.output_tokens,
            "reasoning": cost.reasoning_tokens,
        },
        "held_by": {
            "cause": snapshot.held.cause,
            "detail": snapshot.held.detail,
            "shares": dict(snapshot.held.shares),
            "lost_s": dict(snapshot.held.total_s),
        },
        "errors": [
            {"type": kind.name, "count": kind.count, "last_message": kind.last_message}
            for kind in snapshot.errors.kinds
        ],
        "warnings": list(snapshot.warnings),
        "settings": settings_object(settings),
        "live": knobs_of(snapshot),
        "decisions": [{"at": utc(each.at), **decision_of(each)} for each in decisions],
        "exit_code": snapshot.exit_code,
        "output": snapshot.output_path or None,
    }


def _percentiles(these: Percentiles) -> str:
    return f"p50 {latency(these.p50)}, p95 {latency(these.p95)}, p99 {latency(these.p99)}"


def _spared(snapshot: Snapshot) -> list[str]:
    """Return what took no request; nothing for a run without any."""
    flow, saved = snapshot.throughput, usd(snapshot.cost.saved_cache_pusd)
    if not (flow.cache_hits or flow.dup_joined):
        return []
    return [
        f"cache      {count(flow.cache_hits)} answers from the cache, "
        f"{count(flow.dup_joined)} from identical requests, saved {saved}"
    ]


def _money(snapshot: Snapshot) -> list[str]:
    cost = snapshot.cost
    reserved = f", reserved {usd(cost.reserved_pusd)}" if cost.reserved_pusd else ""
    projected = f", at the end {usd(cost.projected_pusd)}" if cost.projected_pusd is not None else ""
    found = [
        f"cost       {cost_words(snapshot)}{reserved}{projected}, prices from {clean(cost.price_origin)}"
    ]
    if cost.maybe_billed:
        found.append(
            f"           {count(cost.maybe_billed)} requests possibly billed besides: no answer came"
        )
    found.append(
        f"tokens     {count(cost.input_tokens)} in ({count(cost.cached_input_tokens)} cached), "
        f"{count(cost.output_tokens)} out ({count(cost.reasoning_tokens)} reasoning)"
    )
    return found


def _filter(each: FilterView) -> str:
    return (
        f"filter     {clean(each.name, limit=40)}: hits {count(each.hits)}, changed {count(each.changed)}, "
        f"rejected {count(each.rejected)}, asked again {count(each.asked_again)}"
    )


def _batches(snapshot: Snapshot) -> list[str]:
    """Return the run's batch jobs together; nothing where it has none."""
    v, took = snapshot.batches, snapshot.latency.batch
    if not v.open and not v.over:
        return []
    held = f" ({count(v.held)} held)" if v.held else ""
    words = f"{count(v.open)} open{held}, {count(v.over)} over"
    if v.open:
        words += f", {count(v.items_done)} of {count(v.items)} items"
    if v.next_look_at is not None:
        words += f", next look in {age(max(0.0, v.next_look_at - snapshot.at))}"
    found = [f"batches    {words}; llmtop batches {clean(snapshot.name)} lists them"]
    if v.full_pusd is not None and v.spent_pusd:
        money = f"cost {usd(v.spent_pusd)} of {usd(v.full_pusd)} at full price"
        found.append(f"           {money}, saved {usd(v.full_pusd - v.spent_pusd)}")
    return found + ([f"           a job takes {_percentiles(took)}"] if took.p50 is not None else [])


def _planned(snapshot: Snapshot) -> list[str]:
    """Return what was expected beside what came; nothing for a run that kept no plan."""
    plan, cost = snapshot.plan, snapshot.cost
    if plan is None:
        return []
    spent = "" if plan.cost_pusd is None else f", {usd(plan.cost_pusd)} at most (now {usd(cost.spent_pusd)})"
    return [
        f"planned    {count(plan.requests)} requests (now {count(snapshot.throughput.requests)}), "
        f"tokens {count(plan.input_tokens)} in (now {count(cost.input_tokens)}), "
        f"{count(plan.output_tokens)} out at most (now {count(cost.output_tokens)}){spent}, "
        f"about {age(plan.duration_s)} (now {age(snapshot.elapsed_s)})"
    ]


def _batches_object(snapshot: Snapshot) -> dict[str, Any]:
    v, took = snapshot.batches, snapshot.latency.batch
    return {
        "open": v.open,
        "held": v.held,
        "over": v.over,
        "items": v.items,
        "items_done": v.items_done,
        "next_look_at": utc(v.next_look_at),
        "spent_usd": usd_exact(v.spent_pusd),
        "full_price_usd": usd_exact(v.full_pusd),
        "latency_s": {"p50": took.p50, "p95": took.p95, "p99": took.p99},
    }


def _plan_object(snapshot: Snapshot) -> dict[str, Any] | None:
    plan = snapshot.plan
    if plan is None:
        return None
    return {
        "requests": plan.requests,
        "input_tokens": plan.input_tokens,
        "output_tokens": plan.output_tokens,
        "cost_usd": usd_exact(plan.cost_pusd),
        "duration_s": round(plan.duration_s, 3),
    }


def _held(snapshot: Snapshot) -> str:
    held = snapshot.held
    if held.cause is None and not held.total_s:
        return "nothing"
    shares = ", ".join(f"{clean(cause)} {part:.0%}" for cause, part in held.shares if part > 0)
    lost = ", ".join(f"{clean(cause)} {age(seconds)}" for cause, seconds in held.total_s if seconds > 0)
    now = f"{clean(held.cause)} {clean(held.detail)}".strip() if held.cause else "nothing now"
    return "; ".join(part for part in (now, shares, f"lost to {lost}" if lost else "") if part)


def _error(kind: ErrorKind) -> str:
    parts = [f"error      {clean(kind.name)} {count(kind.count)}", clean(kind.cost), clean(kind.last_message)]
    return ", ".join(part for part in parts if part)


def settings_object(settings: Sequence[ShownSetting]) -> dict[str, dict[str, str]]:
    """Return settings for a program: key -> value in words, origin."""
    return {each.key: {"value": each.value, "origin": each.origin} for each in settings}


def _settings(settings: Sequence[ShownSetting]) -> list[str]:
    rows = [
        (clean(each.key), clean(each.value, limit=100), clean(each.origin))
        for each in settings
        if each.value != "not set"
    ]
    return ["", *table(_SETTINGS, rows, terminal_width())] if rows else []


def _knobs(snapshot: Snapshot) -> list[str]:
    rows = [
        (
            clean(knob.name),
            clean(knob.value),
            clean(f"{knob.low}-{knob.high}") if knob.low and knob.high else UNKNOWN,
            clean(knob.origin) + (", pinned" if knob.is_pinned else ""),
        )
        for knob in snapshot.tuner.knobs
    ]
    return ["", *table(_KNOBS, rows, None)] if rows else []


def _decided(decisions: Sequence[Decision]) -> list[str]:
    rows = [
        (
            clock(each.at),
            clean(each.what),
            f"{clean(each.old)} -> {clean(each.new)}",
            clean(each.by),
            clean(each.why, limit=200),
        )
        for each in decisions
    ]
    return ["", *table(_DECISIONS, rows, terminal_width()), ""] if rows else []
