"""How many items a request of one run carries: what its lane has chosen, within what its config says."""

from __future__ import annotations

from llmtop.config.schema import Range
from llmtop.submit.gate import Lane


class RunPacks:
    """Runs share a lane and what its tuner learns, not their ranges; what a person sets holds for all."""

    def __init__(self, lane: Lane, span: Range) -> None:
        self._lane = lane
        self._span = span

    def __repr__(self) -> str:
        return f"<RunPacks {self.size} of {self._span}>"

    @property
    def size(self) -> int:
        """How many items a request carries, as a rule."""
        return self._within(self._lane.pack_size)

    def choose(self) -> int:
        """Return how many items the next request should carry: now and then a neighbour is tried."""
        return self._within(self._lane.choose_pack())

    def _within(self, size: int) -> int:
        if self._lane.is_pack_pinned:
            return size
        return min(max(size, self._span.low), self._span.high)
