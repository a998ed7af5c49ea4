"""The order of belief: the user's own prices, the price table, unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmtop.adapters.prices.own import FixedPricer, UnknownPricer
from llmtop.adapters.providers.servers import usual_batch_discount
from llmtop.config.schema import PricesConfig, ProviderConfig
from llmtop.policy.pricing import Pricer, UnitPrices


def find_prices(
    provider: ProviderConfig, prices: PricesConfig, now: float, extra: Mapping[str, Any] | None = None
) -> Pricer:
    """Find the prices of `provider.model`.

    `now` (epoch seconds) picks the price of the day; `extra` is `request.extra`: a
    `service_tier` or `speed` in it has prices of its own. The simulator and a local function
    have the prices of `[prices]` or none. An address that the table does not know has no
    price either: what stands behind it is a guess. A batch price that neither says is what the
    provider usually takes off, marked as assumed; else the standard price, which is an upper bound.
    """
    usual = usual_batch_discount(provider) if prices.batch_discount is None else None
    if prices.input is not None and prices.output is not None:
        own = UnitPrices.simple(prices.input, prices.output, prices.cached_input)
        return FixedPricer(own, usual if prices.batch_discount is None else prices.batch_discount)
    # Imported late: the table costs 0.3 s and 39 MB, and a run with its own prices needs none of it.
    from llmtop.adapters.prices.table import look_up

    found = look_up(provider, prices, now, extra or {})
    if found is not None and found.batch_factor is None and usual is not None:
        found = look_up(provider, replace(prices, batch_discount=usual), now, extra or {})
    return found or UnknownPricer()
