"""The items that have no result yet, read lazily in input order: the ledger says which, the source what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llmtop.adapters.ledger import Ledger, Pending
from llmtop.adapters.sources import Source
from llmtop.model import Item, ItemPast

_PAGE = 1000


class LedgerFeed:
    """Fits `submit.work.Feed`. A pass goes once through the source; `refill` begins another.

    `which` is asked for each page: what is taken may change while the run goes.
    """

    def __init__(self, source: Source, ledger: Ledger, which: Callable[[], Pending]) -> None:
        self._source = source
        self._ledger = ledger
        self._which = which
        self._last_sent = -1
        """The highest seq that was sent before this pass: beyond it no item has a past."""
        self._items: Iterator[Item] = iter(())

    def take(self) -> Item | None:
        """Return the next item of this pass, or None at its end."""
        return next(self._items, None)

    def past(self, item: Item) -> ItemPast | None:
        """Return what an item of this pass went through before; None: it was never sent."""
        return self._ledger.past(item.seq) if item.seq <= self._last_sent else None

    def refill(self) -> bool:
        """Begin a pass over what is without a result now; False where there is nothing."""
        if not self._ledger.pending(-1, 1, self._which()):
            return False
        self._last_sent = self._ledger.last_sent()
        self._items = self._source.items(self._wanted())
        return True

    def _wanted(self) -> Iterator[int]:
        after = -1
        while page := self._ledger.pending(after, _PAGE, self._which()):
            yield from page
            after = page[-1]
