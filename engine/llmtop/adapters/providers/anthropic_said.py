"""What Anthropic says about tokens and limits: `usage`, and the headers `anthropic-ratelimit-*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from llmtop.adapters.providers import hints
from llmtop.adapters.providers.spent import count_of, part_of
from llmtop.model import LimitHeaders, Usage

_RESOURCES: tuple[tuple[str, Literal["requests", "input_tokens", "output_tokens", "total_tokens"]], ...] = (
    ("requests", "requests"),
    ("tokens", "total_tokens"),
    ("input-tokens", "input_tokens"),
    ("output-tokens", "output_tokens"),
)


def usage_of(usage: object) -> Usage | None:
    """Read `usage` of a message; None where there is none, or nothing of it can be believed.

    Anthropic counts the cache beside the input: the prompt is the sum of three counts.
    """
    if not isinstance(usage, dict):
        return None
    fresh, given = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    cached = part_of(usage.get("cache_read_input_tokens"))
    written = part_of(usage.get("cache_creation_input_tokens"))
    details = usage.get("output_tokens_details")
    thought = part_of(details.get("thinking_tokens")) if isinstance(details, dict) else 0
    prompt = (fresh or 0) + (cached or 0) + (written or 0)
    if not prompt and not given:
        return None
    is_guessed = not prompt or not given or None in (fresh, cached, written, thought)
    if (thought or 0) > (given or 0):
        given, is_guessed = (given or 0) + (thought or 0), True
    return Usage(
        input_tokens=prompt,
        cached_input_tokens=cached or 0,
        cache_write_tokens=written or 0,
        output_tokens=given or 0,
        reasoning_tokens=thought or 0,
        is_estimated=is_guessed,
    )


def limit_headers(headers: Mapping[str, str], now: float) -> tuple[LimitHeaders, ...]:
    """Read `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`."""
    found: list[LimitHeaders] = []
    for name, resource in _RESOURCES:
        start = f"anthropic-ratelimit-{name}"
        limit, remaining = headers.get(f"{start}-limit"), headers.get(f"{start}-remaining")
        if limit or remaining:
            reset = headers.get(f"{start}-reset")
            reset_s = hints.seconds_until(reset, headers, now) if reset else None
            found.append(LimitHeaders(resource, hints.amount_of(limit), hints.amount_of(remaining), reset_s))
    return tuple(found)
