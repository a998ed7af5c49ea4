"""Which item of a pack that came to nothing is at fault: found by halves, one request at a time.

Half of the suspects are asked. If that half is answered, the fault is in the other half, and if it
comes to nothing, the other half is free of suspicion. So a search takes one request for each bit of
the place, until two suspects are left, and those are asked alone. Who is freed has lost nothing
but its first request: it goes with others into a next pack.

A pack may also come to nothing by chance. Where that is what mostly happens, the second half is
asked whole before anything is concluded about it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_PAIR = 2
"""So many suspects are asked alone: a half of them would be a single item, which spoils nothing."""

_TELLING = 5
"""Items of the smallest pack whose search tells chance from fault."""

_DOUBTFUL = 3
"""By so many searches chance must be ahead of fault before a second half is asked whole."""


@dataclass(frozen=True, slots=True)
class _Search:
    suspects: tuple[str, ...]
    is_sure: bool
    """Whether a part of the pack has failed as well, which chance does not explain."""
    is_whole: bool = False
    """Whether all suspects are asked together, since nobody may be at fault."""


class Searches:
    """The searches that go on, each with one request out at the most.

    The caller says of every pack that `take` gave out whether it `passed`, `failed` or is `put_back`,
    but for single items: they end a search.
    """

    def __init__(self) -> None:
        self._due: deque[_Search] = deque()
        self._open: dict[tuple[str, ...], _Search] = {}
        """What is asked, and who is a suspect if it passes."""
        self._faults = 0
        self._chances = 0

    def __repr__(self) -> str:
        return f"<Searches {len(self._due)} due, {len(self._open)} open>"

    @property
    def waiting(self) -> int:
        """Suspects that are not asked at the moment."""
        return sum(len(search.suspects) for search in (*self._due, *self._open.values()))

    @property
    def is_due(self) -> bool:
        """Whether `take` has something to ask."""
        return bool(self._due)

    @property
    def is_open(self) -> bool:
        """Whether an answer is awaited that may free somebody."""
        return bool(self._open)

    def __contains__(self, pack: tuple[str, ...]) -> bool:
        """Whether a search waits for what becomes of this pack."""
        return pack in self._open

    def begin(self, pack: tuple[str, ...]) -> None:
        """A pack of two or more came to nothing."""
        self._go_on(_Search(pack, is_sure=len(pack) < _TELLING))

    def take(self, size: int) -> tuple[str, ...]:
        """Return what is asked next, of at most `size` items. Only while `is_due`."""
        search = self._due.popleft()
        suspects = search.suspects
        if size == 1 or (len(suspects) <= _PAIR and not search.is_whole):
            if suspects[1:]:
                self._due.appendleft(_Search(suspects[1:], search.is_sure))
            return suspects[:1]
        count = min(size, len(suspects) if search.is_whole else (len(suspects) + 1) // 2)
        self._open[suspects[:count]] = _Search(suspects[count:], search.is_sure, search.is_whole)
        return suspects[:count]

    def put_back(self, pack: tuple[str, ...]) -> None:
        """Nothing was learned: ask again."""
        search = self._open.pop(pack)
        self._due.appendleft(_Search(pack + search.suspects, search.is_sure, search.is_whole))

    def passed(self, pack: tuple[str, ...]) -> None:
        """Go on with those who were not in it: the fault is theirs, if anybody's."""
        search = self._open.pop(pack)
        if not search.suspects:
            self._chances += 1
            return
        is_whole = not search.is_sure and self._chances - self._faults >= _DOUBTFUL
        self._go_on(_Search(search.suspects, search.is_sure, is_whole))

    def failed(self, pack: tuple[str, ...]) -> tuple[str, ...]:
        """Go on within it; return those who are free of suspicion."""
        search = self._open.pop(pack)
        if not search.is_sure:
            self._faults += 1
        self._go_on(_Search(pack, is_sure=True))
        return search.suspects

    def _go_on(self, search: _Search) -> None:
        is_over = len(search.suspects) <= _PAIR
        if is_over and not search.is_sure:
            self._chances += 1
        self._due.append(_Search(search.suspects, search.is_sure, search.is_whole and not is_over))
