"""Prices of the genai-prices table, with what `[prices]` overrides laid over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from genai_prices import __version__
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider

from llmtop.adapters.prices.lists import (
    PUSD_PER_MTOK,
    Bound,
    bounds,
    day_of,
    exact_cost,
    has_hours,
    listed,
    moments,
    scaled,
    whole,
)
from llmtop.config.schema import PricesConfig, ProviderConfig
from llmtop.model import Usage
from llmtop.policy.pricing import UnitPrices, cost_pusd, upper_bound_pusd

_PROVIDER_OF_KIND = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
_CONTEXT_KEYS = ("service_tier", "speed")
_DAY_S = 86_400.0


def look_up(
    config: ProviderConfig, prices: PricesConfig, now: float, extra: Mapping[str, Any]
) -> TablePricer | None:
    """Find the model in the table by its address, else by its kind; None where a token price is missing."""
    provider_id = _PROVIDER_OF_KIND.get(config.kind)
    if provider_id is None or not config.model:
        return None
    url = config.base_url.lower() if config.base_url else None
    try:
        found = get_snapshot().find_provider_model(config.model, None, None if url else provider_id, url)
    except LookupError:
        return None
    pricer = TablePricer(*found, prices, now, extra)
    return pricer if pricer.has_both_prices else None


class TablePricer:
    """The prices of one model in the genai-prices table, with what `[prices]` overrides.

    Where every price is a whole number of pico-dollars a token and none depends on the hour or
    the length of the prompt, they are resolved once a UTC day and a call is integer arithmetic;
    else the table's own calculation runs for each call.
    """

    is_known = True

    def __init__(
        self,
        provider: Provider,
        model: ModelInfo,
        config: PricesConfig,
        now: float,
        extra: Mapping[str, Any],
    ) -> None:
        self._provider = provider
        self._model = model
        self._config = config
        # A model found through another provider has that one's list prices, never its variants.
        is_own = any(model is other for other in provider.models)
        context = {key: extra[key] for key in _CONTEXT_KEYS if isinstance(extra.get(key), str)}
        self._context = context if is_own else {}
        self._batch_context = {**context, "processing": "batch"} if is_own else {}
        self._now = now
        self._version = __version__
        self._has_hours = has_hours(model)
        self._day = math.nan
        self._resolved: dict[bool, UnitPrices | ModelPrice] = {}
        self._bounds = {is_batch: self._dearest(is_batch) for is_batch in (False, True)}

    @property
    def origin(self) -> str:
        """The package, its version and the day whose prices were taken."""
        table = f"genai-prices {self._version} ({day_of(self._now):%Y-%m-%d})"
        return f"config [prices] over {table}" if self._overrides() else table

    @property
    def has_both_prices(self) -> bool:
        """Whether both input and output tokens have a price: with one of them a cost would be too low."""
        price = self._price(self._now, False)
        return price.input_mtok is not None and price.output_mtok is not None

    @property
    def batch_factor(self) -> float | None:
        """Batch price over standard price of an input token; None where the table has no batch price."""
        if self._config.batch_discount is not None:
            return 1.0 - self._config.batch_discount
        standard, batch = (self._bounds[is_batch][0].prices for is_batch in (False, True))
        if standard == batch or not standard.input_pusd:
            return None
        return batch.input_pusd / standard.input_pusd

    def cost(self, usage: Usage, at: float, *, is_batch: bool = False) -> int | None:
        """Price one call made at `at`."""
        prices = self._prices(at, is_batch)
        return cost_pusd(usage, prices) if isinstance(prices, UnitPrices) else exact_cost(usage, prices)

    def upper_bound(self, input_tokens: int, output_tokens: int, *, is_batch: bool = False) -> int | None:
        """The most that a call of that size can cost at any hour from the day of the look-up on."""
        return max(
            upper_bound_pusd(input_tokens, output_tokens, bound.prices)
            for bound in self._bounds[is_batch]
            if input_tokens > bound.above
        )

    def record(self) -> dict[str, Any]:
        """Package, version, day, the table's names, and unit prices as dollars per million tokens."""
        return {
            "origin": self.origin,
            "version": self._version,
            "date": f"{day_of(self._now):%Y-%m-%d}",
            "provider": self._provider.id,
            "model": self._model.id,
            "usd_per_mtok": listed(self._price(self._now, False)),
            "usd_per_mtok_batch": listed(self._price(self._now, True)),
            "is_batch_price_assumed": self._config.batch_discount is not None,
            "is_batch_price_known": self.batch_factor is not None,
            "batch_factor": self.batch_factor,
            **({"context": self._context} if self._context else {}),
        }

    def _prices(self, at: float, is_batch: bool) -> UnitPrices | ModelPrice:
        if self._has_hours:
            return self._price(at, is_batch)
        day = at // _DAY_S
        if day != self._day:
            self._day = day
            self._resolved.clear()
        prices = self._resolved.get(is_batch)
        if prices is None:
            price = self._price(at, is_batch)
            prices = self._resolved[is_batch] = whole(price) or price
        return prices

    def _price(self, at: float, is_batch: bool) -> ModelPrice:
        """The price list of that moment and route, `[prices]` laid over it."""
        discount = self._config.batch_discount if is_batch else None
        context = self._batch_context if is_batch and discount is None else self._context
        price = self._model.get_prices(day_of(at), context)
        fields = {**price.__dict__, **self._overrides()}
        return ModelPrice(**{key: scaled(value, discount) for key, value in fields.items()})

    def _overrides(self) -> dict[str, Decimal]:
        given = {
            "input_mtok": self._config.input,
            "output_mtok": self._config.output,
            "cache_read_mtok": self._config.cached_input,
        }
        return {key: Decimal(value) / PUSD_PER_MTOK for key, value in given.items() if value is not None}

    def _dearest(self, is_batch: bool) -> tuple[Bound, ...]:
        return tuple(
            {
                bound: None
                for moment in moments(self._model, self._now)
                for bound in bounds(self._price(moment, is_batch))
            }
        )
