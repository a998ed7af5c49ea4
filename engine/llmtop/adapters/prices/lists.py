"""Price lists of the genai-prices table turned into whole pico-dollars, without a state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from genai_prices import Usage as TableUsage
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from llmtop.model import Usage
from llmtop.policy.pricing import UnitPrices, pusd

PUSD_PER_MTOK = 1_000_000
"""One dollar per million tokens is so many pico-dollars a token."""


class Bound(NamedTuple):
    """The dearest unit prices of a call with more than `above` input tokens."""

    above: int
    prices: UnitPrices


def has_hours(model: ModelInfo) -> bool:
    """Whether a price depends on the hour of the day."""
    lists = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    return any(isinstance(entry.constraint, TimeOfDateConstraint) for entry in lists)


def moments(model: ModelInfo, now: float) -> Iterator[float]:
    """Yield epoch seconds at which, together, every price that holds now or later holds.

    That is now and each start date to come; where prices depend on the hour, all quarter hours of those days.
    """
    days = [day_of(now)]
    lists = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    for entry in lists:
        if isinstance(entry.constraint, StartDateConstraint):
            starts = datetime.combine(entry.constraint.start_date, datetime.min.time(), UTC)
            if starts > days[0]:
                days.append(starts)
    quarters = 96 if has_hours(model) else 1
    for day in days:
        yield from ((day + timedelta(minutes=15 * quarter)).timestamp() for quarter in range(quarters))


def bounds(price: ModelPrice) -> Iterator[Bound]:
    """Yield the unit prices of each tier, the lowest first; one where there are no tiers."""
    tiers = [value for value in price.__dict__.values() if isinstance(value, TieredPrices)]
    for above in sorted({-1, *(tier.start for value in tiers for tier in value.tiers)}):
        flat = {key: _tier(value, above + 1) for key, value in price.__dict__.items()}
        yield Bound(above, _unit_prices(flat))


def _tier(value: Any, input_tokens: int) -> Decimal | None:
    if not isinstance(value, TieredPrices):
        return value if isinstance(value, Decimal) else None
    reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return reached[-1] if reached else value.base


def whole(price: ModelPrice) -> UnitPrices | None:
    """Unit prices as integers, where all of them are; None where a call needs the table's calculation."""
    fields = {key: value for key, value in price.__dict__.items() if value is not None}
    if any(not isinstance(value, Decimal) for value in fields.values()):
        return None
    if any((value * PUSD_PER_MTOK) % 1 for key, value in fields.items() if key.endswith("_mtok")):
        return None
    return _unit_prices(fields)


def _unit_prices(fields: Mapping[str, Decimal | None]) -> UnitPrices:
    """Fill up what has no price of its own from its parent; rests below a pico-dollar are rounded up."""

    def each(key: str, parent: int) -> int:
        value = fields.get(key)
        return parent if value is None else math.ceil(value * PUSD_PER_MTOK)

    taken, given = each("input_mtok", 0), each("output_mtok", 0)
    return UnitPrices(
        input_pusd=taken,
        cached_input_pusd=each("cache_read_mtok", taken),
        cache_write_pusd=each("cache_write_mtok", taken),
        output_pusd=given,
        reasoning_pusd=each("output_reasoning_mtok", given),
        request_pusd=pusd((fields.get("requests_kcount") or Decimal(0)) / 1000),
    )


def exact_cost(usage: Usage, price: ModelPrice) -> int:
    """The table's own calculation, for a usage that `sane_usage` passed."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    counted = TableUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=min(usage.reasoning_tokens, usage.output_tokens),
    )
    return pusd(price.calc_price(counted)["total_price"])


def scaled(value: Any, discount: float | None) -> Any:
    """Take the discount off one entry of a price list, in all its tiers."""
    if discount is None or value is None:
        return value
    factor = 1 - Decimal(str(discount))
    if isinstance(value, TieredPrices):
        return TieredPrices(
            value.base * factor, [Tier(tier.start, tier.price * factor) for tier in value.tiers]
        )
    return value * factor


def listed(price: ModelPrice) -> dict[str, str]:
    """Write a price list in words, for the record: `2.5`, or `1.25, 2.5 above 200000 tokens`."""
    return {key: _in_words(value) for key, value in price.__dict__.items() if value is not None}


def _in_words(value: Any) -> str:
    if not isinstance(value, TieredPrices):
        return str(value)
    return ", ".join([str(value.base), *(f"{tier.price} above {tier.start} tokens" for tier in value.tiers)])


def day_of(at: float) -> datetime:
    """Epoch seconds as UTC date and time."""
    return datetime.fromtimestamp(at, UTC)
