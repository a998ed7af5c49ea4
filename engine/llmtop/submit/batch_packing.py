"""Which items are the next request of a job: one, or a pack where several share a request.

Items are taken as they are asked for, and only as many as the next request holds. What packs of an
earlier job left unanswered is asked again in smaller packs, by the rules of the planner, once that
job is over. It is without a result in the ledger too: whatever is kept here may be forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from llmtop.model import ChatRequest, Item
from llmtop.policy.packing import PackPlanner, PackReading
from llmtop.submit.batch_sparing import Sparing
from llmtop.submit.batch_work import JobExchange
from llmtop.submit.work import Feed, Work

_LONE_AT_MOST = 100
"""Items that can only go alone and are kept while a pack is gathered."""


class JobPacker:
    """The requests of one run's jobs, in their order.

    It holds the items that it has taken and that are in no job yet: the ledger calls them free, so a
    pass of the feed that meets them again passes them over.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        exchange: JobExchange,
        item_of: Callable[[int], Item],
        size: Callable[[], int],
        sparing: Sparing | None,
        keeps_left: Callable[[], bool],
    ) -> None:
        """`size`: how many items a request carries. Not `keeps_left`: somebody else asks what packs leave."""
        self.has_skipped = False
        """Whether items were passed over that wait for a job: one with an equal request, or their pack's."""
        self._feed = feed
        self._exchange = exchange
        self._item_of = item_of
        self._size = size
        self._sparing = sparing
        self._keeps_left = keeps_left
        self._planner = PackPlanner(in_rounds=True)
        self._is_ripe = False
        """Whether what packs have left is asked now: not while their job is still read."""
        self._is_stale = False
        """Whether the pass of the feed may still have items that are in a job by now."""
        self._held: set[int] = set()
        self._left: dict[str, int] = {}
        """Items that the planner keeps: id -> seq."""
        self._taken_again: set[int] = set()
        """Of those in hand, what the planner gave: the pass of the feed may have read them as free."""
        self._fresh: deque[Item] = deque()
        self._lone: deque[Item] = deque()
        self._carried: deque[tuple[Item, ...]] = deque()
        self._explained: dict[int, str | None] = {}
        """Items whose answer a filter sent back, with what was wrong with it: they go alone."""
        self._single: set[int] = set()
        """Items that the planner has left alone."""

    def __repr__(self) -> str:
        return f"<JobPacker {len(self._held)} items in hand, {self._planner!r}>"

    # -- the next request ----------------------------------------------------------------------

    async def next(self) -> tuple[Item, ...]:
        """Return the items of the next request; () when there are none for now."""
        if self._carried:
            return self._carried.popleft()
        size = max(1, self._size())
        await self._gather(size)
        if self._is_ripe and self._planner.waiting:
            return self._again(size)
        if len(self._fresh) < size and self._lone:
            return (self._lone.popleft(),)
        return tuple(self._fresh.popleft() for _ in range(min(size, len(self._fresh))))

    def request(self, items: Sequence[Item]) -> ChatRequest:
        """Return what is asked about these items."""
        if len(items) > 1:
            return self._exchange.request_pack(items)
        return self._exchange.request(items[0], self._explained.get(items[0].seq))

    def put_back(self, *packs: tuple[Item, ...]) -> None:
        """These requests come first when the next is asked for."""
        self._carried.extendleft(reversed(packs))

    def refill(self) -> bool:
        """Look again for items without a result: True when there are some. Only while all is at rest."""
        self._is_stale = self.has_skipped = False
        return self._feed.refill()

    def _again(self, size: int) -> tuple[Item, ...]:
        """Return what packs have left, in a smaller one, or in a full one with those that are new."""
        gathered: dict[str, Item] = {}

        def fresh() -> str | None:
            if not self._fresh:
                return None
            item = self._fresh.popleft()
            gathered[item.id] = item
            return item.id

        ids = self._planner.next_pack(size, fresh)
        self._is_ripe = self._planner.waiting > 0
        left = {id_: self._left.pop(id_) for id_ in ids if id_ not in gathered}
        self._taken_again.update(left.values())
        if len(ids) == 1:
            self._planner.forget(ids)
            self._single.update(left.values())
        return tuple(gathered[id_] if id_ in gathered else self._item_of(left[id_]) for id_ in ids)

    async def _gather(self, size: int) -> None:
        while len(self._fresh) < size and len(self._lone) < _LONE_AT_MOST and not self._is_stale:
            item = self._feed.take()
            if item is None:
                return
            if item.seq in self._held:
                self.has_skipped = True
                continue
            if self._sparing is not None and item.seq not in self._explained:
                word = await self._sparing.look(item, self._feed.past(item))
                self.has_skipped |= word == "wait"
                if word != "ask":
                    continue
            self._held.add(item.seq)
            (self._lone if self._goes_alone(item) else self._fresh).append(item)

    def _goes_alone(self, item: Item) -> bool:
        return item.seq in self._explained or item.seq in self._single or not self._exchange.can_pack(item)

    # -- what became of it ---------------------------------------------------------------------

    def intended(self, number: int, seqs: Iterable[int]) -> None:
        """The ledger has these items in a job now."""
        seqs = list(seqs)
        if not self._taken_again.isdisjoint(seqs):
            self._is_stale, self.has_skipped = True, False
            self._taken_again.difference_update(seqs)
        self._held.difference_update(seqs)
        if self._sparing is not None:
            self._sparing.intended(number, seqs)

    def refused(self, item: Item) -> None:
        """No job can hold an item: it has a result."""
        self._held.discard(item.seq)
        if self._sparing is not None:
            self._sparing.refused(item)

    def answered(self, pack: Sequence[Work], reading: PackReading) -> None:
        """Take in what a pack's answer says."""
        self._keep(pack, lambda ids: self._planner.settle(ids, reading), reading.unresolved)

    def spoiled(self, pack: Sequence[Work]) -> None:
        """A pack came to nothing: its halves are asked."""
        self._keep(pack, self._planner.failed, [part.item.id for part in pack])

    def sent_back(self, item: Item, explanation: str | None) -> None:
        """A filter wants an item asked again: alone, with what was wrong."""
        self._explained[item.seq] = explanation

    def is_sent_back(self, seq: int) -> bool:
        """Whether an item's request is another than its own because a filter sent its answer back."""
        return seq in self._explained

    def over(self, number: int) -> None:
        """A job is over: what its packs have left may be asked."""
        self._is_ripe = self._planner.waiting > 0
        self.has_skipped = False
        if self._sparing is not None:
            self._sparing.over(number)

    def drop(self) -> None:
        """Forget what is in hand: a new pass finds it again."""
        self._planner = PackPlanner(in_rounds=True)
        self._is_ripe = False
        for kept in (self._held, self._taken_again, self._left, self._fresh, self._lone, self._carried):
            kept.clear()
        if self._sparing is not None:
            self._sparing.drop()

    def _keep(
        self, pack: Sequence[Work], settle: Callable[[Sequence[str]], object], unresolved: Sequence[str]
    ) -> None:
        if not self._keeps_left():
            return
        left = set(unresolved)
        for part in pack:
            if part.item.id in left:
                self._left[part.item.id] = part.item.seq
                self._held.add(part.item.seq)
        settle([part.item.id for part in pack])
