"""Usage to money, in whole pico-dollars, so that sums are exact and never round away.

Where the unit prices come from is the business of whoever implements `Pricer`
(`llmtop.adapters.prices`). What an answer says it cost wins over all of it: the caller takes
`Answer.cost_pusd` where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Protocol

from llmtop.model import PUSD_PER_USD, Usage

ABSURD_TOKENS = 10**8
"""No model takes or gives this many tokens in one call: a larger figure is nonsense, not usage."""

_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrices:
    """Pico-dollars a token; `request_pusd` is added once a call."""

    input_pusd: int
    cached_input_pusd: int
    cache_write_pusd: int
    output_pusd: int
    reasoning_pusd: int
    request_pusd: int = 0

    @classmethod
    def simple(cls, input_pusd: int, output_pusd: int, cached_input_pusd: int | None = None) -> UnitPrices:
        """Fill up from two or three prices: what has no price of its own has its parent's."""
        cached = input_pusd if cached_input_pusd is None else cached_input_pusd
        return cls(
            input_pusd=input_pusd,
            cached_input_pusd=cached,
            cache_write_pusd=input_pusd,
            output_pusd=output_pusd,
            reasoning_pusd=output_pusd,
        )


class Pricer(Protocol):
    """The prices of one model at one provider. None always means unknown, never 0."""

    @property
    def origin(self) -> str:
        """Where the prices come from, in words: `config [prices]`, `genai-prices 0.2.3 (...)`, `unknown`."""

    @property
    def is_known(self) -> bool:
        """Whether `cost` and `upper_bound` give figures."""

    @property
    def batch_factor(self) -> float | None:
        """Batch price over standard price; None: no batch price is known, and the standard one is taken."""

    def cost(self, usage: Usage, at: float, *, is_batch: bool = False) -> int | None:
        """Price one call made at `at` (epoch seconds)."""

    def upper_bound(self, input_tokens: int, output_tokens: int, *, is_batch: bool = False) -> int | None:
        """The most a call of that size can cost, whatever is cached, reasoned, and whatever the hour."""

    def record(self) -> dict[str, Any]:
        """What the ledger keeps to explain a cost later: origin, version, date, unit prices."""


def cost_pusd(usage: Usage, prices: UnitPrices) -> int:
    """Price one call. A part that is larger than its whole counts as all of it; nothing counts negatively."""
    total_in, total_out = _count(usage.input_tokens), _count(usage.output_tokens)
    cached = min(_count(usage.cached_input_tokens), total_in)
    written = min(_count(usage.cache_write_tokens), total_in - cached)
    reasoned = min(_count(usage.reasoning_tokens), total_out)
    return (
        (total_in - cached - written) * prices.input_pusd
        + cached * prices.cached_input_pusd
        + written * prices.cache_write_pusd
        + (total_out - reasoned) * prices.output_pusd
        + reasoned * prices.reasoning_pusd
        + prices.request_pusd
    )


def upper_bound_pusd(input_tokens: int, output_tokens: int, prices: UnitPrices) -> int:
    """The most that a call with so many tokens can cost, whatever part of them is cached or reasoning."""
    dearest_in = max(prices.input_pusd, prices.cached_input_pusd, prices.cache_write_pusd)
    dearest_out = max(prices.output_pusd, prices.reasoning_pusd)
    return _count(input_tokens) * dearest_in + _count(output_tokens) * dearest_out + prices.request_pusd


def sane_usage(reported: Usage | None, estimate: Usage) -> Usage:
    """Return usage that can be billed: nonsense is replaced so that it never lowers the bill (promise M7).

    `estimate` is the caller's own count of the prompt and of the answer. It takes the place of a
    total that is missing, zero where there was text, negative, not a whole number or absurd. A
    discount (cached tokens) that makes no sense is not given. What was replaced is flagged.
    """
    if reported is None:
        return Usage(
            input_tokens=estimate.input_tokens, output_tokens=estimate.output_tokens, is_estimated=True
        )
    if is_sound(reported):
        return reported
    total_in, is_in_guessed = _total(reported.input_tokens, estimate.input_tokens)
    total_out, is_out_guessed = _total(reported.output_tokens, estimate.output_tokens)
    cached, written = reported.cached_input_tokens, reported.cache_write_tokens
    has_parts = _is_count(cached) and _is_count(written)
    if not has_parts or (cached + written > total_in):
        parts = (_count(cached) if _is_count(cached) else 0) + (_count(written) if _is_count(written) else 0)
        total_in, cached, written, is_in_guessed = max(total_in, parts), 0, 0, True
    reasoned = reported.reasoning_tokens
    if not _is_count(reasoned) or reasoned > total_out:
        total_out = max(total_out, reasoned) if _is_count(reasoned) else total_out
        reasoned, is_out_guessed = 0, True
    return Usage(
        input_tokens=total_in,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=total_out,
        reasoning_tokens=reasoned,
        is_estimated=reported.is_estimated or is_in_guessed or is_out_guessed,
    )


def usd(pusd_amount: int) -> str:
    """Write an amount as exact dollars: no exponent, no trailing zeros (`0.0000271`, `5`)."""
    sign = "-" if pusd_amount < 0 else ""
    dollars, rest = divmod(abs(pusd_amount), PUSD_PER_USD)
    digits = f"{rest:012d}".rstrip("0")
    return f"{sign}{dollars}.{digits}" if digits else f"{sign}{dollars}"


def pusd(dollars: Decimal) -> int:
    """Dollars as whole pico-dollars; a rest below one is rounded up. Raises ValueError when not finite."""
    if not dollars.is_finite():
        raise ValueError(f"{dollars} is not an amount of money")
    scaled = _EXACT.multiply(dollars, Decimal(PUSD_PER_USD))
    return int(scaled.to_integral_value(rounding="ROUND_CEILING", context=_EXACT))


def is_sound(usage: Usage) -> bool:
    """Whether `sane_usage` would replace nothing, as in nearly every answer."""
    given, cached, written = usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens
    taken, reasoned = usage.output_tokens, usage.reasoning_tokens
    if not type(given) is type(cached) is type(written) is type(taken) is type(reasoned) is int:
        return False
    is_in_sound = 0 < given <= ABSURD_TOKENS and cached >= 0 and written >= 0 and cached + written <= given
    return is_in_sound and 0 <= reasoned <= taken <= ABSURD_TOKENS and taken > 0


def _total(reported: int, estimate: int) -> tuple[int, bool]:
    if _is_count(reported) and (reported > 0 or estimate <= 0):
        return reported, False
    return _count(estimate), True


def _is_count(value: object) -> bool:
    """Whether it is a believable number of tokens. A wire format may have let anything through."""
    return type(value) is int and 0 <= value <= ABSURD_TOKENS


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
