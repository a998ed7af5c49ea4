"""What the submitters write, in the ledger's words."""

from __future__ import annotations

from collections.abc import Callable

from llmtop.adapters.ledger import Finish, Ledger
from llmtop.model import Attempt, AttemptEnd, Result


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
