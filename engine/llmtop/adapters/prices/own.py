"""Prices that need no table: the user's own, and none at all."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from llmtop.model import Usage
from llmtop.policy.pricing import UnitPrices, cost_pusd, upper_bound_pusd, usd

_TOKENS = 1_000_000
"""Prices are written for so many tokens."""


class UnknownPricer:
    """No price is known: every figure is None."""

    origin = "unknown"
    is_known = False
    batch_factor: float | None = None

    def cost(self, usage: Usage, at: float, *, is_batch: bool = False) -> int | None:
        """Return None: unknown, not 0."""
        return None

    def upper_bound(self, input_tokens: int, output_tokens: int, *, is_batch: bool = False) -> int | None:
        """Return None: unknown, not 0."""
        return None

    def record(self) -> dict[str, Any]:
        """Say that nothing is known."""
        return {"origin": self.origin}


class FixedPricer:
    """The user's own prices."""

    origin = "config [prices]"
    is_known = True

    def __init__(self, prices: UnitPrices, batch_discount: float | None) -> None:
        self._standard = prices
        self._batch = prices if batch_discount is None else _discounted(prices, batch_discount)
        self.batch_factor = None if batch_discount is None else 1.0 - batch_discount

    def cost(self, usage: Usage, at: float, *, is_batch: bool = False) -> int | None:
        """Price one call; the hour makes no difference."""
        return cost_pusd(usage, self._batch if is_batch else self._standard)

    def upper_bound(self, input_tokens: int, output_tokens: int, *, is_batch: bool = False) -> int | None:
        """The most that a call of that size can cost."""
        return upper_bound_pusd(input_tokens, output_tokens, self._batch if is_batch else self._standard)

    def record(self) -> dict[str, Any]:
        """Unit prices as dollars per million tokens."""
        return {
            "origin": self.origin,
            "usd_per_mtok": _readable(self._standard),
            "usd_per_mtok_batch": _readable(self._batch),
            "batch_factor": self.batch_factor,
        }


def _discounted(prices: UnitPrices, discount: float) -> UnitPrices:
    factor = 1 - Decimal(str(discount))
    return UnitPrices(
        **{name: math.ceil(getattr(prices, name) * factor) for name in UnitPrices.__dataclass_fields__}
    )


def _readable(prices: UnitPrices) -> dict[str, str]:
    per_mtok = {name: getattr(prices, name) * _TOKENS for name in UnitPrices.__dataclass_fields__}
    return {name.removesuffix("_pusd"): usd(amount) for name, amount in per_mtok.items()}
