"""Send a run's items as batch jobs of the provider, follow the jobs, and take their results.

One task makes jobs one after the other (fill, write the intent down, upload, create, note the id);
each job that exists has a task of its own that looks at it and fetches what it came to. All that
matters is in the ledger: a process that dies anywhere finds its jobs again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from llmtop.batch_jobs import BatchProvider, FetchBroken, RemoteBatch
from llmtop.model import ItemError, ProviderError
from llmtop.policy.batching import backoff, is_lost, poll_delay
from llmtop.policy.limiter import Cause
from llmtop.submit.batch_creating import Creation, Creator
from llmtop.submit.batch_filling import Filled, Filler
from llmtop.submit.batch_receiving import BatchReceiver, gone, unbilled
from llmtop.submit.batch_work import Job, JobBooks, KeyDesk
from llmtop.submit.line import Line
from llmtop.submit.reception import Reception
from llmtop.submit.work import Feed, Flight, Halt

_READINGS = 3
"""How often results are read before what is not in them is believed to be missing."""
_YOUNG_QUEUE = 0.5
"""After a refusal because too much was waiting: the next job has this part of the size at the most."""


class BatchSubmitter:
    """The batch jobs of one run.

    `run()` returns when nothing is left to ask and every job is over or held, or after `stop`: jobs
    at the provider then go on there. Expected failures become results, later jobs or a `Halt`.
    """

    def __init__(
        self,
        *,
        feed: Feed | None,
        line: Line,
        provider: BatchProvider,
        books: JobBooks,
        desk: KeyDesk,
        filler: Filler,
        creator: Creator,
        receiver: BatchReceiver,
        reception: Reception,
        poll_interval_s: float,
        deadline_at: float | None,
        rng: random.Random,
        on_halt: Callable[[Halt], None],
        on_news: Callable[[str, str], None],
        wall: Callable[[], float],
    ) -> None:
        """`feed` None: no new jobs are made, those that exist are followed to their end."""
        self.jobs: list[Job] = []
        """Those that are not over, oldest first."""
        self.over: list[Job] = []
        """Those that ended in this process."""
        self.flights: dict[int, Flight] = {}
        """None: a job is no request in flight."""
        self.ceiling: int | None = None
        self.is_open = feed is not None
        """Whether new jobs are made."""
        self.on_put_back: Callable[[], None] = _nothing
        """Told when items of a job are to be asked again."""
        self._feed = feed
        self._line = line
        self._provider = provider
        self._books = books
        self._desk = desk
        self._filler = filler
        self._creator = creator
        self._receiver = receiver
        self._reception = reception
        self._poll_s = poll_interval_s
        self._deadline_at = deadline_at
        self._rng = rng
        self._on_halt = on_halt
        self._on_news = on_news
        self._wall = wall
        self._is_stopping = False
        self._is_given_up = False
        self._may_read = True
        self._has_more = True
        self._wake = asyncio.Event()
        self._bug: BaseException | None = None
        self._making: asyncio.Task[None] | None = None
        self._last_number = max((job.number for job in books.jobs()), default=0)
        self._restore()

    def __repr__(self) -> str:
        return f"<BatchSubmitter {len(self.jobs)} jobs>"

    def _restore(self) -> None:
        """Take up the jobs of an earlier process, with what was set aside for them."""
        for record in self._books.jobs(is_open_only=True):
            job = Job(record, self._filler.path(record.tag))
            self._reception.accounts.budget.resume(self._books.open_reserved(record.number))
            if record.batch_id is not None:
                self._desk.known.add(record.batch_id)
            self.jobs.append(job)

    # -- what the run sees ---------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again: none, they wait in the ledger."""
        return 0

    @property
    def flying_items(self) -> int:
        """Items in jobs."""
        return sum(max(0, job.record.requests - job.record.retrieved) for job in self.jobs)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done and every result is committed."""
        is_busy = any(not job.is_held for job in self.jobs)
        return not is_busy and not self._uncommitted and not self._creator.is_creating

    @property
    def _uncommitted(self) -> int:
        return self._receiver.uncommitted + self._reception.settlement.uncommitted

    async def run(self) -> None:
        """Make jobs and follow them until nothing is left, or until `stop`."""
        self._is_stopping = self._is_given_up = False
        self._bug, self._has_more = None, True
        self._begin()
        try:
            while self._bug is None and not self._is_over:
                if not self._begin():
                    await self._woken()
        finally:
            await self._end()
        if self._bug is not None:
            raise self._bug

    def _begin(self) -> bool:
        """Let jobs be made, unless that is being done or there is nothing to be made."""
        is_wanted = self._has_more or any(job.record.state == "intent" for job in self.jobs)
        if self._is_stopping or not is_wanted or (self._making is not None and not self._making.done()):
            return False
        self._making = asyncio.create_task(self._make(), name="batch jobs")
        self._making.add_done_callback(self._ended)
        return True

    @property
    def _is_over(self) -> bool:
        assert self._making is not None
        if not self._making.done() or (self._is_stopping and self._creator.is_creating):
            return False
        if self._is_stopping:
            return True
        return not self._uncommitted and all(job.is_held for job in self.jobs) and not self._has_more

    async def _end(self) -> None:
        tasks = [job.task for job in self.jobs if job.task is not None]
        if self._making is not None:
            tasks.append(self._making)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in self.jobs:
            job.task = None
        self._filler.drop()
        while self._uncommitted and not self._is_given_up:
            await self._woken()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = self._bug or bug
        self._wake.set()

    def stop(self) -> None:
        """Make no new job and look no more; a creation on its way is waited for. Nothing is cancelled."""
        self._is_stopping = True
        if self._making is not None and not self._creator.is_creating:
            self._making.cancel()
        self._wake.set()

    def abort(self) -> None:
        """End now; a creation that is broken off is looked for at the next start. Only after `stop`."""
        if self._is_stopping and self._making is not None:
            self._making.cancel()

    def give_up(self) -> None:
        """Nothing can be written any more: end now."""
        self._is_given_up = True
        self.stop()
        self.abort()

    def poke(self) -> None:
        """Something changed that may let work go on."""
        self._has_more = True
        self._wake.set()

    def bound(self, ceiling: int | None, *, may_read_ahead: bool) -> None:
        """Memory is short where `ceiling` is 0: no new job is made until it is not."""
        self.ceiling = ceiling
        self._may_read = may_read_ahead and ceiling != 0
        self._wake.set()

    # -- commands ------------------------------------------------------------------------------

    def find(self, name: str) -> Job | None:
        """Return the open job of this id, tag or number."""
        names = ((job.record.batch_id, job.record.tag, str(job.record.number)) for job in self.jobs)
        return next((job for job, own in zip(self.jobs, names, strict=True) if name in own), None)

    def cancel(self, job: Job) -> None:
        """Ask the provider to end a job; what is done by then is kept, and the rest asked again."""
        job.is_cancel_wanted = True
        job.next_poll_at = self._wall()
        self._wake.set()

    def look_up(self, job: Job) -> None:
        """Look for a held job again, now that somebody has seen to it."""
        if job.is_held:
            job.record = replace(job.record, state="intent")
            self._books.save(job.record)
            self.poke()

    async def cancel_all(self, patience_s: float) -> int:
        """Ask the provider to end all jobs; return how many said yes within the time."""
        known = [job.record.batch_id for job in self.jobs if job.record.batch_id is not None]
        try:
            async with asyncio.timeout(patience_s):
                said = await asyncio.gather(*(self._provider.cancel(batch_id) for batch_id in known))
        except TimeoutError:
            return 0
        ended = [each for each in said if isinstance(each, RemoteBatch)]
        for job in self.jobs:
            for each in ended:
                if each.id == job.record.batch_id:
                    job.saw(each, self._wall())
                    self._books.save(job.record)
        return len(ended)

    # -- making jobs ---------------------------------------------------------------------------

    async def _make(self) -> None:
        while not self._is_stopping:
            if (job := self._next_known()) is not None:
                await self._bring(job, is_unknown=True)
                continue
            if self._feed is None or not self.is_open:
                self._has_more = False
                return
            await self._allowed()
            filled = await self._filler.fill(self._last_number + 1, self._enqueued())
            if filled.job is not None:
                await self._intend(filled.job, filled)
                await self._bring(filled.job, is_unknown=False)
            elif not await self._refilled(filled):
                return

    def _next_known(self) -> Job | None:
        """Start to follow the jobs of an earlier start; return one whose creation is uncertain."""
        for job in self.jobs:
            if job.task is None and not job.is_held and job.record.batch_id is not None:
                self._follow(job)
        return next((job for job in self.jobs if job.record.state == "intent"), None)

    async def _allowed(self) -> None:
        """Wait while the run is paused or memory is short: jobs at the provider go on meanwhile."""
        while Cause.PAUSE in self._line.blocks or not self._may_read:
            await self._woken()

    def _enqueued(self) -> int:
        return sum(job.record.tokens for job in self.jobs)

    async def _refilled(self, filled: Filled) -> bool:
        """Nothing could be taken: wait for what may change that; False: everything has been asked."""
        assert self._feed is not None
        has_jobs = any(not job.is_held for job in self.jobs)
        if filled.is_budget_reached and not has_jobs and not self._uncommitted:
            self._on_halt(Halt("budget", "the budget is reached"))
            await self._woken()
        elif filled.is_budget_reached or filled.is_queue_full or (self._has_more and self._uncommitted):
            await self._woken()
        elif self._has_more:
            self._has_more = self._feed.refill()
        elif has_jobs:
            await self._woken()
        else:
            return False
        return True

    async def _intend(self, job: Job, filled: Filled) -> None:
        """Write down what is about to be done, with the items that are taken by it."""
        self._last_number = job.record.number
        self.jobs.append(job)
        committed = asyncio.Event()
        self._books.intend(job.record, filled.lines, committed.set)
        await committed.wait()

    async def _bring(self, job: Job, *, is_unknown: bool) -> None:
        word: Creation = await self._creator.create(job, is_unknown=is_unknown)
        if word == "created":
            self._on_news(job.name, f"job of {job.record.requests:,} requests")
            self._follow(job)
        elif word == "held":
            self._hold(job)
        else:
            self._release(job, "its input is gone" if word == "released" else "refused")
            refusal = self._creator.refusal
            if word == "refused" and refusal is not None:
                self._line.block(Cause.PAUSE)
                self._on_halt(Halt("refused", refusal.error.message, refusal.error))

    def _hold(self, job: Job) -> None:
        job.record = replace(job.record, state="held", error=job.note)
        self._books.save(job.record)
        self._on_news(job.name, f"held: {job.note}")
        self._on_halt(
            Halt("refused", f"batch job {job.name}: {job.note}; see to it, then `llmtop batches --look-up`")
        )

    def _release(self, job: Job, why: str) -> None:
        """Give the items of a job that was never created back, with their money."""
        self._reception.accounts.budget.release(self._books.open_reserved(job.record.number))
        job.record = replace(job.record, state="released", over_at=self._wall(), error=job.note or why)
        self._books.save(job.record, "released", self.poke)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        self.jobs.remove(job)
        self.over.append(job)
        job.good.clear()
        job.errors.clear()
        job.path.unlink(missing_ok=True)
        self._wake.set()

    # -- following jobs ------------------------------------------------------------------------

    def _follow(self, job: Job) -> None:
        job.task = asyncio.create_task(self._followed(job), name=f"batch job {job.name}")
        job.task.add_done_callback(self._ended)

    async def _followed(self, job: Job) -> None:
        remote = await self._until_terminal(job)
        if remote is None:
            words = "the provider does not know it any more"
            await self._close(job, gone(words), words)
            return
        if remote.is_queue_full:
            self._shrink(job)
            self._release(job, "too much was waiting at the provider")
            self.on_put_back()
            return
        readings, own = await self._read(job, remote)
        if not own and not job.is_proven and self._receiver.strangers:
            self._disown(job)
            return
        absent = self._absent(remote, is_read=readings >= _READINGS)
        await self._close(job, absent, remote.error_message or "")

    async def _until_terminal(self, job: Job) -> RemoteBatch | None:
        """Look at a job until it has ended; None: it is lost."""
        assert job.record.batch_id is not None
        while True:
            if self._deadline_at is not None and self._wall() >= self._deadline_at:
                job.is_cancel_wanted = True
            if job.is_cancel_wanted and job.record.state not in ("cancelling", "cancelled"):
                said = await self._provider.cancel(job.record.batch_id)
                self._on_news(job.name, "its end is asked for")
                job.is_cancel_wanted = isinstance(said, ProviderError) and said.error.http_status != 409
            said = await self._provider.get(job.record.batch_id)
            at = self._wall()
            if isinstance(said, RemoteBatch):
                job.failures, job.missed_at, job.note = 0, None, ""
                job.saw(said, at)
                self._books.save(job.record)
                if said.is_terminal:
                    job.next_poll_at = None
                    return said
            else:
                self._missed(job, said, at)
                if is_lost(job.missed_at, at):
                    return None
            await self._until(job, self._delay(job, at))

    def _missed(self, job: Job, error: ProviderError, at: float) -> None:
        """A look that failed is weather, until it has lasted for long."""
        job.failures += 1
        job.note = error.error.message
        if error.error.http_status in (404, 410):
            job.missed_at = at if job.missed_at is None else job.missed_at
        if error.outcome.is_stop and error.error.http_status != 404:
            self._on_halt(Halt("refused", error.error.message, error.error))

    def _delay(self, job: Job, at: float) -> float:
        if job.failures:
            return backoff(job.failures, self._poll_s, self._rng)
        record = job.record
        age_s = max(0.0, at - (record.created_at or record.intended_at))
        done = None if record.done is None else record.done + (record.failed or 0)
        return poll_delay(age_s, self._poll_s, self._rng, done=done, requests=record.requests)

    async def _until(self, job: Job, delay_s: float) -> None:
        """Wait, unless somebody wants the job looked at before."""
        job.next_poll_at = self._wall() + delay_s
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        while (left_s := due - loop.time()) > 0 and not job.is_cancel_wanted:
            await asyncio.sleep(min(left_s, 1.0))

    async def _read(self, job: Job, remote: RemoteBatch) -> tuple[int, int]:
        """Read the results until nothing is missing or is believed to be; return readings and own lines."""
        readings = own = failures = 0
        since = self._wall()
        while readings < _READINGS:
            try:
                own = max(own, await self._receiver.read(job, remote))
            except FetchBroken as broken:
                failures += 1
                job.note = f"results: {broken.error.error.message}"
                is_gone = broken.error.error.http_status in (404, 410)
                if is_lost(since, self._wall()) or (is_gone and failures >= 2 * _READINGS):
                    break
                await asyncio.sleep(backoff(failures, self._poll_s, self._rng))
            else:
                readings += 1
                if not self._receiver.missing(job) or remote.state != "completed":
                    return _READINGS, own
                await asyncio.sleep(self._poll_s)
            remote = await self._seen_again(job, remote)
        return readings, own

    async def _seen_again(self, job: Job, remote: RemoteBatch) -> RemoteBatch:
        """Look at an ended job again: where its results are may be said late. Its state never goes back."""
        said = await self._provider.get(remote.id)
        return said if isinstance(said, RemoteBatch) and said.is_terminal else remote

    def _absent(self, remote: RemoteBatch, *, is_read: bool) -> ProviderError:
        """Return what a request came to that the results do not have."""
        if not is_read:
            return gone("the results of its batch job cannot be had any more")
        if remote.state == "cancelled":
            return unbilled(ItemError("cancelled", "its batch job was cancelled before it was asked"))
        if remote.state == "expired":
            return unbilled(ItemError("expired", "its batch job expired before it was asked"))
        if remote.state == "failed":
            return unbilled(ItemError("server_error", f"its batch job failed: {remote.error_message}"))
        return gone("the results of its batch job do not have it")

    def _disown(self, job: Job) -> None:
        """What was taken for ours is another's: look again."""
        self._on_news(job.name, "was another's job: looking again")
        job.record = replace(job.record, state="intent", batch_id=None, created_at=None, ended_at=None)
        self._books.save(job.record)
        job.task = None
        self.poke()

    def _shrink(self, job: Job) -> None:
        """Too much was waiting: with other jobs open wait for them, alone make smaller jobs."""
        others = self._enqueued() - job.record.tokens
        most = others or max(1, int(job.record.tokens * _YOUNG_QUEUE))
        self._filler.limits = replace(self._filler.limits, max_enqueued_tokens=most)
        self._on_news(
            job.name, f"too much was waiting at the provider: {most:,} tokens at the most from now on"
        )

    async def _close(self, job: Job, absent: ProviderError, why: str) -> None:
        """Settle what is left, note the job as retrieved behind its last line, and let go of it."""
        await self._receiver.close(job, absent)
        written = asyncio.Event()
        job.record = replace(
            job.record, state="retrieved" if not job.is_held else "held", over_at=self._wall()
        )
        if why:
            job.record = replace(job.record, error=why)
        self._books.save(job.record, "released", written.set)
        await written.wait()
        self._on_news(job.name, f"retrieved: {len(job.good):,} of {job.record.requests:,} requests settled")
        self._finish(job)
        self._has_more = True
        self.on_put_back()

    async def _woken(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    def woken(self) -> None:
        """Something was committed."""
        self._wake.set()


def _nothing() -> None:
    return
