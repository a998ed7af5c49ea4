"""Jobs come to be, one after the other: filled, written down as intended, created, their id noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from llmtop.model import ItemError
from llmtop.policy.batching import Patience
from llmtop.policy.limiter import Cause
from llmtop.submit.batch_creating import Creator
from llmtop.submit.batch_filling import Filled, Filler
from llmtop.submit.batch_packing import JobPacker
from llmtop.submit.batch_settling import LineSettler
from llmtop.submit.batch_work import Job, JobBooks, JobList
from llmtop.submit.line import Line
from llmtop.submit.settlement import Settlement
from llmtop.submit.work import Halt, HaltReason

_YOUNG_QUEUE = 0.5
"""After a refusal because too much was waiting: this part of it may wait from then on."""


class Maker:
    """Makes the jobs of one run. All that matters is in the ledger, and a later process goes on there."""

    def __init__(
        self,
        *,
        jobs: JobList,
        line: Line,
        books: JobBooks,
        packer: JobPacker,
        filler: Filler,
        creator: Creator,
        settler: LineSettler,
        settlement: Settlement,
        patience_s: float,
        deadline_at: float | None,
        on_halt: Callable[[Halt], None],
        on_news: Callable[[str, str], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        is_open: bool,
    ) -> None:
        """`deadline_at` (wall clock): from then on no job is made."""
        self.is_open = is_open
        """Whether new jobs are made."""
        self.is_late = False
        """Whether no more are made, since the deadline has passed: nothing is being filled any more."""
        self.on_late: Callable[[], None] = _nothing
        """Told when that begins."""
        self.is_stopping = False
        self.is_ending = False
        """Whether no more jobs are made, while those that there are come to their end."""
        self.has_more = True
        """Whether items may be left to ask."""
        self.may_read = True
        """Whether there is memory to fill a job."""
        self.on_exists: Callable[[Job], None] = _nobody
        """Told of each job that the provider has: it is to be followed."""
        self._jobs = jobs
        self._line = line
        self._books = books
        self._packer = packer
        self._filler = filler
        self._creator = creator
        self._settler = settler
        self._settlement = settlement
        self._on_halt = on_halt
        self._patience = Patience(patience_s)
        self._deadline_at = deadline_at
        self._on_news = on_news
        self._clock = clock
        self._wall = wall
        self._last_number = 0
        self._restore()

    def __repr__(self) -> str:
        return f"<Maker of job {self._last_number + 1}>"

    def _restore(self) -> None:
        """Take up the jobs of an earlier process, with what was set aside for them.

        One that was held is looked for again: whoever started this has seen to it, or will be told so anew.
        """
        for record in self._books.jobs():
            self._last_number = max(self._last_number, record.number)
            as_it_is = replace(record, state="intent") if record.state == "held" else record
            job = Job(as_it_is, self._filler.path(record.tag))
            self._creator.restored(record)
            if record.is_over:
                self._jobs.over.append(job)
                continue
            self._settlement.accounts.budget.resume(self._books.open_reserved(record.number))
            self._jobs.open.append(job)

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to make, or a creation whose outcome is unknown."""
        return self.has_more or any(job.record.state == "intent" for job in self._jobs.open)

    @property
    def uncommitted(self) -> int:
        """Results that the ledger was given and has not committed: they may leave items to ask again."""
        return self._settler.uncommitted + self._settlement.uncommitted

    async def make(self) -> None:
        """Make jobs until there is nothing to ask, or until it is stopped."""
        while not self.is_stopping:
            job = self._next_known()
            await self._allowed()
            if job is not None:
                await self._bring(job, is_unknown=job.record.created_at is not None)
                continue
            if not self.is_open or self.is_ending or self._has_passed():
                self.has_more = False
                return
            if self._patience.refusals:
                await self._creator.pause(self._patience.refusals)
            rings = self._jobs.rings
            filled = await self._filler.fill(self._last_number + 1, self._jobs.tokens)
            if filled.job is not None:
                await self._intend(filled.job, filled)
                await self._bring(filled.job, is_unknown=False)
            elif not await self._refilled(filled, rings):
                return

    def _has_passed(self) -> bool:
        """Whether the deadline has; what is in no job then goes another way."""
        if not self.is_late and self._deadline_at is not None and self._wall() >= self._deadline_at:
            self.is_late = True
            self._on_news("llmtop", "the deadline has passed: no more batch jobs")
            self.on_late()
        return self.is_late

    def _next_known(self) -> Job | None:
        """Let the jobs of an earlier start be followed; return one that was intended, and may be created."""
        for job in self._jobs.open:
            if job.task is None and not job.is_held and job.record.batch_id is not None:
                self.on_exists(job)
        return next((job for job in self._jobs.open if job.record.state == "intent"), None)

    async def _allowed(self) -> None:
        """Wait while the run is paused or refused, or memory short: jobs at the provider go on meanwhile."""
        while Cause.PAUSE in self._line.blocks or not self.may_read or self._jobs.is_refused:
            await self._jobs.changed()

    async def _refilled(self, filled: Filled, rings: int) -> bool:
        """Nothing could be taken: wait for what may change that; False: everything has been asked.

        `rings`: of the bell, before it was tried: what ended meanwhile is not waited for.
        """
        has_jobs = self._jobs.is_waited_for
        if filled.is_budget_reached and not has_jobs and not self.uncommitted:
            self._on_halt(Halt("budget", "the budget is reached"))
            await self._jobs.changed(rings)
        elif filled.is_budget_reached or filled.is_queue_full or (self.has_more and self.uncommitted):
            await self._jobs.changed(rings)
        elif self.has_more:
            self.has_more = not self._packer.has_skipped and self._packer.refill()
        elif has_jobs:
            await self._jobs.changed(rings)
        else:
            return False
        return True

    async def _intend(self, job: Job, filled: Filled) -> None:
        """Write down what is about to be done, with the items that are taken by it."""
        self._last_number = job.record.number
        self._jobs.open.append(job)
        committed = asyncio.Event()
        self._books.intend(job.record, filled.items, committed.set)
        await committed.wait()
        self._packer.intended(job.record.number, (seq for seq, _, _ in filled.items))

    async def _bring(self, job: Job, *, is_unknown: bool) -> None:
        word = await self._creator.create(job, is_unknown=is_unknown)
        if word == "created":
            self._on_news(job.name, f"job of {job.record.requests:,} requests")
            self.on_exists(job)
        elif word == "held":
            self._hold(job)
        elif word == "crowded":
            self._shrink(job)
        elif word == "unclear":
            job.is_unclear = True
            self._refused()
        else:
            self.release(job, "its input is gone" if word == "released" else "refused")
            if word == "refused":
                self._refused()

    def _refused(self) -> None:
        """A person must mend something: nothing more is made, and what there is stays as it is."""
        refusal = self._creator.refusal
        assert refusal is not None
        self._jobs.is_refused = refusal.outcome.is_stop
        is_for_good = refusal.outcome.is_stop or refusal.is_final
        self._halt("refused" if is_for_good else "throttled", refusal.error)

    def _halt(self, reason: HaltReason, error: ItemError) -> None:
        self._line.block(Cause.PAUSE)
        self._on_halt(Halt(reason, error.message, error))

    def _hold(self, job: Job) -> None:
        """Let it wait for a person; the other jobs go on."""
        job.record = replace(job.record, state="held", error=job.note)
        self._books.save(job.record)
        self._on_news(job.name, f"held: {job.note}")

    def tell_held(self) -> None:
        """Nothing is left to do but what waits for a person: say so."""
        held = [job for job in self._jobs.open if job.is_held]
        if held:
            words = f"batch job {held[0].name} is held: {held[0].note or held[0].record.error}"
            more = f", and {len(held) - 1} more" if len(held) > 1 else ""
            way = "see to it, then start the same command again, or"
            way += f" `llmtop batches RUN --look-up {held[0].record.number}` where the engine still lives"
            self._on_halt(Halt("refused", f"{words}{more}; {way}"))

    def release(self, job: Job, why: str) -> None:
        """Give the items of a job that was never created, or never began, back with their money."""
        self._settlement.accounts.budget.release(self._books.open_reserved(job.record.number))
        job.record = replace(job.record, state="released", over_at=self._wall(), error=job.note or why)
        self._books.save(job.record, "released", self.more)
        self._finish(job)

    def retrieved(self, job: Job) -> None:
        """A job has come to its end: what it left may be asked again, and jobs of this size are taken."""
        self._patience.eased()
        self._finish(job)
        self.has_more = True

    def _finish(self, job: Job) -> None:
        self._packer.over(job.record.number)
        self._jobs.finish(job)

    def more(self) -> None:
        """Items may be left to ask again."""
        self.has_more = True
        self._jobs.ring()

    def crowded(self, job: Job) -> None:
        """It failed since too much was waiting. Alone and for too long: that is for a person."""
        is_alone = not self._jobs.has_others(job)
        is_over = is_alone and self._patience.is_over(self._clock())
        if not is_alone:
            self._patience.eased()
        error = ItemError("rate_limit", f"batch jobs fail, too much is waiting: {job.record.error}")
        self._shrink(job)
        if is_over:
            self._halt("throttled", error)

    def _shrink(self, job: Job) -> None:
        """Too much was waiting: with other jobs open wait for them, alone make smaller jobs."""
        others = self._jobs.tokens - job.record.tokens
        most = max(1, others, int(self._jobs.tokens * _YOUNG_QUEUE))
        self._filler.limits = replace(self._filler.limits, max_enqueued_tokens=most)
        self._on_news(
            job.name, f"too much was waiting at the provider: {most:,} tokens at the most from now on"
        )
        self.release(job, "too much was waiting at the provider")

    def drop(self) -> None:
        """Forget the items that wait for the next job: a new pass finds them again."""
        self._packer.drop()


def _nothing() -> None:
    return


def _nobody(_job: Job) -> None:
    raise AssertionError("nobody follows the job")
