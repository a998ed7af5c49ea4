"""What follows from an answer: money, meters, and the item's result or its next try.

Plain synchronous decisions: nothing here waits. The ledger is told in the same breath; what
counts (counters, spent money, the screen) counts when the ledger has committed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from llmtop.model import (
    Answer,
    AttemptEnd,
    Item,
    ItemError,
    ItemStatus,
    Outcome,
    ProviderError,
    Reply,
    Result,
    Usage,
)
from llmtop.policy.filters import ChainResult
from llmtop.policy.limiter import Cost
from llmtop.policy.meters import RunMeters
from llmtop.policy.meters.troubles import TroubleCost
from llmtop.policy.pricing import is_sound
from llmtop.policy.retry import Again, GiveUp, RetryPolicy, StopRun
from llmtop.submit.accounts import Accounts
from llmtop.submit.checks import PackChecks
from llmtop.submit.estimator import Estimator
from llmtop.submit.gate import Report
from llmtop.submit.landing import (
    NO_USAGE,
    aborted,
    answer_in,
    end_of_answer,
    end_of_error,
    is_maybe_billed,
    left_words,
    result_of,
    spoiled,
)
from llmtop.submit.packer import Packer
from llmtop.submit.shares import Share, landed_of, pack_id_of, shares_of
from llmtop.submit.work import Books, Exchange, Flight, Halt, HaltReason, Landed, Work

if TYPE_CHECKING:
    from llmtop.submit.cached import Cached

_RECENT = 60
"""Landed requests kept for the table."""


class Filtering(Protocol):
    """The filters of one run, with what they count and remember."""

    @property
    def needs_pool(self) -> bool:
        """Whether a filter runs in processes of its own, so that `apply` would hold up the event loop."""

    def apply(self, output: Any, item: Item) -> ChainResult:
        """Filter one output."""

    async def apply_async(self, output: Any, item: Item) -> ChainResult:
        """Filter one output, where `needs_pool`."""

    def count(self, result: Result) -> None:
        """Count a result that is committed."""


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
        self.packer: Packer | None = None
        self.checks = PackChecks(exchange, 0.0, "")
        self.filters: Filtering | None = None
        self._seen: dict[int, ChainResult] = {}
        """What filters in processes of their own have said, until the answer is taken in."""
        self._exchange = exchange
        self._books = books
        self._meters = meters
        self._estimator = estimator
        self._retry = retry
        self.on_halt = on_halt
        self._on_result = on_result
        self._clock = clock
        self._wall = wall

    def estimate(self, work: Work) -> tuple[Cost, int]:
        """Return the tokens that the next try will use, and the most that it may cost in pico-dollars."""
        size = len(work.wire.body)
        cost, most_input, most_output = self._estimator.before(
            size, len(work.members), work.max_output_tokens
        )
        return cost, self.accounts.reserve_for(most_input, most_output)

    def leaving(self, work: Work, now: float) -> None:
        """Count a request that was granted."""
        self._meters.sent(now, max(0.0, now - work.ready_at), is_retry=work.members[0].sends > 0)

    def received(self, flight: Flight, reply: Reply, body: bytes | None) -> None:
        """Act on an answer, or on what came instead of one."""
        now = self._clock()
        latency_s = now - flight.started
        answer = answer_in(reply, flight.work, self._exchange.model)
        if answer is None:
            assert isinstance(reply, ProviderError)  # an answer has an answer in it
            self._failed(flight, reply, body, now, latency_s)
            return
        outputs, fault = self._read(flight.work, answer.text)
        if fault is None:
            self._answered(flight, answer, outputs, body, now, latency_s)
        else:
            fault = reply.error if isinstance(reply, ProviderError) else fault
            self._failed(flight, spoiled(answer, fault), body, now, latency_s)

    def filtered(self, filters: Filtering, member: Work, output: Any) -> ChainResult:
        """Return what the filters say of an output: foreseen, or now."""
        return self._seen.pop(member.item.seq, None) or filters.apply(output, member.item)

    @property
    def is_slow(self) -> bool:
        """Whether filters run in processes of their own: `foresee` an answer before it is `received`."""
        return self.filters is not None and self.filters.needs_pool

    async def foresee(self, work: Work, reply: Reply) -> None:
        """Let slow filters see an answer without holding up the loop; `received` takes what they said."""
        answer = answer_in(reply, work, self._exchange.model)
        if self.filters is None or answer is None or work.is_check:
            return
        if work.parts:
            reading = self._exchange.read_pack(answer.text, [part.item.id for part in work.parts])
            outputs = [(part, reading.answers.get(part.item.id)) for part in work.parts]
        else:
            outputs = [(work, self._exchange.accept(answer.text)[0])]
        for member, output in outputs:
            if output is not None:
                self._seen[member.item.seq] = await self.filters.apply_async(output, member.item)

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

    def _read(self, work: Work, text: str) -> tuple[list[tuple[Work, Any]], ItemError | None]:
        """Return what the answer holds for each item, or why it holds nothing."""
        if not work.parts:
            output, fault = self._exchange.accept(text)
            return [(work, output)], fault
        reading = self._exchange.read_pack(text, [part.item.id for part in work.parts])
        if reading.is_failed:
            return [], ItemError("invalid_response", "no answer of the pack can be read", 200)
        assert self.packer is not None  # a pack comes from there
        left = self.packer.settle(work, reading)
        if left:
            error = ItemError("missing_in_pack", left_words(left, len(work.parts)), 200)
            self._meters.troubled(self._clock(), self._wall(), error, "try", left)
        answers = reading.answers
        return [(part, answers[part.item.id]) for part in work.parts if part.item.id in answers], None

    def _answered(
        self,
        flight: Flight,
        answer: Answer,
        outputs: list[tuple[Work, Any]],
        body: bytes | None,
        now: float,
        latency_s: float,
    ) -> None:
        at = self._wall()
        work = flight.work
        items = len(work.members)
        self._has_succeeded = True
        usage = self._billable(flight, answer.usage, answer.text)
        cost = self.accounts.price(usage, answer.cost_pusd, at)
        self._meters.answered(now, latency_s, usage)
        if answer.usage is not None:
            self._estimator.learn(len(work.wire.body), usage, items)
        flight.lease.finish(
            Report(
                outcome=Outcome.OK if len(outputs) == items else Outcome.PARTIAL,
                latency_s=latency_s,
                limits=answer.limits,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                items=items,
                items_ok=len(outputs),
                cost_pusd=cost,
            )
        )
        shares = shares_of(work, outputs, usage, cost, round(latency_s * 1000))
        if work.is_check:
            is_same = self.checks.compare(work, outputs[0][1])
            end = end_of_answer(flight.attempt, answer, at, latency_s, usage, cost, body, is_same)
            self._finish(flight, [], end, usage, cost, latency_s)
            return
        end = end_of_answer(flight.attempt, answer, at, latency_s, usage, cost, body)
        if len(outputs) < items:
            end = replace(
                end, error_type="missing_in_pack", error_message=left_words(items - len(outputs), items)
            )
        judged = [
            self._judged(flight, answer, member, output, shares[member.item.seq], at)
            for member, output in outputs
        ]
        results = [result for result in judged if result is not None]
        self._finish(flight, results, end, usage, cost, latency_s)
        for member, output in outputs if work.parts else ():
            if (check := self.checks.of(member, output, now)) is not None:
                self.on_again(check, 0.0)

    def _judged(
        self, flight: Flight, answer: Answer, member: Work, output: Any, share: Share, at: float
    ) -> Result | None:
        """Let the filters see an output: the item's result, or None where it is asked again."""
        status: ItemStatus = "done"
        error: ItemError | None = None
        trail: tuple[Mapping[str, Any], ...] = ()
        as_it_came = output
        if self.filters is not None:
            member.asks += 1
            seen = self.filtered(self.filters, member, output)
            output, trail, rejection = seen.output, seen.trail, seen.rejected_by
            if rejection is not None:
                error = ItemError("filtered", rejection.message)
                self._meters.troubled(self._clock(), at, error, "item rejected")
                if rejection.is_asked_again(member.asks):
                    self._ask_again(member, rejection.explanation)
                    return None
                status = "rejected"
        if self.cached is not None and status == "done":
            self.cached.answered(member, share.of(answer, flight.work, as_it_came))
        return result_of(
            member,
            status,
            output=output,
            error=error,
            answer=answer,
            usage=share.usage,
            model=self._exchange.model,
            at=at,
            latency_ms=share.latency_ms,
            metadata=self._exchange.metadata(member.item),
            pack_id=pack_id_of(flight),
            filters=trail,
        )

    def _ask_again(self, member: Work, explanation: str | None) -> None:
        """Ask a rejected item once more, alone; with what was wrong, where its filter says so."""
        if explanation is not None:
            member.wire = self._exchange.prepare_again(member.item, explanation)
        member.is_asked = member.is_alone = True
        member.cache_key = None
        self.on_again(member, 0.0)

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
                items=len(work.members),
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
        is_spoiled = error.outcome is Outcome.PARTIAL or isinstance(verdict, GiveUp)
        if is_spoiled and work.parts and self.packer is not None:
            self.packer.halve(work)
            self._left_open(flight, error, end, usage, cost, latency_s, "try", 0.0)
        elif isinstance(verdict, GiveUp) and work.is_check:
            self._left_open(flight, error, end, usage, cost, latency_s, "try", 0.0)
        elif isinstance(verdict, GiveUp):
            self._meters.troubled(now, at, verdict.error, "item failed")
            failure = self._failure(flight, verdict.error, usage, at, latency_s)
            self._finish(flight, [failure], end, usage, cost, latency_s)
        else:
            delay_s = verdict.delay_s if isinstance(verdict, Again) else 0.0
            words: TroubleCost = "wait" if work.refusals else "try"
            self._left_open(flight, error, end, usage, cost, latency_s, words, delay_s)
            self.on_again(work, delay_s)
        if isinstance(verdict, StopRun):
            reason: HaltReason = "throttled" if verdict.is_throttled else "refused"
            self.on_halt(Halt(reason, error.error.message, error.error))

    def _left_open(
        self,
        flight: Flight,
        error: ProviderError,
        end: AttemptEnd,
        usage: Usage | None,
        cost: int | None,
        latency_s: float,
        words: TroubleCost,
        delay_s: float,
    ) -> None:
        """The attempt is over, and its items go on."""
        self._settle(flight, error, usage, cost)
        self._books.end(end)
        self._meters.troubled(self._clock(), self._wall(), error.error, words)
        self.recent.append(landed_of(flight, [], latency_s, usage, cost, error.error, delay_s))

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
            "failed",
            output=None,
            error=error,
            answer=None,
            usage=usage or NO_USAGE,
            model=self._exchange.model,
            at=at,
            latency_ms=round(latency_s * 1000),
            metadata=self._exchange.metadata(flight.work.item),
        )

    # -- money and the ledger ----------------------------------------------------------------

    def _billable(self, flight: Flight, reported: Usage | None, text: str) -> Usage:
        if reported is not None and is_sound(reported):
            return reported
        guessed_output = max(1.0, len(text.encode(errors="replace")) / 3.0) if text else 0.0
        return self.accounts.believable(reported, flight.cost.input_tokens, guessed_output)

    def _price_of_failure(
        self, flight: Flight, error: ProviderError, at: float
    ) -> tuple[Usage | None, int | None]:
        """Return what a failed call is known to have used and cost; (None, 0): nothing."""
        if error.usage is None and error.cost_pusd is None:
            return None, 0
        usage = self._billable(flight, error.usage, "")
        cost = self.accounts.price(usage, error.cost_pusd, at)
        shares_of(flight.work, [], usage, cost, 0)
        return usage, cost

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
        if self.filters is not None:
            self.filters.count(result)
        self._meters.finished_items(self._clock(), 1)
        self._on_result(result)
        self.on_commit()


def _nobody(_work: Work, _delay_s: float) -> None:
    raise AssertionError("nobody takes work that is to be asked again")


def _nothing() -> None:
    return
