"""`llmtop plan`, which is `llmtop run --dry-run`: what a run would be, with nothing sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmtop.cleaning import clean
from llmtop_tui.cli.common import Common
from llmtop_tui.cli.configs import (
    AllowCodeOption,
    ConcurrencyOption,
    ConfigArguments,
    CostOption,
    LimitOption,
    OutputOption,
    RequestsOption,
    SetOption,
    TokensOption,
    load_all,
)
from llmtop_tui.cli.printing import put, put_json
from llmtop_tui.figures import usd, usd_exact
from llmtop_tui.format import age, count, memory

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig
    from llmtop.control.launch import Plan


def plan(
    common: Common,
    configs: ConfigArguments,
    limit: LimitOption = None,
    set_: SetOption = None,
    concurrency: ConcurrencyOption = None,
    max_requests_per_minute: RequestsOption = None,
    max_tokens_per_minute: TokensOption = None,
    max_cost: CostOption = None,
    output: OutputOption = None,
    allow_code: AllowCodeOption = False,
) -> int:
    """What a run would be; nothing is sent.

    Items, requests, tokens, cost and time, and which mode fits.
    """
    flags = {
        "input.limit": limit,
        "execution.concurrency": concurrency,
        "limits.requests_per_minute": max_requests_per_minute,
        "limits.tokens_per_minute": max_tokens_per_minute,
        "budget.max_cost": max_cost,
        "output.path": output,
    }
    loaded = load_all(configs, overrides=set_ or (), flags=flags)
    return show_plans(common, loaded, allow_code=allow_code)


def show_plans(common: Common, configs: Sequence[RunConfig], *, allow_code: bool = False) -> int:
    """Print the plans of these runs; return 0."""
    from llmtop.control.launch import plan_of

    plans = plan_of(configs, allow_code=allow_code)
    if common.is_json:
        put_json([as_object(each) for each in plans])
        return 0
    for at, each in enumerate(plans):
        for line in ([""] if at else []) + lines(each):
            put(line)
    return 0


def lines(each: Plan) -> list[str]:
    """Return one plan for a person."""
    return [
        f"plan       {clean(each.name)}: nothing was sent",
        f"items      {count(each.items)}",
        f"requests   {count(each.requests)}{_packed(each)}",
        f"tokens     about {count(each.input_tokens)} in, at most {count(each.output_tokens)} out",
        f"cost       {_cost(each.realtime_pusd)} realtime{_alone(each)}, "
        f"{_cost(each.batch_pusd)} by the batch API",
        f"time       about {age(each.duration_s)} realtime, up to {_window(each)} by the batch API",
        f"held by    {clean(each.bound_by)}: {clean(each.bounds[0].detail)}",
        *(f"           {clean(bound.detail)} alone: {age(bound.duration_s)}" for bound in each.bounds[1:]),
        f"memory     about {memory(each.memory_bytes)}",
        *([f"filters    {clean(', '.join(each.filters))}"] if each.filters else []),
        *(f"runs code  {clean(call)}, on every answer" for call in each.code),
        *(f"advice     {clean(line)}" for line in each.advice),
        *(f"assumed    {clean(line)}" for line in each.assumptions),
    ]


def _window(each: Plan) -> str:
    """As a provider is told: in whole hours."""
    hours = math.ceil(each.batch_window_s / 3600)
    return f"{hours} h" if hours < 48 else f"{hours / 24:.3g} d"


def _packed(each: Plan) -> str:
    return f", up to {each.items_per_request} items in each" if each.items_per_request > 1 else ""


def _alone(each: Plan) -> str:
    return f" ({_cost(each.alone_pusd)} one by one)" if each.items_per_request > 1 else ""


def _cost(pusd: int | None) -> str:
    return "unknown" if pusd is None else f"at most about {usd(pusd)}"


def as_object(each: Plan) -> dict[str, Any]:
    """Return one plan for a program."""
    return {
        "name": each.name,
        "items": each.items,
        "requests": each.requests,
        "input_tokens": each.input_tokens,
        "output_tokens": each.output_tokens,
        "realtime": {"cost_usd": usd_exact(each.realtime_pusd), "duration_s": round(each.duration_s, 3)},
        "items_per_request": each.items_per_request,
        "one_by_one": {"requests": each.items, "cost_usd": usd_exact(each.alone_pusd)},
        "batch": {"cost_usd": usd_exact(each.batch_pusd)},
        "bound_by": each.bound_by,
        "bounds": [
            {"cause": bound.cause, "detail": bound.detail, "duration_s": round(bound.duration_s, 3)}
            for bound in each.bounds
        ],
        "memory_bytes": each.memory_bytes,
        "filters": list(each.filters),
        "runs_code": list(each.code),
        "advice": list(each.advice),
        "assumptions": list(each.assumptions),
    }
