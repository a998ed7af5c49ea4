"""A job that exists is looked at until it has ended, and its results are fetched and settled.

The provider's words are weather until they have lasted: a look that fails is repeated, results that
break off are read again, and what is missing is believed to be missing only after several readings.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from llmtop.batch_jobs import BatchProvider, BatchRecord, FetchBroken, RemoteBatch, failure_of
from llmtop.model import ItemError, ProviderError
from llmtop.policy.batching import are_results_lost, backoff, is_lost, poll_delay
from llmtop.submit.batch_receiving import BatchReceiver, gone, unbilled
from llmtop.submit.batch_work import Job, JobBooks, JobList
from llmtop.submit.work import Halt

Followed = Literal["retrieved", "queue_full", "foreign"]
"""What a job came to. `queue_full`: nothing, too much was waiting; `foreign`: it is another's."""

_READINGS = 3
"""How often results are read before what is not in them is believed to be missing."""


class Follower:
    """Follows the jobs of one run, each in a task of its own."""

    def __init__(
        self,
        *,
        jobs: JobList,
        provider: BatchProvider,
        books: JobBooks,
        receiver: BatchReceiver,
        poll_interval_s: float,
        deadline_at: float | None,
        rng: random.Random,
        on_halt: Callable[[Halt], None],
        on_news: Callable[[str, str], None],
        on_retrieved: Callable[[BatchRecord], None],
        wall: Callable[[], float],
    ) -> None:
        """`deadline_at` (wall clock): jobs that have not ended by then are cancelled."""
        self._jobs = jobs
        self._provider = provider
        self._books = books
        self._receiver = receiver
        self._poll_s = poll_interval_s
        self._deadline_at = deadline_at
        self._rng = rng
        self._on_halt = on_halt
        self._on_news = on_news
        self._on_retrieved = on_retrieved
        self._wall = wall

    async def follow(self, job: Job) -> Followed:
        """Look at a job to its end, and settle all of its requests once it is `retrieved`."""
        remote = await self._until_terminal(job)
        if remote is None:
            words = "the provider does not know it any more"
            await self._close(job, gone(words), words)
            return "retrieved"
        if remote.is_queue_full:
            return "queue_full"
        is_read, own = await self._read(job, remote)
        if not own and job.strangers and self._is_on_trust(job):
            return "foreign"
        absent = _absent(remote, is_read=is_read)
        await self._close(job, absent, remote.error_message or "")
        return "retrieved"

    def _is_on_trust(self, job: Job) -> bool:
        """Whether a job may have been taken for ours that is another's: only its results tell."""
        return not self._provider.limits.has_tag and job.record.file_id is None

    # -- until it has ended --------------------------------------------------------------------

    async def _until_terminal(self, job: Job) -> RemoteBatch | None:
        """Look at a job until it has ended; None: it is lost."""
        assert job.record.batch_id is not None
        while True:
            await self._jobs.mended()
            await self._cancelled(job, job.record.batch_id)
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
                now = asyncio.get_running_loop().time()
                self._missed(job, said, now)
                if is_lost(job.missed_at, now):
                    return None
            await self._until(job, self._delay(job, at))

    async def _cancelled(self, job: Job, batch_id: str) -> None:
        """Ask for the end of a job where somebody, or its deadline, wants it."""
        if self._deadline_at is not None and self._wall() >= self._deadline_at:
            job.is_cancel_wanted = True
        if not job.is_cancel_wanted or job.record.state in ("cancelling", "cancelled"):
            return
        said = await self._provider.cancel(batch_id)
        is_refused = isinstance(said, ProviderError) and said.error.http_status != 409
        why = f", and refused: {said.error.message}" if isinstance(said, ProviderError) and is_refused else ""
        self._on_news(job.name, f"its end is asked for{why}")
        job.is_cancel_wanted = is_refused

    def _missed(self, job: Job, error: ProviderError, now: float) -> None:
        """A look that failed is weather, until it has lasted for long."""
        job.failures += 1
        job.note = error.error.message
        if error.error.http_status in (404, 410):
            job.missed_at = now if job.missed_at is None else job.missed_at
        if error.outcome.is_stop and error.error.http_status != 404:
            self._refused(error)

    def _refused(self, error: ProviderError) -> None:
        self._jobs.is_refused = True
        self._on_halt(Halt("refused", error.error.message, error.error))

    def _delay(self, job: Job, at: float) -> float:
        if job.failures:
            return backoff(job.failures, self._poll_s, self._rng)
        record = job.record
        if record.state == "cancelling":
            return poll_delay(0.0, self._poll_s, self._rng)  # somebody waits for it
        age_s = max(0.0, at - (record.created_at or record.intended_at))
        done = None if record.done is None else record.done + (record.failed or 0)
        return poll_delay(age_s, self._poll_s, self._rng, done=done, requests=record.requests)

    async def _until(self, job: Job, delay_s: float) -> None:
        """Wait, unless somebody wants the job looked at before."""
        job.next_poll_at = self._wall() + delay_s
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await job.wake.wait()
        job.wake.clear()

    # -- what it came to -----------------------------------------------------------------------

    async def _read(self, job: Job, remote: RemoteBatch) -> tuple[bool, int]:
        """Read the results until nothing is missing or is believed to be.

        Return whether all of them could be read, and how many lines were the job's own.
        """
        own = 0
        for reading in range(1, _READINGS + 1):
            lines = await self._read_once(job, remote)
            if lines is None:
                return False, own
            own = max(own, lines)
            if not self._receiver.missing(job) or remote.state != "completed":
                break
            if reading < _READINGS:
                await asyncio.sleep(self._poll_s)
                remote = await self._seen_again(remote)
        if job.more_errors and await self._read_once(job, remote, takes_errors=True) is None:
            return False, own
        return True, own

    async def _read_once(self, job: Job, remote: RemoteBatch, *, takes_errors: bool = False) -> int | None:
        """Read the results to their end, however often they break off; None: they cannot be had any more."""
        loop = asyncio.get_running_loop()
        failures, since = 0, loop.time()
        while True:
            try:
                return await self._receiver.read(job, remote, takes_errors=takes_errors)
            except FetchBroken as broken:
                failures += 1
                job.note = f"results: {broken.error.error.message}"
                if broken.error.outcome.is_stop and broken.error.error.http_status != 404:
                    self._refused(broken.error)
                    await self._jobs.mended()
                    continue
                is_gone = broken.error.error.http_status in (404, 410)
                if are_results_lost(since, loop.time(), failures, is_gone=is_gone):
                    return None
                await asyncio.sleep(backoff(failures, self._poll_s, self._rng))
                remote = await self._seen_again(remote)

    async def _seen_again(self, remote: RemoteBatch) -> RemoteBatch:
        """Look at an ended job again: where its results are may be said late. Its state never goes back."""
        said = await self._provider.get(remote.id)
        return said if isinstance(said, RemoteBatch) and said.is_terminal else remote

    async def _close(self, job: Job, absent: ProviderError, why: str) -> None:
        """Settle what is left, and note the job as retrieved behind its last line."""
        await self._receiver.close(job, absent)
        written = asyncio.Event()
        job.record = replace(job.record, state="retrieved", over_at=self._wall())
        if why:
            job.record = replace(job.record, error=why)
        self._books.save(job.record, "released", written.set)
        await written.wait()
        self._on_retrieved(job.record)
        words = f"retrieved: {len(job.settled):,} of {job.record.requests:,} requests settled"
        self._on_news(job.name, words)


def _absent(remote: RemoteBatch, *, is_read: bool) -> ProviderError:
    """Return what a request came to that the results do not have."""
    if not is_read:
        return gone("the results of its batch job cannot be had any more")
    if remote.state == "cancelled":
        return unbilled(ItemError("cancelled", "its batch job was cancelled before it was asked"))
    if remote.state == "expired":
        return unbilled(ItemError("expired", "its batch job expired before it was asked"))
    if remote.state == "failed":
        return failure_of(remote)
    return gone("the results of its batch job do not have it")
