"""The order of belief: the user's own prices, the price table, unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmtop.adapters.prices.own import FixedPricer, UnknownPricer
from llmtop.config.schema import PricesConfig, ProviderConfig
from llmtop.policy.pricing import Pricer, UnitPrices


def find_prices(
    provider: ProviderConfig, prices: PricesConfig, now: float, extra: Mapping[str, Any] | None = None
) -> Pricer:
    """Find the prices of `provider.model`.

    `now` (epoch seconds) picks the price of the day; `extra` is `request.extra`: a
    `service_tier` or `speed` in it has prices of its own. The simulator and a local function
    have the prices of `[prices]` or none. An address that the table does not know has no
    price either: what stands behind it is a guess.
    """
    if prices.input is not None and prices.output is not None:
        own = UnitPrices.simple(prices.input, prices.output, prices.cached_input)
        return FixedPricer(own, prices.batch_discount)
    # Imported late: the table costs 0.3 s and 39 MB, and a run with its own prices needs none of it.
    from llmtop.adapters.prices.table import look_up

    return look_up(provider, prices, now, extra or {}) or UnknownPricer()
