"""What an answer cost, and what counts once the ledger has committed it.

Plain synchronous bookkeeping: counters, spent money and the screen's table count when the ledger has
committed, never before; what was reserved for a call is settled, released or written off exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmtop.model import AttemptEnd, ProviderError, Result, Usage
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import is_sound
from llmtop.submit.accounts import Accounts
from llmtop.submit.landing import aborted, is_maybe_billed
from llmtop.submit.shares import landed_of, owed_by, shares_of
from llmtop.submit.work import Books, Flight, Landed

if TYPE_CHECKING:
    from llmtop.submit.cached import Cached
    from llmtop.submit.filtering import Filtering

_RECENT = 60
"""Landed requests kept for the table."""


class Settlement:
    """The money and the results of one run, between its requests and its ledger."""

    def __init__(
        self,
        *,
        books: Books,
        accounts: Accounts,
        meters: RunMeters,
        filters: Filtering | None,
        on_result: Callable[[Result], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self.uncommitted = 0
        """Results that the ledger has been given and has not committed yet."""
        self.recent: deque[Landed] = deque(maxlen=_RECENT)
        self.on_commit: Callable[[], None] = _nothing
        """Told after each commit of a result."""
        self.on_result = on_result
        """Told each result that is committed."""
        self.cached: Cached | None = None
        self._filters = filters
        self._books = books
        self._meters = meters
        self._clock = clock
        self._wall = wall

    def __repr__(self) -> str:
        return f"<Settlement {self.uncommitted} uncommitted>"

    # -- what a call cost --------------------------------------------------------------------

    def billable(self, flight: Flight, reported: Usage | None, text: str) -> Usage:
        """Return the usage to bill for an answer: as reported where that is sound, else our estimate."""
        if reported is not None and is_sound(reported):
            return reported
        guessed_output = max(1.0, len(text.encode(errors="replace")) / 3.0) if text else 0.0
        return self.accounts.believable(reported, flight.cost.input_tokens, guessed_output)

    def price_of_failure(
        self, flight: Flight, error: ProviderError, at: float
    ) -> tuple[Usage | None, int | None, tuple[tuple[int, int | None], ...]]:
        """Return what a failed call is known to have used and cost, and what of it each item owes.

        (None, 0, ()): nothing.
        """
        if error.usage is None and error.cost_pusd is None:
            return None, 0, ()
        usage = self.billable(flight, error.usage, "")
        cost = self.accounts.price(usage, error.cost_pusd, at)
        shares = shares_of(flight.work, [], usage, cost, 0)
        return usage, cost, owed_by(shares, ())

    def _settle(
        self, flight: Flight, error: ProviderError | None, usage: Usage | None, cost: int | None
    ) -> None:
        reserved = flight.attempt.reserved_pusd
        if usage is not None:
            self.accounts.settle(reserved, usage, cost)
        elif error is not None and is_maybe_billed(error):
            self.accounts.lose(reserved)
        else:
            self.accounts.budget.release(reserved)

    # -- what the ledger is told ------------------------------------------------------------

    def broken_off(self, flight: Flight, *, is_sent: bool) -> None:
        """We stopped waiting for a request: what it may have cost stays off the budget."""
        latency_s = self._clock() - flight.started
        if is_sent:
            self.accounts.lose(flight.attempt.reserved_pusd)
        else:
            self.accounts.budget.release(flight.attempt.reserved_pusd)
        flight.lease.release()
        self._books.end(aborted(flight.attempt, self._wall(), latency_s, is_sent=is_sent))

    def left_open(
        self,
        flight: Flight,
        error: ProviderError,
        end: AttemptEnd,
        usage: Usage | None,
        cost: int | None,
        latency_s: float,
        again_in_s: float,
    ) -> None:
        """The attempt is over, and its items go on."""
        self._settle(flight, error, usage, cost)
        self._books.end(end)
        self.recent.append(landed_of(flight, [], latency_s, usage, cost, error.error, again_in_s))

    def finish(
        self,
        flight: Flight,
        results: Sequence[Result],
        end: AttemptEnd,
        usage: Usage | None,
        cost: int | None,
        latency_s: float,
    ) -> None:
        """Hand the results to the ledger; they count, and the money too, when it has committed them."""
        if not results:
            self._settle(flight, None, usage, cost)
            self._books.end(end)
            landed = landed_of(flight, [], latency_s, usage, cost, None, 0.0)
            self.recent.append(replace(landed, is_same=end.is_same))
            return

        def first_committed() -> None:
            if end.is_maybe_billed:
                self.accounts.lose(flight.attempt.reserved_pusd)
            else:
                self._settle(flight, None, usage, cost)
            self.recent.append(landed_of(flight, results, latency_s, usage, cost, results[0].error, None))
            self._committed(flight, results[0])

        self.uncommitted += len(results)
        self._books.finish(results[0], end, first_committed)
        for result in results[1:]:
            self._books.finish(result, None, partial(self._committed, flight, result))

    def _committed(self, flight: Flight, result: Result) -> None:
        self.uncommitted -= 1
        if self.cached is not None:
            member = next(each for each in flight.work.members if each.item.seq == result.seq)
            self.cached.committed(member, result)
        self.count_result(result)

    def spared(self, result: Result, on_commit: Callable[[Result], None]) -> None:
        """Hand over a result that took no request: nothing was reserved for it."""
        self.uncommitted += 1

        def committed() -> None:
            self.uncommitted -= 1
            on_commit(result)
            self.count_result(result)

        self._books.finish(result, None, committed)

    def count_result(self, result: Result) -> None:
        """Count a result that the ledger has committed."""
        if result.cost_pusd is not None:
            self.accounts.item_costs.add(result.cost_pusd)
        if self._filters is not None:
            self._filters.count(result)
        self._meters.finished_items(self._clock(), 1)
        self.on_result(result)
        self.on_commit()


def _nothing() -> None:
    return
