"""The money of one run: what a call may cost, what it did cost, and the cap between them."""

from __future__ import annotations

import math

from llmtop.model import Usage
from llmtop.policy.budget import Budget, ItemCosts
from llmtop.policy.pricing import Pricer, sane_usage


class Accounts:
    """Reserve before a call, settle after; an unknown price is counted as unknown, never as 0.

    `unpriced`, `estimated` and `maybe_billed` count answered calls without a known price, calls
    whose usage was missing or nonsense, and calls whose answer was lost.
    """

    def __init__(
        self,
        budget: Budget,
        pricer: Pricer,
        *,
        unpriced: int,
        estimated: int,
        maybe_billed: int,
        tokens: Usage,
        batch_pusd: int = 0,
    ) -> None:
        self.budget = budget
        self.pricer = pricer
        self.item_costs = ItemCosts()
        self.unpriced = unpriced
        self.estimated = estimated
        self.maybe_billed = maybe_billed
        self.batch_pusd = batch_pusd
        """Of what was spent: by batch jobs."""
        self._tokens = [
            tokens.input_tokens,
            tokens.cached_input_tokens,
            tokens.output_tokens,
            tokens.reasoning_tokens,
        ]

    @property
    def saved_by_batches_pusd(self) -> int:
        """What the batch jobs would have cost more in realtime; 0 where no batch price is known."""
        factor = self.pricer.batch_factor
        return 0 if not factor else round(self.batch_pusd * (1.0 - factor) / factor)

    @property
    def tokens(self) -> Usage:
        """All tokens so far, over all starts."""
        given, cached, taken, reasoned = self._tokens
        return Usage(
            input_tokens=given, cached_input_tokens=cached, output_tokens=taken, reasoning_tokens=reasoned
        )

    def reserve_for(self, input_tokens: float, output_tokens: float, *, is_batch: bool = False) -> int:
        """Return the most that one try may cost, in pico-dollars; 0 where the price is unknown."""
        bound = self.pricer.upper_bound(math.ceil(input_tokens), math.ceil(output_tokens), is_batch=is_batch)
        return 0 if bound is None else bound

    def believable(self, reported: Usage | None, input_estimate: float, output_estimate: float) -> Usage:
        """Return the usage to bill: what was reported, or our estimate where that makes no sense."""
        estimate = Usage(input_tokens=math.ceil(input_estimate), output_tokens=math.ceil(output_estimate))
        return sane_usage(reported, estimate)

    def price(
        self, usage: Usage, reported_pusd: int | None, at: float, *, is_batch: bool = False
    ) -> int | None:
        """Return what a call cost: what the API says, else usage times price; None: unknown."""
        if reported_pusd is not None:
            return reported_pusd
        return self.pricer.cost(usage, at, is_batch=is_batch)

    def settle(self, reserved_pusd: int, usage: Usage, cost_pusd: int | None) -> None:
        """Replace a reservation by what the call cost."""
        self.estimated += usage.is_estimated
        self.unpriced += cost_pusd is None
        tokens = self._tokens
        tokens[0] += usage.input_tokens
        tokens[1] += usage.cached_input_tokens
        tokens[2] += usage.output_tokens
        tokens[3] += usage.reasoning_tokens
        self.budget.settle(reserved_pusd, cost_pusd or 0)

    def lose(self, reserved_pusd: int) -> None:
        """The answer was lost and may have been billed: the amount stays off the budget."""
        self.maybe_billed += 1
        self.budget.lose(reserved_pusd)
