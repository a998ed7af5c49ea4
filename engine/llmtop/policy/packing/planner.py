"""Which items go into the next pack, and how those that a pack left unanswered are asked again.

A pack that came to nothing is searched for the item at fault (`searching`); its other items ride along
with next packs. Of a pack that is answered in part, what is left is asked again in smaller packs:
an item's first pack has size n, and at its k-th asking again it is in one of at most n / 2**k. Where
only a few of a healthy pack are left (a model that forgets one), they ride along with the next
full pack once, which costs no request of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmtop.policy.packing.reading import PackReading
from llmtop.policy.packing.searching import Searches

_FEW = 4
"""A pack is healthy when at most one of so many of its items is left."""

_PATIENCE = 4
"""Packs that may come to nothing with an item in them before its packs become smaller."""


@dataclass(slots=True)
class _Trouble:
    """An item that has been in packs that did not answer it."""

    first: int
    """Size of the first of them."""
    limit: int
    """Size of the next at the most."""
    times: int = 0
    """Packs that answered others."""
    empty: int = 0
    """Packs that answered nobody, those of a search not counted."""
    is_rider: bool = False


def split(ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the two halves of a pack of two or more; the first has the odd one."""
    middle = (len(ids) + 1) // 2
    return tuple(ids[:middle]), tuple(ids[middle:])


class PackPlanner:
    """Bookkeeping of items that are asked again. Remembers only those in trouble.

    Every pack that `next_pack` gives out comes back by `settle`, `failed` or `put_back`, but for those
    of one item, of which `forget` is enough.
    """

    def __init__(self, *, in_rounds: bool = False) -> None:
        """`in_rounds`: answers come in rounds that may take a day (batch jobs), so nothing is left for a
        later one that can be asked in this: of a pack that came to nothing both halves are.
        """
        self._in_rounds = in_rounds
        self._trouble: dict[str, _Trouble] = {}
        self._groups: deque[tuple[str, ...]] = deque()
        self._riders: deque[str] = deque()
        self._searches = Searches()

    def __repr__(self) -> str:
        return f"<PackPlanner {len(self._groups)} packs and {len(self._riders)} items to ask again>"

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again, now or when an answer that is awaited says how."""
        return len(self._riders) + sum(map(len, self._groups)) + self._searches.waiting

    @property
    def troubled(self) -> int:
        """Items that packs have left unanswered and that are not done yet."""
        return len(self._trouble)

    @property
    def is_due(self) -> bool:
        """Whether the next pack is a request of its own, which waits for nobody to fill it."""
        return bool(self._groups) or self._searches.is_due

    @property
    def riders(self) -> int:
        """Items that go with the next pack that is not `is_due`, beside new ones."""
        return len(self._riders)

    @property
    def may_free(self) -> bool:
        """Whether an answer is awaited that may free more items to ride: a last pack waits for them."""
        return self._searches.is_open

    def next_pack(self, size: int, fresh: Callable[[], str | None]) -> tuple[str, ...]:
        """Return the ids of the next pack; () when `fresh` has none and nothing waits but for answers.

        What is asked again goes first; `fresh` gives out new items, one a call, and None at the end.
        A group that is larger than `size`, which may have shrunk, is taken in parts.
        """
        if self._groups:
            group = self._groups.popleft()
            if len(group) > size:
                self._groups.appendleft(group[size:])
            return group[:size]
        if self._searches.is_due:
            return self._searches.take(size)
        pack: list[str] = []
        while len(pack) < size:
            id_ = self._riders.popleft() if self._riders else fresh()
            if id_ is None:
                break
            pack.append(id_)
        return tuple(pack)

    def put_back(self, pack: Sequence[str]) -> None:
        """Ask the same pack again: it was refused or lost, which says nothing about its items."""
        if tuple(pack) in self._searches:
            self._searches.put_back(tuple(pack))
        elif pack:
            self._groups.append(tuple(pack))

    def settle(self, pack: Sequence[str], reading: PackReading) -> tuple[str, ...]:
        """Take in what a pack's answer says; return the id that failed alone, if any: it has been asked
        in every smaller pack there is, and whether it is asked once more is for the retry policy.
        """
        if reading.is_failed:
            return self.failed(pack)
        for id_ in reading.answers:
            self._trouble.pop(id_, None)
        if tuple(pack) in self._searches:
            self._searches.passed(tuple(pack))
        self._ask_smaller([id_ for id_ in pack if id_ not in reading.answers], len(pack))
        return ()

    def failed(self, pack: Sequence[str]) -> tuple[str, ...]:
        """As `settle`, for a pack that came to nothing: refused as a whole, or no JSON at all."""
        ids = tuple(pack)
        if len(ids) == 1:
            self.forget(ids)
            return ids
        if self._in_rounds:
            self._ask_smaller(ids, len(ids))
            return ()
        if ids in self._searches:
            self._free(self._searches.failed(ids))
            return ()
        for id_ in ids:
            trouble = self._trouble.setdefault(id_, _Trouble(first=len(ids), limit=len(ids)))
            trouble.empty += 1
            trouble.is_rider = False
            if trouble.empty > _PATIENCE:
                most = math.ceil(trouble.first / 2 ** (trouble.empty - _PATIENCE))
                trouble.limit = min(trouble.limit, most)
        self._searches.begin(ids)
        return ()

    def forget(self, ids: Sequence[str]) -> None:
        """Drop what is known of items that have a result, or are asked again by somebody else."""
        for id_ in ids:
            self._trouble.pop(id_, None)

    def _ask_smaller(self, left: Sequence[str], size: int) -> None:
        """Ask again what a pack of `size` has left."""
        for id_ in left:
            self._note(id_, size, len(left))
        self._riders.extend(id_ for id_ in left if self._trouble[id_].is_rider)
        self._enqueue(tuple(id_ for id_ in left if not self._trouble[id_].is_rider))

    def _free(self, ids: Sequence[str]) -> None:
        """Let items ride that are under no suspicion, unless they have been in trouble too often."""
        limited = [id_ for id_ in ids if self._trouble[id_].limit < self._trouble[id_].first]
        self._riders.extend(id_ for id_ in ids if id_ not in limited)
        self._enqueue(tuple(limited))

    def _note(self, id_: str, size: int, left: int) -> None:
        trouble = self._trouble.setdefault(id_, _Trouble(first=size, limit=size))
        trouble.times += 1
        most = math.ceil(trouble.first / 2**trouble.times)
        is_healthy = left * _FEW <= size
        trouble.is_rider = is_healthy and trouble.times == 1 and trouble.first > 2
        trouble.limit = trouble.first if trouble.is_rider else max(1, min(most, (size + 1) // 2))

    def _enqueue(self, group: tuple[str, ...]) -> None:
        """Queue a group in packs that none of its items is too troubled for: in order, by halves."""
        if not group:
            return
        if len(group) <= min(self._trouble[id_].limit for id_ in group):
            self._groups.append(group)
            return
        for half in split(group):
            self._enqueue(half)
