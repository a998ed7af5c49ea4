"""The items that have no result yet, read lazily in input order: the ledger says which, the source what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llmtop.adapters.sources import Source
from llmtop.model import Item

_PAGE = 1000


class LedgerFeed:
    """Fits `submit.work.Feed`. A pass goes once through the source; `refill` begins another."""

    def __init__(self, source: Source, pending: Callable[[int, int], list[int]]) -> None:
        self._source = source
        self._pending = pending
        self._items: Iterator[Item] = iter(())

    def take(self) -> Item | None:
        """Return the next item of this pass, or None at its end."""
        return next(self._items, None)

    def refill(self) -> bool:
        """Begin a pass over what is without a result now; False where there is nothing."""
        if not self._pending(-1, 1):
            return False
        self._items = self._source.items(self._wanted())
        return True

    def _wanted(self) -> Iterator[int]:
        after = -1
        while page := self._pending(after, _PAGE):
            yield from page
            after = page[-1]
