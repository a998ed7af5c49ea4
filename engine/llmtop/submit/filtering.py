"""The filters of one run, as an answer meets them: at once, or foreseen where they run in other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llmtop.model import Item, ItemError, ItemStatus, Reply, Result
from llmtop.policy.filters import ChainResult, Rejection
from llmtop.submit.landing import answer_in
from llmtop.submit.work import Exchange, Work

Trail = tuple[Mapping[str, Any], ...]
"""What each filter that did something did to an output."""


class Filtering(Protocol):
    """The filters of one run, with what they count and remember."""

    @property
    def needs_pool(self) -> bool:
        """Whether a filter runs in processes of its own, so that `apply` would hold up the event loop."""

    def apply(self, output: Any, item: Item) -> ChainResult:
        """Filter one output."""

    async def apply_async(self, output: Any, item: Item) -> ChainResult:
        """Filter one output, where `needs_pool`."""

    def count(self, result: Result) -> None:
        """Count a result that is committed."""

    def count_again(self, trail: Trail) -> None:
        """Count an answer that was rejected, and whose item is asked again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An output as the filters leave it, and what its item comes to."""

    output: Any
    status: ItemStatus = "done"
    error: ItemError | None = None
    trail: Trail = ()
    again: Rejection | None = None
    """Why the item is asked once more; None: it is not."""


class Sieve:
    """Lets the filters see each output once; `filters` None: everything passes."""

    def __init__(self, filters: Filtering | None, exchange: Exchange) -> None:
        self.filters = filters
        self._exchange = exchange
        self._again: list[tuple[int, Trail]] = []
        self._seen: dict[int, ChainResult] = {}
        """By seq: what slow filters have said, until the answer is taken in."""

    def __repr__(self) -> str:
        return f"<Sieve {len(self._seen)} foreseen>"

    @property
    def is_slow(self) -> bool:
        """Whether an answer must be `foreseen` before it is taken in."""
        return self.filters is not None and self.filters.needs_pool

    async def foresee(self, work: Work, reply: Reply) -> None:
        """Let slow filters see an answer without holding up the loop; `sift` returns what they said."""
        answer = answer_in(reply, work, self._exchange.model)
        if self.filters is None or answer is None or work.is_check:
            return
        if work.parts:
            reading = self._exchange.read_pack(answer.text, [part.item.id for part in work.parts])
            outputs = [(part, reading.answers.get(part.item.id)) for part in work.parts]
        else:
            outputs = [(work, self._exchange.accept(answer.text)[0])]
        for member, output in outputs:
            if output is not None:
                self._seen[member.item.seq] = await self.filters.apply_async(output, member.item)

    def sift(self, member: Work, output: Any) -> ChainResult | None:
        """Return what the filters say of an output: foreseen, or now; None: there are no filters."""
        if self.filters is None:
            return None
        return self._seen.pop(member.item.seq, None) or self.filters.apply(output, member.item)

    def judge(self, member: Work, output: Any) -> Judged:
        """Count an answer of an item, and say what the filters make of it."""
        seen = self.sift(member, output)
        if seen is None:
            return Judged(output)
        member.asks += 1
        if seen.rejected_by is None:
            return Judged(seen.output, trail=seen.trail)
        again = seen.rejected_by if seen.rejected_by.is_asked_again(member.asks) else None
        error = ItemError("filtered", seen.rejected_by.message)
        if again is not None and self.filters is not None:
            self.filters.count_again(seen.trail)
            self._again.append((member.item.seq, seen.trail))
        return Judged(seen.output, "rejected", error, seen.trail, again)

    def asked_again(self) -> tuple[tuple[int, Trail], ...]:
        """Return what the ledger has to keep of the answers that were judged since the last call."""
        again, self._again = tuple(self._again), []
        return again
