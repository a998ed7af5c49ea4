"""A sample of packed items is asked again alone, to see whether packing changes the answers.

The answer of a check is never a result. A check that fails for good, or that a stop cuts off, is left
out; its cost is in the run's like that of any request.
"""

from __future__ import annotations

from typing import Any, Protocol

from llmtop.model import Item, WireRequest
from llmtop.policy.packing import agree, is_checked
from llmtop.submit.work import Work


class _Alone(Protocol):
    """The part of an exchange that is needed."""

    def prepare(self, item: Item) -> WireRequest:
        """Put an item into the provider's words."""


class PackChecks:
    """The checks of one run: `share` of its packed items, chosen by seed and id."""

    def __init__(
        self, exchange: _Alone, share: float, seed: str, *, checked: int = 0, agreed: int = 0
    ) -> None:
        self.checked = checked
        """Lone answers that were compared, over all starts."""
        self.agreed = agreed
        self._exchange = exchange
        self._share = share
        self._seed = seed

    def __repr__(self) -> str:
        return f"<PackChecks {self.agreed} of {self.checked} agree>"

    def of(self, member: Work, output: Any, now: float) -> Work | None:
        """Return the work that asks an item alone, where it is in the sample; `output`: from its pack."""
        if not is_checked(self._seed, member.item.id, self._share):
            return None
        return Work(
            item=member.item,
            wire=self._exchange.prepare(member.item),
            ready_at=now,
            is_asked=True,
            is_alone=True,
            is_check=True,
            packed_output=output,
        )

    def compare(self, check: Work, output: Any) -> bool:
        """Count a check that was answered; return whether it agrees with the pack."""
        is_same = agree(check.packed_output, output)
        self.checked += 1
        self.agreed += is_same
        return is_same
