"""Tokens of a call and what they cost. Pure. Money is whole pico-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import Prompt

_PUSD_PER_USD = 10**12
_MOST_PREFIXES = 10_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a call used. `prompt` includes cached, `completion` includes reasoning."""

    prompt: int
    cached: int
    completion: int
    reasoning: int


class Prices:
    """A profile's prices, in pico-dollars a token."""

    def __init__(self, profile: Profile) -> None:
        self._input = _pusd_per_token(profile.price_input)
        self._cached = _pusd_per_token(profile.price_cached_input)
        self._output = _pusd_per_token(profile.price_output)

    def cost_pusd(self, tokens: Tokens) -> int:
        """Return the price of a call, in pico-dollars."""
        fresh = tokens.prompt - tokens.cached
        return fresh * self._input + tokens.cached * self._cached + tokens.completion * self._output


class PrefixCache:
    """Remembers system prompts; the second use of one is cached."""

    def __init__(self, least_tokens: int) -> None:
        self._least = least_tokens
        self._seen: dict[str, None] = {}

    def cached_tokens(self, model: str, prompt: Prompt) -> int:
        """Return the cached tokens of this prompt, and remember it."""
        if not self._least or prompt.system_tokens < self._least:
            return 0
        key = f"{model}|{prompt.system}"
        if key in self._seen:
            return prompt.system_tokens
        if len(self._seen) >= _MOST_PREFIXES:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return 0


def usage_body(tokens: Tokens, cost_pusd: int | None) -> dict[str, Any]:
    """Return the `usage` object; with the price in USD where `cost_pusd` is given."""
    body: dict[str, Any] = {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cached, "cache_write_tokens": 0, "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip
    if cost_pusd is not None:
        body["cost"] = float(Decimal(cost_pusd) / _PUSD_PER_USD)
        body["is_byok"] = False
        body["cost_details"] = {"upstream_inference_cost": None}
    return body


def _pusd_per_token(usd_per_mtok: float) -> int:
    return round(Decimal(str(usd_per_mtok)) * 1_000_000)
