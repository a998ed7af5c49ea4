"""What an answer says it used and cost. Figures of others: believed only where they can be true.

A figure that cannot be true is left at 0 and flagged, so that whoever bills puts an estimate in its
place; a discount that cannot be true is not given (promise M7).
"""

from __future__ import annotations

import math
from decimal import Decimal

from llmtop.model import PUSD_PER_USD, Usage

_MOST_TOKENS = 50_000_000
"""More than any context window there is."""
_MOST_USD = 10_000
"""More than any single call costs."""


def count_of(value: object) -> int | None:
    """Return a believable number of tokens; None: it is not one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def usage_of(usage: object) -> Usage | None:
    """Read `usage` of a chat completion; None where there is none, or nothing of it can be believed."""
    if not isinstance(usage, dict):
        return None
    total_in = count_of(usage.get("prompt_tokens"))
    total_out = count_of(usage.get("completion_tokens"))
    if not total_in and not total_out:
        return None
    prompt = usage.get("prompt_tokens_details")
    output = usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    output = output if isinstance(output, dict) else {}
    cached = part_of(prompt.get("cached_tokens", usage.get("prompt_cache_hit_tokens")))
    written = part_of(prompt.get("cache_write_tokens"))
    reasoning = part_of(output.get("reasoning_tokens"))
    is_guessed = not total_in or not total_out or None in (cached, written, reasoning)
    cached, written, reasoning = cached or 0, written or 0, reasoning or 0
    if cached + written > (total_in or 0):
        cached, written, is_guessed = 0, 0, True
    if reasoning > (total_out or 0):  # counted beside the output, not inside it
        total_out, is_guessed = (total_out or 0) + reasoning, True
    return Usage(
        input_tokens=total_in or 0,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=total_out or 0,
        reasoning_tokens=reasoning,
        is_estimated=is_guessed,
    )


def part_of(value: object) -> int | None:
    """Return a part of the tokens; absent is 0, nonsense is None."""
    return 0 if value is None else count_of(value)


def cost_pusd_of(usage: object) -> int | None:
    """Read OpenRouter's `usage.cost` (USD) as pico-dollars; None where there is none that can be true."""
    if not isinstance(usage, dict) or "cost" not in usage:
        return None
    cost = _usd(usage["cost"])
    if cost is None or not usage.get("is_byok"):
        return cost
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return None if upstream is None else cost + upstream


def _usd(value: object) -> int | None:
    if type(value) not in (int, float) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= _MOST_USD:
        return None
    return int((Decimal(repr(value)) * PUSD_PER_USD).to_integral_value())
