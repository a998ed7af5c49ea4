"""What follows from the end of one request of a job: money, and each item's result or its next try.

A request is an item or a pack. Its attempt, the results that it brought and what it leaves open go
into the ledger in one transaction, and count when the ledger has committed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from llmtop.batch_jobs import OpenLine
from llmtop.model import (
    Answer,
    Attempt,
    AttemptEnd,
    ItemError,
    Outcome,
    ProviderError,
    Reply,
    Result,
    Usage,
    WireRequest,
)
from llmtop.policy.batching import after_line
from llmtop.policy.meters import RunMeters
from llmtop.policy.pricing import is_sound
from llmtop.submit.batch_packing import JobPacker
from llmtop.submit.batch_work import Job, JobBooks, JobExchange
from llmtop.submit.filtering import Sieve
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
from llmtop.submit.settlement import Settlement
from llmtop.submit.shares import Share, owed_by, pack_id_of, shares_of
from llmtop.submit.work import Halt, Work

_UNCOMMITTED_AT_MOST = 1000
_NO_WIRE = WireRequest("", b"", {})


class LineSettler:
    """Takes the end of every request of a run's jobs, each exactly once.

    `uncommitted`: requests that the ledger was given and has not committed.
    """

    def __init__(
        self,
        *,
        exchange: JobExchange,
        books: JobBooks,
        settlement: Settlement,
        sieve: Sieve,
        packer: JobPacker,
        meters: RunMeters,
        max_attempts: int,
        on_halt: Callable[[Halt], None],
        on_commit: Callable[[], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.uncommitted = 0
        self._exchange = exchange
        self._books = books
        self._settlement = settlement
        self._accounts = settlement.accounts
        self._sieve = sieve
        self._packer = packer
        self._meters = meters
        self._max_attempts = max_attempts
        self._on_halt = on_halt
        self._on_commit = on_commit
        self._room = asyncio.Event()
        self._clock = clock
        self._wall = wall

    def __repr__(self) -> str:
        return f"<LineSettler {self.uncommitted} uncommitted>"

    async def settle(self, job: Job, lines: Sequence[OpenLine], reply: Reply) -> None:
        """Take in what a request came to; `lines` are its items, in the order of the pack."""
        works = [self._work(job, line, is_packed=len(lines) > 1) for line in lines]
        work = works[0] if len(works) == 1 else replace(works[0], parts=tuple(works))
        if self._sieve.is_slow:
            await self._sieve.foresee(work, reply)
        answer = answer_in(reply, work, self._exchange.model)
        if answer is None:
            assert isinstance(reply, ProviderError)  # an answer has an answer in it
            self._failed(job, lines, work, reply)
            return
        on_pack = partial(self._packer.answered, work.parts)
        outputs, fault = outputs_in(answer.text, work, self._exchange, on_pack)
        if fault is None:
            self._answered(job, lines, work, answer, outputs)
        else:
            fault = reply.error if isinstance(reply, ProviderError) else fault
            self._failed(job, lines, work, spoiled(answer, fault))

    async def has_room(self) -> None:
        """Wait while too many requests are uncommitted."""
        while self.uncommitted >= _UNCOMMITTED_AT_MOST:
            self._room.clear()
            await self._room.wait()

    def _work(self, job: Job, line: OpenLine, *, is_packed: bool) -> Work:
        """Return an item as realtime knows it. Its own request is its weight in a pack, and its cache key."""
        item = self._books.item(line.seq)
        cached = self._settlement.cached
        work = Work(
            item=item,
            wire=self._exchange.prepare(item) if is_packed or cached is not None else _NO_WIRE,
            ready_at=0.0,
            sends=line.sends + 1,
            cost_pusd=line.cost_pusd or 0,
            is_cost_known=line.cost_pusd is not None,
            first_sent_at=line.first_sent_at or _began(job),
            asks=line.asks,
        )
        if cached is not None and not line.asks:  # one that was sent back was asked in other words
            cached.key_of(work)
        return work

    # -- an answer -----------------------------------------------------------------------------

    def _answered(
        self,
        job: Job,
        lines: Sequence[OpenLine],
        work: Work,
        answer: Answer,
        outputs: list[tuple[Work, Any]],
    ) -> None:
        at = self._wall()
        usage = self._billable(job, work, answer.usage, answer.text)
        cost = self._accounts.price(usage, answer.cost_pusd, at, is_batch=True)
        shares = shares_of(work, outputs, usage, cost, 0)
        attempt = self._attempt(job, lines)
        end = end_of_answer(attempt, answer, at, at - _began(job), usage, cost, None)
        left = len(work.members) - len(outputs)
        if left:
            error = ItemError("missing_in_pack", left_words(left, len(work.members)), 200)
            self._meters.troubled(self._clock(), at, error, "try", left)
            end = replace(end, error_type=error.type, error_message=error.message)
        judged = [
            self._judged(job, work, member, answer, output, shares[member.item.seq], attempt.id, at)
            for member, output in outputs
        ]
        answered = {member.item.seq for member, _ in outputs}
        items = [(seq, "answered" if seq in answered else "missing_in_pack") for seq in shares]
        results = [result for result in judged if result is not None]
        end = replace(
            end,
            owed=owed_by(shares, [result.seq for result in results]),
            asked_again=self._sieve.asked_again(),
        )
        self._put(job, lines, work, items, attempt, end, results)

    def _judged(
        self,
        job: Job,
        work: Work,
        member: Work,
        answer: Answer,
        output: Any,
        share: Share,
        attempt_id: int,
        at: float,
    ) -> Result | None:
        """Let the filters see an output: the item's result, or None where it is asked again."""
        judged = self._sieve.judge(member, output)
        if judged.error is not None:
            self._meters.troubled(self._clock(), at, judged.error, "item rejected")
        if judged.again is not None:
            self._packer.sent_back(member.item, judged.again.explanation)
            return None
        if (cached := self._settlement.cached) is not None and judged.status == "done":
            cached.answered(member, share.of(answer, work, output))
        result = result_of(
            member,
            judged.status,
            output=judged.output,
            error=judged.error,
            answer=answer,
            usage=share.usage,
            model=self._exchange.model,
            at=at,
            latency_ms=0,
            metadata=self._exchange.metadata(member.item),
            pack_id=pack_id_of(work, attempt_id),
            filters=judged.trail,
        )
        return _by_batch(job, result)

    # -- an error ------------------------------------------------------------------------------

    def _failed(self, job: Job, lines: Sequence[OpenLine], work: Work, error: ProviderError) -> None:
        at = self._wall()
        usage: Usage | None = None
        cost: int | None = 0
        owed: tuple[tuple[int, int | None], ...] = ()
        if error.usage is not None or error.cost_pusd is not None:
            usage = self._billable(job, work, error.usage, "")
            cost = self._accounts.price(usage, error.cost_pusd, at, is_batch=True)
            owed = owed_by(shares_of(work, [], usage, cost, 0), ())
        attempt = self._attempt(job, lines)
        end = end_of_error(attempt, error, at, at - _began(job), usage, cost, None)
        is_over = self._verdict(lines, error) == "fail"
        results = []
        if work.parts and (is_over or error.outcome is Outcome.PARTIAL):
            self._packer.spoiled(work.parts)
        elif is_over:
            results.append(self._failure(job, work, error.error, usage, at))
        self._meters.troubled(self._clock(), at, error.error, "item failed" if results else "try")
        if not results:
            end = replace(end, owed=owed)
        items = [(line.seq, error.error.type) for line in lines]
        self._put(job, lines, work, items, attempt, end, results)
        if error.outcome.is_stop:
            self._on_halt(Halt("refused", error.error.message, error.error))

    def _verdict(self, lines: Sequence[OpenLine], error: ProviderError) -> str:
        """Return what follows an error. Of a pack its most troubled item decides: `fail` halves it."""
        is_try = not (error.outcome.is_refusal or error.error.type == "cancelled")
        if len(lines) == 1:
            tries, sends = lines[0].lone_tries, lines[0].lone_sends
        else:
            tries = max(line.packed_tries for line in lines)
            sends = max(line.packed_sends for line in lines)
        return after_line(error, tries + is_try, sends + 1, self._max_attempts)

    def _failure(self, job: Job, work: Work, error: ItemError, usage: Usage | None, at: float) -> Result:
        result = result_of(
            work, "failed", output=None, error=error, answer=None, usage=usage or NO_USAGE,
            model=self._exchange.model, at=at, latency_ms=0, metadata=self._exchange.metadata(work.item),
        )  # fmt: skip
        return _by_batch(job, result)

    # -- money and the ledger ------------------------------------------------------------------

    def _attempt(self, job: Job, lines: Sequence[OpenLine]) -> Attempt:
        sends = lines[0].sends
        self._meters.sent(self._clock(), 0.0, is_retry=sends > 0)
        return Attempt(
            id=self._books.next_attempt_id(),
            seq=lines[0].seq,
            number=sends + 1,
            started_at=_began(job),
            reserved_pusd=sum(line.reserved_pusd for line in lines),
            packed=tuple(line.seq for line in lines[1:]),
        )

    def _put(
        self,
        job: Job,
        lines: Sequence[OpenLine],
        work: Work,
        items: Sequence[tuple[int, str]],
        attempt: Attempt,
        end: AttemptEnd,
        results: Sequence[Result],
    ) -> None:
        job.settled.add(lines[0].custom_id)
        job.errors.pop(lines[0].custom_id, None)
        self.uncommitted += 1
        followers = () if self._settlement.cached is None else work.members  # a work holds its item's input
        committed = partial(self._committed, job, followers, attempt, end, results)
        self._books.line(job.record.number, items, attempt, end, results, committed)

    def _committed(
        self,
        job: Job,
        followers: Sequence[Work],
        attempt: Attempt,
        end: AttemptEnd,
        results: Sequence[Result],
    ) -> None:
        """It is on the disk: now it counts, and the money too. `followers`: what the cache waits for."""
        self.uncommitted -= 1
        accounts, record = self._accounts, job.record
        if end.is_maybe_billed:
            accounts.lose(attempt.reserved_pusd)
        elif end.usage is not None:
            accounts.settle(attempt.reserved_pusd, end.usage, end.cost_pusd)
            accounts.batch_pusd += end.cost_pusd or 0
        else:
            accounts.budget.release(attempt.reserved_pusd)
        job.record = replace(
            record,
            retrieved=record.retrieved + 1 + len(attempt.packed),
            cost_pusd=record.cost_pusd + (end.cost_pusd or 0),
        )
        members = {member.item.seq: member for member in followers}
        for result in results:
            if (cached := self._settlement.cached) is not None:
                cached.committed(members[result.seq], result)
            self._settlement.count_result(result)
        self._room.set()
        self._on_commit()

    def _billable(self, job: Job, work: Work, reported: Usage | None, text: str) -> Usage:
        if reported is not None and is_sound(reported):
            return reported
        prompt = job.record.tokens * len(work.members) / max(1, job.record.items)
        guessed_output = max(1.0, len(text.encode(errors="replace")) / 3.0) if text else 0.0
        return self._accounts.believable(reported, prompt, guessed_output)


def _began(job: Job) -> float:
    return job.record.created_at or job.record.intended_at


def _by_batch(job: Job, result: Result) -> Result:
    return replace(result, via="batch", batch_id=job.record.batch_id, latency_ms=None)
