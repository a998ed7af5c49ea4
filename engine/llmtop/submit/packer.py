"""Single works to packs and back: which items share the next request, and what a pack left unanswered.

A pack is a `Work` whose `parts` are the works of its items, each of them as it would be alone. Who
is left alone by the planner is sent as that very work: a pack of one is no pack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from llmtop.policy.packing import PackPlanner, PackReading
from llmtop.submit.work import Exchange, Work


class Packer:
    """The packs of one run. `choose` gives the size of the next one: it is asked once for each."""

    def __init__(self, exchange: Exchange, usual_size: Callable[[], int], choose: Callable[[], int]) -> None:
        """`usual_size`: how many items a request carries as a rule; 1: nothing is gathered."""
        self._usual_size = usual_size
        self._exchange = exchange
        self._choose = choose
        self._planner = PackPlanner()
        self._fresh: deque[Work] = deque()
        self._left: dict[str, Work] = {}
        """Works that packs have left unanswered, by item id."""
        self._size: int | None = None

    def __repr__(self) -> str:
        return f"<Packer {len(self._fresh)} gathered, {self._planner.waiting} to ask again>"

    @property
    def is_open(self) -> bool:
        """Whether items are gathered at all: with one item a request each goes its own way."""
        return self._usual_size() > 1 or self.waiting > 0

    @property
    def waiting(self) -> int:
        """Items that are gathered or wait to be asked again."""
        return len(self._fresh) + self._planner.waiting

    def add(self, work: Work) -> None:
        """Gather a single work for the next pack."""
        self._fresh.append(work)

    def take(self, now: float, *, is_last: bool) -> Work | None:
        """Return the next pack when it is full, or when no more items come; None: not yet.

        A last pack waits for items that requests in flight may still free to go with it.
        """
        if self._size is None:
            self._size = self._choose()
        ordinary = self._planner.riders + len(self._fresh)
        is_full = ordinary >= self._size or (is_last and ordinary > 0 and not self._planner.may_free)
        if not (self._planner.is_due or is_full):
            return None
        gathered: dict[str, Work] = {}

        def fresh() -> str | None:
            if not self._fresh:
                return None
            work = self._fresh.popleft()
            gathered[work.item.id] = work
            return work.item.id

        ids = self._planner.next_pack(self._size, fresh)
        self._size = None
        return self.pack_of([gathered.get(id_) or self._left.pop(id_) for id_ in ids], now)

    def pack_of(self, parts: Sequence[Work], now: float) -> Work:
        """Return the request that asks these works: a pack, or the one work as it is."""
        if len(parts) == 1:
            self._planner.forget([parts[0].item.id])
            parts[0].is_alone = True
            return parts[0]
        wire, max_output = self._exchange.prepare_pack([part.item for part in parts])
        return Work(
            item=parts[0].item,
            wire=wire,
            ready_at=min(now, *(part.ready_at for part in parts)),
            is_asked=True,
            parts=tuple(parts),
            max_output_tokens=max_output,
        )

    def settle(self, pack: Work, reading: PackReading) -> int:
        """Take in what a pack's answer says; return how many of its items are asked again."""
        return self._keep(pack, lambda ids: self._planner.settle(ids, reading), reading.unresolved)

    def halve(self, pack: Work) -> int:
        """A pack came to nothing: the fault is looked for by halves; returns how many items are open."""
        return self._keep(pack, self._planner.failed, [part.item.id for part in pack.parts])

    def drop(self) -> None:
        """Forget everything: the items are without a result in the ledger, and come again."""
        self._planner = PackPlanner()
        self._fresh.clear()
        self._left.clear()

    def _keep(self, pack: Work, settle: Callable[[Sequence[str]], object], unresolved: Sequence[str]) -> int:
        left = set(unresolved)
        self._left.update((part.item.id, part) for part in pack.parts if part.item.id in left)
        settle([part.item.id for part in pack.parts])
        return len(left)
