"""What the submitters write, in the ledger's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmtop.adapters.ledger import BatchIntent, BatchLine, BatchSaved, Finish, Ledger
from llmtop.adapters.sources import Source
from llmtop.batch_jobs import BatchRecord
from llmtop.model import Attempt, AttemptEnd, Item, Result


class LedgerBooks:
    """Fits `submit.work.Books`."""

    def __init__(self, ledger: Ledger, last_attempt_id: int) -> None:
        self._put = ledger.put
        self._last = last_attempt_id

    def next_attempt_id(self) -> int:
        """Return a number that no attempt of this run has had."""
        self._last += 1
        return self._last

    def begin(self, attempt: Attempt, on_commit: Callable[[], None]) -> None:
        """Write down that a request is about to leave."""
        self._put(attempt, on_commit)

    def end(self, end: AttemptEnd) -> None:
        """Write down how it ended, where its item goes on."""
        self._put(end)

    def finish(self, result: Result, end: AttemptEnd | None, on_commit: Callable[[], None]) -> None:
        """Write down how it ended (None: nothing was sent) and what its item came to, in one transaction."""
        self._put(Finish(result, end), on_commit)


class LedgerJobBooks:
    """Fits `submit.batch_work.JobBooks`."""

    def __init__(self, ledger: Ledger, source: Source, books: LedgerBooks) -> None:
        self._ledger = ledger
        self._put = ledger.put
        self._source = source
        self.next_attempt_id = books.next_attempt_id
        self.jobs = ledger.jobs
        self.open_reserved = ledger.open_reserved
        self.open_ids = ledger.open_ids
        self.open_lines = ledger.open_lines

    def intend(
        self, record: BatchRecord, items: Sequence[tuple[int, str, int]], on_commit: Callable[[], None]
    ) -> None:
        """Write down a job that is about to be created, with its items."""
        self._put(BatchIntent(record, items), on_commit)

    def save(
        self, record: BatchRecord, released: str | None = None, on_commit: Callable[[], None] | None = None
    ) -> None:
        """Write down how a job stands."""
        self._put(BatchSaved(record, released), on_commit)

    def line(
        self,
        number: int,
        items: Sequence[tuple[int, str]],
        attempt: Attempt,
        end: AttemptEnd,
        results: Sequence[Result],
        on_commit: Callable[[], None],
    ) -> None:
        """Write down what one request of a job came to."""
        self._put(BatchLine(number, items, attempt, end, results), on_commit)

    def item(self, seq: int) -> Item:
        """Return an item of the input, at once where it stands."""
        ((_, _, line, offset),) = self._ledger.places((seq,))
        return self._source.item(seq, offset, line)
