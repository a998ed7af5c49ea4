"""What follows from an answer: money, meters, and the item's result or its next try.

Plain synchronous decisions: nothing here waits. The ledger is told in the same breath; what
counts (counters, spent money, the screen) counts when the ledger has committed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmtop.model import Answer, AttemptEnd, ItemError, Outcome, ProviderError, Reply, Result, Usage
from llmtop.policy.limiter import Cost
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import is_sound
from llmtop.policy.retry import Again, GiveUp, RetryPolicy, StopRun
from llmtop.submit.accounts import Accounts
from llmtop.submit.estimator import Estimator
from llmtop.submit.gate import Report
from llmtop.submit.landing import NO_USAGE, aborted, end_of_answer, end_of_error, is_maybe_billed, result_of
from llmtop.submit.work import Books, Exchange, Flight, Halt, HaltReason, Landed, Work

if TYPE_CHECKING:
    from llmtop.submit.cached import Cached

_RECENT = 60
"""Landed requests kept for the table."""


class Reception:
    """Takes every answer of one run, each exactly once."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        books: Books,
        accounts: Accounts,
        meters: RunMeters,
        estimator: Estimator,
        retry: RetryPolicy,
        on_halt: Callable[[Halt], None],
        on_result: Callable[[Result], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self.uncommitted = 0
        """Results that the ledger has been given and has not committed yet."""
        self.recent: deque[Landed] = deque(maxlen=_RECENT)
        self._has_succeeded = False
        self.on_again: Callable[[Work, float], None] = _nobody
        """Told which work is to be asked again, and after how many seconds."""
        self.on_commit: Callable[[], None] = _nothing
        self.cached: Cached | None = None
        self._exchange = exchange
        self._books = books
        self._meters = meters
        self._estimator = estimator
        self._retry = retry
        self._on_halt = on_halt
        self._on_result = on_result
        self._clock = clock
        self._wall = wall

    def estimate(self, work: Work) -> tuple[Cost, int]:
        """Return the tokens that the next try will use, and the most that it may cost in pico-dollars."""
        cost, most_input, most_output = self._estimator.before(len(work.wire.body))
        return cost, self.accounts.reserve_for(most_input, most_output)

    def leaving(self, work: Work, now: float) -> None:
        """Count a request that was granted."""
        self._meters.sent(now, max(0.0, now - work.ready_at), is_retry=work.sends > 0)

    def received(self, flight: Flight, reply: Reply, body: bytes | None) -> None:
        """Act on an answer, or on what came instead of one."""
        now = self._clock()
        latency_s = now - flight.started
        if isinstance(reply, Answer):
            output, fault = self._exchange.accept(reply.text)
            if fault is None:
                self._answered(flight, reply, output, body, now, latency_s)
                return
            reply = _spoiled(reply, fault)
        self._failed(flight, reply, body, now, latency_s)

    def broken_off(self, flight: Flight, *, is_sent: bool) -> None:
        """We stopped waiting for it: its item goes back to the queue."""
        latency_s = self._clock() - flight.started
        if is_sent:
            self.accounts.lose(flight.attempt.reserved_pusd)
        else:
            self.accounts.budget.release(flight.attempt.reserved_pusd)
        flight.lease.release()
        self._books.end(aborted(flight.attempt, self._wall(), latency_s, is_sent=is_sent))
        self.on_again(flight.work, 0.0)

    # -- answers -----------------------------------------------------------------------------

    def _answered(
        self, flight: Flight, answer: Answer, output: Any, body: bytes | None, now: float, latency_s: float
    ) -> None:
        at = self._wall()
        self._has_succeeded = True
        usage = self._billable(flight, answer.usage, answer.text)
        cost = self._pay(flight.work, usage, answer.cost_pusd, at)
        self._meters.answered(now, latency_s, usage)
        if answer.usage is not None:
            self._estimator.learn(len(flight.work.wire.body), usage)
        flight.lease.finish(
            Report(
                outcome=Outcome.OK,
                latency_s=latency_s,
                limits=answer.limits,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_pusd=cost,
            )
        )
        result = result_of(
            flight.work,
            output=output,
            error=None,
            answer=answer,
            usage=usage,
            model=self._exchange.model,
            at=at,
            latency_s=latency_s,
            metadata=self._exchange.metadata(flight.work.item),
        )
        if self.cached is not None:
            self.cached.answered(flight.work, replace(answer, usage=usage, cost_pusd=cost))
        end = end_of_answer(flight.attempt, answer, at, latency_s, usage, cost, body)
        self._finish(flight, result, end, usage, cost, latency_s)

    def _failed(
        self, flight: Flight, error: ProviderError, body: bytes | None, now: float, latency_s: float
    ) -> None:
        at = self._wall()
        work = flight.work
        usage, cost = self._price_of_failure(flight, error, at)
        self._count(work, error, now)
        flight.lease.finish(
            Report(
                outcome=error.outcome,
                latency_s=latency_s,
                retry_after_s=error.retry_after_s,
                scope=error.scope,
                limits=error.limits,
                input_tokens=usage.input_tokens if usage else 0.0,
                output_tokens=usage.output_tokens if usage else 0.0,
                items_ok=0,
                cost_pusd=cost,
            )
        )
        end = end_of_error(flight.attempt, error, at, latency_s, usage, cost, body)
        verdict = self._retry.decide(
            error,
            tries_used=work.tries,
            refused_for_s=0.0 if work.refused_since is None else now - work.refused_since,
            refusals=work.refusals,
            has_ever_succeeded=self._has_succeeded,
        )
        if isinstance(verdict, GiveUp):
            self._meters.troubled(now, at, verdict.error, "item failed")
            self._finish(
                flight,
                self._failure(flight, verdict.error, usage, at, latency_s),
                end,
                usage,
                cost,
                latency_s,
            )
            return
        self._settle(flight, error, usage, cost)
        self._books.end(end)
        delay_s = verdict.delay_s if isinstance(verdict, Again) else 0.0
        self._meters.troubled(now, at, error.error, "wait" if work.refusals else "try")
        self.recent.append(_landed(flight, latency_s, usage, cost, None, error.error, delay_s))
        self.on_again(work, delay_s)
        if isinstance(verdict, StopRun):
            reason: HaltReason = "throttled" if verdict.is_throttled else "refused"
            self._on_halt(Halt(reason, error.error.message, error.error))

    def _count(self, work: Work, error: ProviderError, now: float) -> None:
        if self._retry.uses_up_a_try(error, work.refusals):
            work.tries += 1
            work.refusals = 0
            work.refused_since = None
        else:
            work.refusals += 1
            work.refused_since = now if work.refused_since is None else work.refused_since

    def _failure(
        self, flight: Flight, error: ItemError, usage: Usage | None, at: float, latency_s: float
    ) -> Result:
        return result_of(
            flight.work,
            output=None,
            error=error,
            answer=None,
            usage=usage or NO_USAGE,
            model=self._exchange.model,
            at=at,
            latency_s=latency_s,
            metadata=self._exchange.metadata(flight.work.item),
        )

    # -- money and the ledger ----------------------------------------------------------------

    def _billable(self, flight: Flight, reported: Usage | None, text: str) -> Usage:
        if reported is not None and is_sound(reported):
            return reported
        guessed_output = max(1.0, len(text.encode(errors="replace")) / 3.0) if text else 0.0
        return self.accounts.believable(reported, flight.cost.input_tokens, guessed_output)

    def _pay(self, work: Work, usage: Usage, reported_pusd: int | None, at: float) -> int | None:
        cost = self.accounts.price(usage, reported_pusd, at)
        if cost is None:
            work.is_cost_known = False
        else:
            work.cost_pusd += cost
        return cost

    def _price_of_failure(
        self, flight: Flight, error: ProviderError, at: float
    ) -> tuple[Usage | None, int | None]:
        """Return what a failed call is known to have used and cost; (None, 0): nothing."""
        if error.usage is None and error.cost_pusd is None:
            return None, 0
        usage = self._billable(flight, error.usage, "")
        return usage, self._pay(flight.work, usage, error.cost_pusd, at)

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

    def _finish(
        self,
        flight: Flight,
        result: Result,
        end: AttemptEnd,
        usage: Usage | None,
        cost: int | None,
        latency_s: float,
    ) -> None:
        """Hand the result to the ledger; it counts when the ledger has committed it."""
        self.uncommitted += 1

        def committed() -> None:
            self.uncommitted -= 1
            if end.is_maybe_billed:
                self.accounts.lose(flight.attempt.reserved_pusd)
            else:
                self._settle(flight, None, usage, cost)
            self.recent.append(_landed(flight, latency_s, usage, cost, result.status, result.error, None))
            if self.cached is not None:
                self.cached.committed(flight.work, result)
            self._count_result(result)

        self._books.finish(result, end, committed)

    def spared(self, result: Result, on_commit: Callable[[Result], None]) -> None:
        """Hand over a result that took no request: nothing was reserved for it."""
        self.uncommitted += 1

        def committed() -> None:
            self.uncommitted -= 1
            on_commit(result)
            self._count_result(result)

        self._books.finish(result, None, committed)

    def _count_result(self, result: Result) -> None:
        if result.cost_pusd is not None:
            self.accounts.item_costs.add(result.cost_pusd)
        self._meters.finished_items(self._clock(), 1)
        self._on_result(result)
        self.on_commit()


def _landed(
    flight: Flight,
    latency_s: float,
    usage: Usage | None,
    cost: int | None,
    status: Any,
    error: ItemError | None,
    again_in_s: float | None,
) -> Landed:
    return Landed(
        attempt=flight.attempt,
        item_id=flight.work.item.id,
        latency_s=latency_s,
        tokens=usage.input_tokens + usage.output_tokens if usage else None,
        cost_pusd=cost,
        status=status,
        error=error,
        again_in_s=again_in_s,
    )


def _spoiled(answer: Answer, fault: ItemError) -> ProviderError:
    """An answer that came and was billed, but is not of the form that was asked for."""
    return ProviderError(
        error=fault,
        outcome=Outcome.PARTIAL,
        usage=answer.usage or NO_USAGE,
        cost_pusd=answer.cost_pusd,
        limits=answer.limits,
        request_id=answer.request_id,
    )


def _nobody(_work: Work, _delay_s: float) -> None:
    raise AssertionError("nobody takes work that is to be asked again")


def _nothing() -> None:
    return
