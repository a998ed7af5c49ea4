"""Which items go into the next pack, and how those that a pack left unanswered are asked again.

An item's first pack has size n. At its k-th asking again it is in a pack of at most n / 2**k, so
after at most log2(n) of them it is alone, and what spoiled its packs is found. A pack without
any answer falls into two halves. Where only a few of a healthy pack are left (a model that
forgets one), they ride along with the next full pack once, which costs no request of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmtop.policy.packing.reading import PackReading

_FEW = 4
"""A pack is healthy when at most one of so many of its items is left."""


@dataclass(slots=True)
class _Trouble:
    """An item that has been in packs that did not answer it."""

    first: int
    """Size of the first of them."""
    times: int
    limit: int
    """Size of the next at the most."""
    is_rider: bool = False


def split(ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the two halves of a pack of two or more; the first has the odd one."""
    middle = (len(ids) + 1) // 2
    return tuple(ids[:middle]), tuple(ids[middle:])


class PackPlanner:
    """Bookkeeping of items that are asked again. Remembers only those in trouble."""

    def __init__(self) -> None:
        self._trouble: dict[str, _Trouble] = {}
        self._groups: deque[tuple[str, ...]] = deque()
        self._riders: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<PackPlanner {len(self._groups)} packs and {len(self._riders)} items to ask again>"

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again."""
        return len(self._riders) + sum(map(len, self._groups))

    @property
    def troubled(self) -> int:
        """Items that packs have left unanswered and that are not done yet."""
        return len(self._trouble)

    def next_pack(self, size: int, fresh: Callable[[], str | None]) -> tuple[str, ...]:
        """Return the ids of the next pack, () when nothing waits and `fresh` has none.

        What is asked again goes first; `fresh` gives out new items, one a call, and None at the end.
        A group that is larger than `size`, which may have shrunk, is taken in parts.
        """
        if self._groups:
            group = self._groups.popleft()
            if len(group) > size:
                self._groups.appendleft(group[size:])
            return group[:size]
        pack: list[str] = []
        while len(pack) < size:
            id_ = self._riders.popleft() if self._riders else fresh()
            if id_ is None:
                break
            pack.append(id_)
        return tuple(pack)

    def put_back(self, pack: Sequence[str]) -> None:
        """Ask the same pack again: it was refused or lost, which says nothing about its items."""
        if pack:
            self._groups.append(tuple(pack))

    def settle(self, pack: Sequence[str], reading: PackReading) -> tuple[str, ...]:
        """Take in what a pack's answer says; return the id that failed alone, if any: it has been asked
        in every smaller pack there is, and whether it is asked once more is for the retry policy.
        """
        for id_ in reading.answers:
            self._trouble.pop(id_, None)
        return self._again(pack, [id_ for id_ in pack if id_ not in reading.answers])

    def failed(self, pack: Sequence[str]) -> tuple[str, ...]:
        """As `settle`, for a pack that came to nothing: refused as a whole, or no JSON at all."""
        return self._again(pack, list(pack))

    def forget(self, ids: Sequence[str]) -> None:
        """Drop what is known of items that have a result, or are asked again by somebody else."""
        for id_ in ids:
            self._trouble.pop(id_, None)

    def _again(self, pack: Sequence[str], left: list[str]) -> tuple[str, ...]:
        if len(pack) == 1:
            self.forget(left)
            return tuple(left)
        for id_ in left:
            self._note(id_, len(pack), len(left))
        self._riders.extend(id_ for id_ in left if self._trouble[id_].is_rider)
        group = [id_ for id_ in left if not self._trouble[id_].is_rider]
        self._enqueue(tuple(group))
        return ()

    def _note(self, id_: str, size: int, left: int) -> None:
        trouble = self._trouble.setdefault(id_, _Trouble(first=size, times=0, limit=size))
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
