"""What follows from the results of a job: money, and each item's result or its next try.

Line by line as they come, some hundred at a time in memory. An answer counts when the ledger has
committed it; a line that the ledger has settled before (a crash, a second reading) is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

from llmtop.batch_jobs import BatchProvider, FetchBroken, OpenLine, RemoteBatch, StrayLine
from llmtop.model import (
    Answer,
    Attempt,
    AttemptEnd,
    Item,
    ItemError,
    ItemStatus,
    Outcome,
    ProviderError,
    Result,
    Usage,
    WireRequest,
)
from llmtop.policy.batching import after_line
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import is_sound
from llmtop.submit.batch_work import Job, JobBooks, JobExchange
from llmtop.submit.landing import NO_USAGE, end_of_answer, end_of_error, result_of
from llmtop.submit.reception import Reception
from llmtop.submit.work import Halt, Work

_LINES_AT_A_TIME = 200
_UNCOMMITTED_AT_MOST = 1000
_NO_WIRE = WireRequest("", b"", {})


class BatchReceiver:
    """Takes the results of jobs. `uncommitted`: lines that the ledger was given and has not committed."""

    def __init__(
        self,
        *,
        provider: BatchProvider,
        exchange: JobExchange,
        books: JobBooks,
        reception: Reception,
        meters: RunMeters,
        explained: MutableMapping[int, str],
        max_attempts: int,
        on_halt: Callable[[Halt], None],
        on_commit: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.uncommitted = 0
        self._provider = provider
        self._exchange = exchange
        self._books = books
        self._reception = reception
        self._accounts = reception.accounts
        self._meters = meters
        self._explained = explained
        self._max_attempts = max_attempts
        self._on_halt = on_halt
        self._on_commit = on_commit
        self._clock = clock
        self._wall = wall
        self._room = asyncio.Event()

    async def read(self, job: Job, remote: RemoteBatch) -> int:
        """Take the good lines of a job's results; return how many of its own lines there were.

        Errors are kept in `job.errors`: a good answer may still follow. Raises FetchBroken.
        """
        chunk: dict[int, Answer] = {}
        own = 0
        try:
            async for line in self._provider.fetch(remote):
                if isinstance(line, StrayLine):
                    continue
                seq = _seq_of(job.record.tag, line.custom_id)
                if seq is None:
                    job.strangers += 1
                    continue
                own += 1
                if seq in job.good or seq in chunk:
                    continue
                if isinstance(line.reply, ProviderError):
                    job.errors.setdefault(seq, line.reply)
                    continue
                chunk[seq] = line.reply
                if len(chunk) >= _LINES_AT_A_TIME:
                    self._take(job, chunk)
                    chunk = {}
                    await self._written()
        except FetchBroken:
            self._take(job, chunk)  # what came before the cut is good
            raise
        self._take(job, chunk)
        return own

    def missing(self, job: Job) -> int:
        """Count the requests of a job that its results said nothing of so far."""
        return sum(line.seq not in job.errors for lines in self._unsettled(job) for line in lines)

    async def close(self, job: Job, absent: ProviderError) -> None:
        """Settle what has no good answer: by its error, or by `absent` where the results do not have it."""
        for lines in self._unsettled(job):
            for line in lines:
                error = job.errors.get(line.seq, absent)
                self._failed(job, line, self._books.item(line.seq), error)
            await self._written()

    def _unsettled(self, job: Job) -> Iterator[list[OpenLine]]:
        after = -1
        while page := self._books.open_lines(job.record.number, after_seq=after, limit=_LINES_AT_A_TIME):
            after = page[-1].seq
            yield [line for line in page if line.seq not in job.good]

    async def _written(self) -> None:
        while self.uncommitted >= _UNCOMMITTED_AT_MOST:
            self._room.clear()
            await self._room.wait()
        await asyncio.sleep(0)

    # -- one line ------------------------------------------------------------------------------

    def _take(self, job: Job, chunk: Mapping[int, Answer]) -> None:
        if not chunk:
            return
        for line in self._books.open_lines(job.record.number, seqs=sorted(chunk)):
            item, answer = self._books.item(line.seq), chunk[line.seq]
            output, fault = self._exchange.accept(answer.text)
            if fault is None:
                self._answered(job, line, item, answer, output)
            else:
                self._failed(job, line, item, _spoiled(answer, fault))

    def _answered(self, job: Job, line: OpenLine, item: Item, answer: Answer, output: Any) -> None:
        at = self._wall()
        usage = self._billable(job, answer.usage, answer.text)
        cost = self._accounts.price(usage, answer.cost_pusd, at, is_batch=True)
        attempt = self._attempt(job, line)
        end = end_of_answer(attempt, answer, at, self._age(job, at), usage, cost, None)
        status: ItemStatus = "done"
        error: ItemError | None = None
        trail: tuple[Mapping[str, Any], ...] = ()
        if self._reception.sieve.filters is not None:
            seen = self._reception.sieve.filters.apply(output, item)
            output, trail, rejection = seen.output, seen.trail, seen.rejected_by
            if rejection is not None:
                status, error = "rejected", ItemError("filtered", rejection.message)
                self._meters.troubled(self._clock(), at, error, "item rejected")
                if rejection.is_asked_again(line.sends + 1):
                    if rejection.explanation is not None:
                        self._explained[item.seq] = rejection.explanation
                    self._put(job, line, attempt, end, None, usage, cost)
                    return
        result = self._result(
            job, line, item, status, output=output, error=error, answer=answer, usage=usage, cost=cost, at=at
        )
        self._put(job, line, attempt, end, replace(result, filters=trail), usage, cost)

    def _failed(self, job: Job, line: OpenLine, item: Item, error: ProviderError) -> None:
        at = self._wall()
        usage: Usage | None = None
        cost: int | None = 0
        if error.usage is not None or error.cost_pusd is not None:
            usage = self._billable(job, error.usage, "")
            cost = self._accounts.price(usage, error.cost_pusd, at, is_batch=True)
        attempt = self._attempt(job, line)
        end = end_of_error(attempt, error, at, self._age(job, at), usage, cost, None)
        is_try = not (error.outcome.is_refusal or error.error.type == "cancelled")
        verdict = after_line(error, line.tries + is_try, line.sends + 1, self._max_attempts)
        result = None
        if verdict == "fail":
            result = self._result(
                job, line, item, "failed",
                output=None, error=error.error, answer=None, usage=usage or NO_USAGE, cost=cost, at=at,
            )  # fmt: skip
        self._meters.troubled(self._clock(), at, error.error, "try" if result is None else "item failed")
        self._put(job, line, attempt, end, result, usage, cost)
        if error.outcome.is_stop:
            self._on_halt(Halt("refused", error.error.message, error.error))

    def _attempt(self, job: Job, line: OpenLine) -> Attempt:
        self._meters.sent(self._clock(), 0.0, is_retry=line.sends > 0)
        return Attempt(
            id=self._books.next_attempt_id(),
            seq=line.seq,
            number=line.sends + 1,
            started_at=job.record.created_at or job.record.intended_at,
            reserved_pusd=line.reserved_pusd,
        )

    def _result(
        self,
        job: Job,
        line: OpenLine,
        item: Item,
        status: ItemStatus,
        *,
        output: Any,
        error: ItemError | None,
        answer: Answer | None,
        usage: Usage,
        cost: int | None,
        at: float,
    ) -> Result:
        work = Work(
            item=item,
            wire=_NO_WIRE,
            ready_at=0.0,
            sends=line.sends + 1,
            cost_pusd=(line.cost_pusd or 0) + (cost or 0),
            is_cost_known=cost is not None and line.cost_pusd is not None,
            first_sent_at=line.first_sent_at or job.record.created_at or job.record.intended_at,
        )
        result = result_of(
            work, status, output=output, error=error, answer=answer, usage=usage, model=self._exchange.model,
            at=at, latency_ms=0, metadata=self._exchange.metadata(item),
        )  # fmt: skip
        return replace(result, via="batch", batch_id=job.record.batch_id, latency_ms=None)

    def _put(
        self,
        job: Job,
        line: OpenLine,
        attempt: Attempt,
        end: AttemptEnd,
        result: Result | None,
        usage: Usage | None,
        cost: int | None,
    ) -> None:
        job.good.add(line.seq)
        job.errors.pop(line.seq, None)
        self.uncommitted += 1
        outcome = end.error_type or "answered"
        if result is None and cost != 0:
            end = replace(end, owed=((line.seq, cost),))
        committed = partial(self._committed, job, line, end, result, usage, cost)
        self._books.line(job.record.number, outcome, attempt, end, result, committed)

    def _committed(
        self,
        job: Job,
        line: OpenLine,
        end: AttemptEnd,
        result: Result | None,
        usage: Usage | None,
        cost: int | None,
    ) -> None:
        """It is on the disk: now it counts, and the money too."""
        self.uncommitted -= 1
        self._room.set()
        accounts = self._accounts
        if end.is_maybe_billed:
            accounts.lose(line.reserved_pusd)
        elif usage is not None:
            accounts.settle(line.reserved_pusd, usage, cost)
            accounts.batch_pusd += cost or 0
        else:
            accounts.budget.release(line.reserved_pusd)
        paid = job.record.cost_pusd + (cost or 0)
        job.record = replace(job.record, retrieved=job.record.retrieved + 1, cost_pusd=paid)
        if result is not None:
            self._reception.settlement.count_result(result)
        self._on_commit()

    def _billable(self, job: Job, reported: Usage | None, text: str) -> Usage:
        if reported is not None and is_sound(reported):
            return reported
        prompt = job.record.tokens / max(1, job.record.requests)
        guessed_output = max(1.0, len(text.encode(errors="replace")) / 3.0) if text else 0.0
        return self._accounts.believable(reported, prompt, guessed_output)

    @staticmethod
    def _age(job: Job, at: float) -> float:
        return max(0.0, at - (job.record.created_at or job.record.intended_at))


def gone(message: str) -> ProviderError:
    """A request whose answer is lost: it may have been billed."""
    return ProviderError(error=ItemError("server_error", message), outcome=Outcome.FAULT)


def unbilled(error: ItemError) -> ProviderError:
    """A request that its job ended without."""
    return ProviderError(error=error, outcome=Outcome.FAULT, is_sent=False)


def _seq_of(tag: str, custom_id: str) -> int | None:
    """Return the item that a line is for; None: it is nobody's here."""
    prefix, _, number = custom_id.rpartition("-")
    return (
        int(number)
        if prefix == tag and number.isascii() and number.isdecimal() and len(number) < 16
        else None
    )


def _spoiled(answer: Answer, fault: ItemError) -> ProviderError:
    """An answer that came and was billed, but is not of the form that was asked for."""
    return ProviderError(
        error=fault, outcome=Outcome.PARTIAL, usage=answer.usage or NO_USAGE, cost_pusd=answer.cost_pusd
    )
