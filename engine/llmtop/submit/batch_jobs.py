"""The batch jobs of a run, as its submitter: made, followed and taken until nothing is left.

One task makes jobs one after the other; each job that exists has a task of its own that follows it.
All that matters is in the ledger: a process that dies anywhere finds its jobs again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from llmtop.policy.job_figures import row_key
from llmtop.submit.batch_creating import Creator
from llmtop.submit.batch_following import Follower
from llmtop.submit.batch_making import Maker
from llmtop.submit.batch_work import Job, JobBooks, JobList
from llmtop.submit.work import Flight


class BatchSubmitter:
    """The batch jobs of one run.

    `run()` returns when nothing is left to ask and every job is over or held, or after `stop`: jobs
    at the provider then go on there. Expected failures become results, later jobs or a `Halt`.
    """

    def __init__(
        self,
        *,
        jobs: JobList,
        maker: Maker,
        creator: Creator,
        follower: Follower,
        books: JobBooks,
        on_news: Callable[[str, str], None],
        wall: Callable[[], float],
    ) -> None:
        self.flights: dict[int, Flight] = {}
        """None: a job is no request in flight."""
        self.ceiling: int | None = None
        self.on_put_back: Callable[[], None] = _nothing
        """Told when items of a job are to be asked again."""
        self._list = jobs
        self._maker = maker
        self._creator = creator
        self._follower = follower
        self._books = books
        self._on_news = on_news
        self._wall = wall
        self._is_given_up = False
        self._bug: BaseException | None = None
        self._making: asyncio.Task[None] | None = None
        maker.on_exists = self._follow
        maker.on_late = lambda: self.on_put_back()

    def __repr__(self) -> str:
        return f"<BatchSubmitter {len(self.jobs)} jobs>"

    # -- what the run sees ---------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """Those that are not over, oldest first."""
        return self._list.open

    @property
    def over(self) -> list[Job]:
        """Those that ended, in earlier processes too, oldest first."""
        return self._list.over

    @property
    def is_open(self) -> bool:
        """Whether new jobs are made."""
        return self._maker.is_open

    @is_open.setter
    def is_open(self, is_open: bool) -> None:
        self._maker.is_open = is_open

    @property
    def is_late(self) -> bool:
        """Whether no more jobs are made, since the deadline has passed."""
        return self._maker.is_late

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again: none, they wait in the ledger."""
        return 0

    @property
    def flying_items(self) -> int:
        """Items in jobs."""
        return sum(max(0, job.record.items - job.record.retrieved) for job in self.jobs)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done and every result is committed."""
        is_waiting = self._list.is_waited_for and not self._list.is_refused
        return not is_waiting and not self._maker.uncommitted and not self._creator.is_creating

    async def run(self) -> None:
        """Make jobs and follow them until nothing is left, or until `stop`."""
        self._maker.is_stopping = self._maker.is_ending = False
        self._is_given_up = self._list.is_refused = False
        self._bug, self._maker.has_more = None, True
        self._begin()
        try:
            while self._bug is None and not self._is_over:
                if not self._begin():
                    await self._list.changed()
        finally:
            await self._end()
        if self._bug is not None:
            raise self._bug
        if not self._maker.is_stopping:
            self._maker.tell_held()

    def _begin(self) -> bool:
        """Let jobs be made, unless that is being done or there is nothing to be made."""
        is_being_done = self._making is not None and not self._making.done()
        if self._maker.is_stopping or not self._maker.is_wanted or is_being_done:
            return False
        self._making = asyncio.create_task(self._maker.make(), name="batch jobs")
        self._making.add_done_callback(self._ended)
        return True

    @property
    def _is_over(self) -> bool:
        assert self._making is not None
        if not self._making.done() or (self._maker.is_stopping and self._creator.is_creating):
            return False
        if self._maker.is_stopping:
            return True
        return not self._maker.uncommitted and not self._list.is_waited_for and not self._maker.has_more

    async def _end(self) -> None:
        tasks = [job.task for job in self.jobs if job.task is not None]
        if self._making is not None:
            tasks.append(self._making)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in self.jobs:
            job.task = None
        self._maker.drop()
        while self._maker.uncommitted and not self._is_given_up:
            await self._list.changed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = self._bug or bug
        self._list.ring()

    def stop(self) -> None:
        """Make no new job and look no more; a creation on its way is waited for. Nothing is cancelled."""
        self._maker.is_stopping = True
        if self._making is not None and not self._creator.is_creating:
            self._making.cancel()
        self._list.ring()

    def abort(self) -> None:
        """End now; a creation that is broken off is looked for at the next start. Only after `stop`."""
        if self._maker.is_stopping and self._making is not None:
            self._making.cancel()

    def give_up(self) -> None:
        """Nothing can be written any more: end now."""
        self._is_given_up = True
        self.stop()
        self.abort()

    def poke(self) -> None:
        """Something changed that may let work go on: whatever was refused is tried again."""
        self._list.is_refused = False
        for job in self.jobs:
            job.is_unclear = False
        self._maker.more()

    def woken(self) -> None:
        """Something was committed."""
        self._list.ring()

    def bound(self, ceiling: int | None, *, may_read_ahead: bool) -> None:
        """Memory is short where `ceiling` is 0: no new job is made until it is not."""
        self.ceiling = ceiling
        self._maker.may_read = may_read_ahead and ceiling != 0
        self._list.ring()

    # -- commands ------------------------------------------------------------------------------

    def find(self, name: str) -> Job | None:
        """Return the open job of this id, tag, number or row."""
        return self._list.find(name)

    def open_rows(self) -> list[str]:
        """What the open jobs are called in tables."""
        return [row_key(job.record) for job in self._list.open]

    def cancel(self, job: Job) -> None:
        """Ask the provider to end a job; what is done by then is kept, and the rest asked again."""
        job.is_cancel_wanted = True
        self._look_now(job)

    def look_up(self, job: Job) -> None:
        """Look for a held job again, now that somebody has seen to it; look at another one now."""
        if job.is_held:
            job.record = replace(job.record, state="intent")
            self._books.save(job.record)
            self.poke()
        else:
            self._look_now(job)

    def _look_now(self, job: Job) -> None:
        job.next_poll_at = self._wall()
        job.wake.set()

    async def end_all(self, patience_s: float) -> tuple[int, int]:
        """Ask the provider to end all jobs, and take what they had done; no new one is made.

        Return how many it ended, and how many were still ending when the time was over: what those
        had done is fetched by a later start.
        """
        self._maker.is_ending = True
        ending = [job for job in self.jobs if job.record.batch_id is not None]
        for job in ending:
            self.cancel(job)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while any(job in self.jobs for job in ending):
                    await self._list.changed()
        return len(ending), sum(job in self.jobs for job in ending)

    # -- following jobs ------------------------------------------------------------------------

    def _follow(self, job: Job) -> None:
        job.task = asyncio.create_task(self._followed(job), name=f"batch job {job.name}")
        job.task.add_done_callback(self._ended)

    async def _followed(self, job: Job) -> None:
        word = await self._follower.follow(job)
        if word == "foreign":
            self._disown(job)
            return
        if word == "queue_full":
            self._maker.crowded(job)
        else:
            self._maker.retrieved(job)
        self.on_put_back()

    def _disown(self, job: Job) -> None:
        """What was taken for ours is another's: look again."""
        self._on_news(job.name, "was another's job: looking again")
        job.record = replace(job.record, state="intent", batch_id=None, ended_at=None)
        self._books.save(job.record)
        job.task, job.strangers = None, 0
        self.poke()


def _nothing() -> None:
    return
