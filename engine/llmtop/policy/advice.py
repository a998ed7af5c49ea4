"""What a run would take, before a call is made: requests, tokens, money, time, memory, and the way to go.

Upper bounds where a bound can be given, estimates where not; what was assumed is said with it.
Unknown prices stay unknown. Pure: from numbers to a frozen `Plan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmtop.config.schema import LimitsConfig

BYTES_PER_TOKEN = 3
"""The first estimate, before any usage was reported: 1 token per 3 bytes of UTF-8."""
BATCH_ITEMS = 1000
"""Above so many items the batch API is advised: half the price, and nobody waits for each answer."""
_ENGINE_BYTES = 120 * 2**20
_SCAN_BYTES_PER_ITEM = 20
_FLIGHT_BYTES = 64 * 2**10
_ANSWER_BYTES_PER_TOKEN = 16
_UNBOUNDED_OUTPUT_TOKENS = 1000
_MORE_FOR_AN_ITEM = 0.25
"""Each further item of a pack adds so much of a single request's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One configuration, in the numbers that a plan needs. None: not known."""

    name: str
    items: int
    prompt_bytes_mean: float
    """Of the whole request's text, sampled."""
    prompt_bytes_max: int
    prompt_bytes_total: int | None = None
    """Exact, where every prompt was measured."""
    items_per_request: int = 1
    pack_bytes_mean: float | None = None
    """Of the whole text of a request with so many items, sampled."""
    pack_output_tokens: int | None = None
    """What the answer to one may have; None: no maximum."""
    max_output_tokens: int | None = None
    input_pusd: int | None = None
    """Price of a token."""
    output_pusd: int | None = None
    batch_factor: float | None = None
    """What the batch API costs as a part of the realtime price; None: not known, all of it is counted."""
    batch_window_s: float = 86_400.0
    """How long a batch job may take."""
    limits: LimitsConfig
    concurrency: int
    latency_s: float
    """Assumed for one request."""
    has_cache: bool = False
    way: str = ""
    """Which way the config goes, and why, in a sentence; empty: realtime, as nobody said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One thing that could bind, and how long the run would take if only that did."""

    cause: str
    detail: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run, or several together, would take. None: unknown, never 0."""

    name: str
    items: int
    requests: int
    input_tokens: int
    """Estimate."""
    output_tokens: int
    """Upper bound where `max_output_tokens` is set, else an estimate."""
    realtime_pusd: int | None
    """Upper bound, as far as the token estimate holds; packed, where the config packs."""
    batch_pusd: int | None
    """By the batch API; packed, where the config packs."""
    batch_window_s: float = 86_400.0
    """How long a job of the batch API may take."""
    duration_s: float
    bound_by: str
    bounds: tuple[Bound, ...]
    """Slowest first."""
    memory_bytes: int
    advice: tuple[str, ...]
    assumptions: tuple[str, ...]
    filters: tuple[str, ...] = ()
    """What looks at every answer, in order; a function of the user's own is named."""
    code: tuple[str, ...] = ()
    items_per_request: int = 1
    alone_pusd: int | None = None
    """In realtime, one item a request; upper bound."""
    """Functions of the user's own that the run would call."""


def plan(work: Workload) -> Plan:
    """Return what one configuration would take."""
    requests = math.ceil(work.items / work.items_per_request)
    alone = _tokens_alone(work)
    input_tokens, output_tokens = alone if work.items_per_request == 1 else _tokens_packed(work)
    alone_cost = _cost(work, *alone)
    realtime = _cost(work, input_tokens, output_tokens)
    bounds = _bounds(work, requests, input_tokens, output_tokens)
    return Plan(
        name=work.name,
        items=work.items,
        requests=requests,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        realtime_pusd=realtime,
        batch_pusd=None if realtime is None else math.ceil(realtime * (work.batch_factor or 1.0)),
        batch_window_s=work.batch_window_s,
        items_per_request=work.items_per_request,
        alone_pusd=alone_cost,
        duration_s=bounds[0].duration_s,
        bound_by=bounds[0].cause,
        bounds=bounds,
        memory_bytes=_ENGINE_BYTES + _own_memory(work),
        advice=(work.way,) if work.way else _advice(work.items, 1),
        assumptions=_assumptions(work),
    )


def plan_together(
    works: Sequence[Workload], *, is_interactive: bool = False, is_processing_heavy: bool = False
) -> Plan:
    """Return what several configurations in one process would take: sums, and the slowest's duration.

    Runs that share a key's limits take longer than the slowest alone; the caller says so where it knows.
    """
    plans = [plan(work) for work in works]
    slowest = max(plans, key=lambda each: each.duration_s)
    items = sum(each.items for each in plans)
    return Plan(
        name=", ".join(each.name for each in plans),
        items=items,
        requests=sum(each.requests for each in plans),
        input_tokens=sum(each.input_tokens for each in plans),
        output_tokens=sum(each.output_tokens for each in plans),
        realtime_pusd=_sum([each.realtime_pusd for each in plans]),
        batch_pusd=_sum([each.batch_pusd for each in plans]),
        batch_window_s=max(each.batch_window_s for each in plans),
        items_per_request=max(each.items_per_request for each in plans),
        alone_pusd=_sum([each.alone_pusd for each in plans]),
        duration_s=slowest.duration_s,
        bound_by=slowest.bound_by,
        bounds=slowest.bounds,
        memory_bytes=_ENGINE_BYTES + sum(_own_memory(work) for work in works),
        advice=_advice(items, len(works), is_interactive, is_processing_heavy),
        assumptions=tuple(dict.fromkeys(line for each in plans for line in each.assumptions)),
    )


def _sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _tokens_alone(work: Workload) -> tuple[int, int]:
    """Return input and output tokens with one item a request."""
    total_bytes = work.prompt_bytes_total
    if total_bytes is None:
        total_bytes = math.ceil(work.prompt_bytes_mean * work.items)
    each = _UNBOUNDED_OUTPUT_TOKENS if work.max_output_tokens is None else work.max_output_tokens
    return math.ceil(total_bytes / BYTES_PER_TOKEN), work.items * each


def _tokens_packed(work: Workload) -> tuple[int, int]:
    """Return input and output tokens with several; the last pack, which is smaller, counts in part."""
    packs = work.items / work.items_per_request
    one = work.prompt_bytes_mean * work.items_per_request
    given = math.ceil(packs * (one if work.pack_bytes_mean is None else work.pack_bytes_mean))
    each = work.pack_output_tokens
    if each is None:
        each = (work.max_output_tokens or _UNBOUNDED_OUTPUT_TOKENS) * work.items_per_request
    return math.ceil(given / BYTES_PER_TOKEN), math.ceil(packs * each)


def _latency_s(work: Workload) -> float:
    """Return the seconds that a request is assumed to take."""
    return work.latency_s * (1.0 + _MORE_FOR_AN_ITEM * (work.items_per_request - 1))


def _cost(work: Workload, input_tokens: int, output_tokens: int) -> int | None:
    if work.input_pusd is None or work.output_pusd is None:
        return None
    return input_tokens * work.input_pusd + output_tokens * work.output_pusd


def _bounds(work: Workload, requests: int, input_tokens: int, output_tokens: int) -> tuple[Bound, ...]:
    """Return how long each limit alone would make the run, slowest first.

    With n calls at a time of l seconds, r requests take ceil(r / n) * l. At a rate of q a second with a
    burst b the last request leaves after (r - b) / q, and takes l.
    """
    rounds = math.ceil(requests / work.concurrency)
    latency_s = _latency_s(work)
    at_a_time = f"{work.concurrency} at a time, {latency_s:g} s each"
    found = [Bound(cause="concurrency", detail=at_a_time, duration_s=rounds * latency_s)]
    rate = work.limits.request_rate
    if rate is not None:
        waiting = max(0.0, requests - (work.limits.burst or 1.0)) / rate
        found.append(Bound(cause="requests", detail=f"{rate:g} requests/s", duration_s=waiting + latency_s))
    for cause, per_minute, tokens in (
        ("tokens", work.limits.tokens_per_minute, input_tokens + output_tokens),
        ("input tokens", work.limits.input_tokens_per_minute, input_tokens),
        ("output tokens", work.limits.output_tokens_per_minute, output_tokens),
    ):
        if per_minute is not None:
            duration = tokens / per_minute * 60 + latency_s
            found.append(Bound(cause=cause, detail=f"{per_minute:g} {cause}/min", duration_s=duration))
    return tuple(sorted(found, key=lambda bound: -bound.duration_s))


def _own_memory(work: Workload) -> int:
    """What one configuration adds: its scan, and twice its concurrency in requests and answers."""
    answer = (work.max_output_tokens or _UNBOUNDED_OUTPUT_TOKENS) * _ANSWER_BYTES_PER_TOKEN
    each = _FLIGHT_BYTES + (2 * work.prompt_bytes_max + answer) * work.items_per_request
    return work.items * _SCAN_BYTES_PER_ITEM + 2 * min(work.concurrency, work.items) * each


def _advice(
    items: int, configs: int, is_interactive: bool = False, is_processing_heavy: bool = False
) -> tuple[str, ...]:
    lines: list[str] = []
    if is_interactive:
        lines.append("Somebody waits for the answers: realtime.")
    elif items > BATCH_ITEMS:
        lines.append(
            f"Over {BATCH_ITEMS:,} items: the provider's batch API costs about half, if a day's wait will do."
        )
    else:
        lines.append(
            f"Up to {BATCH_ITEMS:,} items: realtime; the batch API at half the price if nobody waits."
        )
    if configs > 1:
        lines.append(f"{configs} configurations: one process runs them all, on shared limits.")
    if is_processing_heavy:
        lines.append("Heavy work on each answer: a process pool for that part, not more runs.")
    return tuple(lines)


def _assumptions(work: Workload) -> tuple[str, ...]:
    lines = [
        f"1 token per {BYTES_PER_TOKEN} bytes of prompt; real tokenizers differ by a third and more",
        f"{work.latency_s:g} s for a request, without retries",
    ]
    if work.items_per_request > 1:
        more_s = work.latency_s * _MORE_FOR_AN_ITEM
        lines.append(
            f"{work.items_per_request} items a request, {more_s:g} s for each but the first, none asked again"
        )
    if work.pack_output_tokens is not None:
        each = math.ceil(work.pack_output_tokens / work.items_per_request)
        lines.append(
            f"an answer in a pack may take {each} tokens with its JSON: packing saves input, not output"
        )
    if work.has_cache:
        lines.append("the cache has none of the answers, and no two requests are the same")
    if work.prompt_bytes_total is None:
        lines.append("all prompts are on average like those that were sampled")
    if work.max_output_tokens is None:
        lines.append(
            f"{_UNBOUNDED_OUTPUT_TOKENS} tokens an answer: no max_output_tokens is set, so there is no bound"
        )
    else:
        lines.append("each answer takes all of max_output_tokens")
    if work.input_pusd is None or work.output_pusd is None:
        lines.append("no price is known for this model, so no cost is given")
    elif work.batch_factor is None:
        lines.append("no batch price is known, so all of the price is counted: say prices.batch_discount")
    return tuple(lines)
