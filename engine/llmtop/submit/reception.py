"""What follows from an answer: meters, and the item's result or its next try.

Plain synchronous decisions: nothing here waits. The ledger is told in the same breath (`settlement`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from llmtop.model import (
    Answer,
    AttemptEnd,
    ItemError,
    Outcome,
    ProviderError,
    Reply,
    Result,
    Usage,
)
from llmtop.policy.limiter import Cost
from llmtop.policy.meters import RunMeters
from llmtop.policy.meters.troubles import TroubleCost
from llmtop.policy.packing import PackReading
from llmtop.policy.retry import Again, GiveUp, RetryPolicy, StopRun
from llmtop.submit.checks import PackChecks
from llmtop.submit.estimator import Estimator
from llmtop.submit.filtering import Sieve
from llmtop.submit.gate import Report
from llmtop.submit.landing import (
    NO_USAGE,
    answer_in,
    end_of_answer,
    end_of_error,
    left_words,
    outputs_in,
    result_of,
    spoiled,
)
from llmtop.submit.packer import Packer
from llmtop.submit.settlement import Settlement
from llmtop.submit.shares import Share, owed_by, pack_id_of, shares_of
from llmtop.submit.work import Exchange, Flight, Halt, HaltReason, Work


class Reception:
    """Takes every answer of one run, each exactly once."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        settlement: Settlement,
        sieve: Sieve,
        meters: RunMeters,
        estimator: Estimator,
        retry: RetryPolicy,
        on_halt: Callable[[Halt], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.settlement = settlement
        self.sieve = sieve
        self.accounts = settlement.accounts
        self.on_again: Callable[[Work, float], None] = _nobody
        """Told which work is to be asked again, and after how many seconds."""
        self.on_halt = on_halt
        self.packer: Packer | None = None
        self.checks = PackChecks(exchange, 0.0, "")
        self._exchange = exchange
        self._meters = meters
        self._estimator = estimator
        self._retry = retry
        self._has_succeeded = False
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
        on_pack = partial(self._take_pack, flight.work)
        outputs, fault = outputs_in(answer.text, flight.work, self._exchange, on_pack)
        if fault is None:
            self._answered(flight, answer, outputs, body, now, latency_s)
        else:
            fault = reply.error if isinstance(reply, ProviderError) else fault
            self._failed(flight, spoiled(answer, fault), body, now, latency_s)

    def broken_off(self, flight: Flight, *, is_sent: bool) -> None:
        """We stopped waiting for it: its item goes back to the queue."""
        self.settlement.broken_off(flight, is_sent=is_sent)
        self.on_again(flight.work, 0.0)

    # -- answers -----------------------------------------------------------------------------

    def _take_pack(self, work: Work, reading: PackReading) -> None:
        """Let the packer have what a pack left."""
        assert self.packer is not None  # a pack comes from there
        left = self.packer.settle(work, reading)
        if left:
            error = ItemError("missing_in_pack", left_words(left, len(work.parts)), 200)
            self._meters.troubled(self._clock(), self._wall(), error, "try", left)

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
        usage = self.settlement.billable(flight, answer.usage, answer.text)
        cost = self.accounts.price(usage, answer.cost_pusd, at)
        self._meters.answered(now, latency_s, usage)
        if answer.usage is not None:
            self._estimator.learn(len(work.wire.body), usage, items)
        shares = shares_of(work, outputs, usage, cost, round(latency_s * 1000))
        if work.is_check:
            self._finish(flight, answer, outputs, 0, usage, cost, latency_s)
            is_same = self.checks.compare(work, outputs[0][1])
            end = end_of_answer(flight.attempt, answer, at, latency_s, usage, cost, body, is_same)
            self.settlement.finish(flight, [], end, usage, cost, latency_s)
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
        done = sum(result.status == "done" for result in results)
        self._finish(flight, answer, outputs, len(outputs) - done, usage, cost, latency_s)
        if len(results) < items:
            owed = owed_by(shares, [result.seq for result in results])
            end = replace(end, owed=owed, asked_again=self.sieve.asked_again())
        self.settlement.finish(flight, results, end, usage, cost, latency_s)
        for member, output in outputs if work.parts else ():
            if (check := self.checks.of(member, output, now)) is not None:
                self.on_again(check, 0.0)

    def _finish(
        self,
        flight: Flight,
        answer: Answer,
        outputs: list[tuple[Work, Any]],
        rejected: int,
        usage: Usage,
        cost: int | None,
        latency_s: float,
    ) -> None:
        """Give the lease back, with what the request brought."""
        items = len(flight.work.members)
        flight.lease.finish(
            Report(
                outcome=Outcome.OK if len(outputs) == items else Outcome.PARTIAL,
                latency_s=latency_s,
                limits=answer.limits,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                items=items,
                items_ok=len(outputs),
                items_rejected=rejected,
                cost_pusd=cost,
            )
        )

    def _judged(
        self, flight: Flight, answer: Answer, member: Work, output: Any, share: Share, at: float
    ) -> Result | None:
        """Let the filters see an output: the item's result, or None where it is asked again."""
        judged = self.sieve.judge(member, output)
        if judged.error is not None:
            self._meters.troubled(self._clock(), at, judged.error, "item rejected")
        if judged.again is not None:
            self._ask_again(member, judged.again.explanation)
            return None
        if (cached := self.settlement.cached) is not None and judged.status == "done":
            cached.answered(member, share.of(answer, flight.work, output))
        return result_of(
            member,
            judged.status,
            output=judged.output,
            error=judged.error,
            answer=answer,
            usage=share.usage,
            model=self._exchange.model,
            at=at,
            latency_ms=share.latency_ms,
            metadata=self._exchange.metadata(member.item),
            pack_id=pack_id_of(flight.work, flight.attempt.id),
            filters=judged.trail,
        )

    def _ask_again(self, member: Work, explanation: str | None) -> None:
        """Ask a rejected item once more, alone; with what was wrong, where its filter says so."""
        if explanation is not None:
            member.wire = self._exchange.prepare_again(member.item, explanation)
        member.is_asked = member.is_alone = True
        if (cached := self.settlement.cached) is not None:
            cached.forgo(member)
        self.on_again(member, 0.0)

    def _failed(
        self, flight: Flight, error: ProviderError, body: bytes | None, now: float, latency_s: float
    ) -> None:
        at = self._wall()
        work = flight.work
        usage, cost, owed = self.settlement.price_of_failure(flight, error, at)
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
        verdict = self._retry.decide(
            error,
            tries_used=work.tries,
            refused_for_s=0.0 if work.refused_since is None else now - work.refused_since,
            refusals=work.refusals,
            has_ever_succeeded=self._has_succeeded,
        )
        is_final = isinstance(verdict, GiveUp) and not work.parts
        end = end_of_error(flight.attempt, error, at, latency_s, usage, cost, body)
        if owed and not is_final and not work.is_check:
            end = replace(end, owed=owed)
        is_spoiled = error.outcome is Outcome.PARTIAL or isinstance(verdict, GiveUp)
        if is_spoiled and work.parts and self.packer is not None:
            self.packer.halve(work)
            self._left_open(flight, error, end, usage, cost, latency_s, "try", 0.0)
        elif isinstance(verdict, GiveUp) and work.is_check:
            self._left_open(flight, error, end, usage, cost, latency_s, "try", 0.0)
        elif isinstance(verdict, GiveUp):
            self._meters.troubled(now, at, verdict.error, "item failed")
            failure = self._failure(flight, verdict.error, usage, at, latency_s)
            self.settlement.finish(flight, [failure], end, usage, cost, latency_s)
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
        self.settlement.left_open(flight, error, end, usage, cost, latency_s, delay_s)
        self._meters.troubled(self._clock(), self._wall(), error.error, words)

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


def _nobody(_work: Work, _delay_s: float) -> None:
    raise AssertionError("nobody takes work that is to be asked again")
