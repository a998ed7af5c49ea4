"""A job comes to be at the provider, once: its file goes up, it is created, and its id is noted.

A creation is never repeated blindly. Where its outcome is unknown (a lost answer, a process that
died) the provider's list is looked through first: what is there is adopted, what is not there may
be created, what cannot be told waits for a person.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import Literal

from llmtop.batch_jobs import BatchProvider, BatchRecord, RemoteBatch, is_ambiguous
from llmtop.model import ProviderError
from llmtop.policy.batching import Adopt, Hold, Intent, NotThere, Patience, backoff, reconcile
from llmtop.submit.batch_work import Job, JobBooks, JobList, KeyDesk

Creation = Literal["created", "held", "released", "refused", "crowded", "unclear"]
"""`released`: its input is gone, so that nothing can be created of it. `refused`: it was not created, and a
person must mend why. `crowded`: it was not, and a smaller one may be. `unclear`: whether it was created
cannot be looked up until a person has mended why."""

_CROWDED_AFTER = 4
"""Refusals with 429 in a row, with none of our jobs waiting, after which half a job is tried."""
_SMALLEST_AFTER = 16
"""Refusals after which it is not the size: smaller jobs would only be more of them."""
_LOOKS_IN_ALL = 6
"""Looks in the time for which a creation whose answer was lost is looked for, at the most."""
_MISTAKE_AFTER = 2
"""Failures after which an unknown host or a certificate that is not trusted is a mistake in the config."""


class Creator:
    """Creates the jobs of one run."""

    def __init__(
        self,
        *,
        jobs: JobList,
        provider: BatchProvider,
        books: JobBooks,
        desk: KeyDesk,
        poll_interval_s: float,
        look_for_s: float,
        patience_s: float,
        rng: random.Random,
        on_news: Callable[[str, str], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.is_creating = False
        """Whether a creation is on its way right now: its answer is worth waiting for."""
        self.refusal: ProviderError | None = None
        """Why the last one was refused."""
        self._jobs = jobs
        self._provider = provider
        self._books = books
        self._desk = desk
        self._poll_s = poll_interval_s
        self._look_for_s = look_for_s
        self._patience = Patience(patience_s)
        self._rng = rng
        self._on_news = on_news
        self._clock = clock
        self._wall = wall
        self._sent_again: set[int] = set()
        """Jobs whose file was sent up once more, since it seemed to be gone."""

    def restored(self, record: BatchRecord) -> None:
        """Take note of a job of an earlier process: if it has an id, that is no stranger's."""
        if record.batch_id is not None:
            self._desk.known.add(record.batch_id)

    async def create(self, job: Job, *, is_unknown: bool) -> Creation:
        """Bring a job to life. `is_unknown`: an earlier process may have created it already."""
        while True:
            if not is_unknown and (word := await self._upload(job)) is not None:
                return word
            async with self._alone():
                outcome = await (self._find(job) if is_unknown else self._create(job))
            if isinstance(outcome, RemoteBatch):
                self.adopted(job, outcome)
                return "created"
            if isinstance(outcome, ProviderError):
                if not await self._waited(job, outcome, "creation"):
                    return "refused"
                if _is_throttled(outcome) and self._is_too_large(job):
                    return "crowded"
            elif outcome is not None:
                return outcome
            is_unknown = False  # it is certain now that it is not there

    def _is_too_large(self, job: Job) -> bool:
        """Whether it may be the size of the job that is refused."""
        refusals = self._patience.refusals
        return job.record.requests > 1 and 0 < refusals <= _SMALLEST_AFTER and refusals % _CROWDED_AFTER == 0

    def _alone(self) -> AbstractAsyncContextManager[None]:
        """Where nothing of ours tells a job in the list: no other creation until this one's end is known."""
        return nullcontext() if self._provider.limits.has_tag else self._desk.creating

    def adopted(self, job: Job, remote: RemoteBatch) -> None:
        """Note the id of a job, before anything else."""
        self._desk.known.add(remote.id)
        self._patience.eased()
        job.failures, job.note = 0, ""
        job.saw(remote, self._wall())
        self._books.save(job.record)

    async def _upload(self, job: Job) -> Creation | None:
        """Send the file up, as often as it takes; a file that is not used costs nothing."""
        if not job.path.exists():
            return "released"
        while job.record.file_id is None:
            file_id = await self._provider.upload(job.input)
            if not isinstance(file_id, ProviderError):
                job.failures = 0
                if file_id is not None:
                    job.record = replace(job.record, file_id=file_id, uploaded_at=self._wall())
                    self._books.save(job.record)
                return None
            if _is_refused(file_id, job.failures):
                self.refusal = file_id
                return "refused"
            if not await self._waited(job, file_id, "upload"):
                return "refused"
        return None

    async def _create(self, job: Job) -> RemoteBatch | ProviderError | Creation | None:
        """Create it, or say what became of that; an error: it was not created, and may be later."""
        self.is_creating = True
        try:
            await self._begun(job)
            said = await self._provider.create(job.input, job.record.file_id, job.record.tag)
        finally:
            self.is_creating = False
        if isinstance(said, RemoteBatch):
            return said
        if is_ambiguous(said):
            self._on_news(
                job.name, f"the answer to its creation was lost ({said.error.message}): looking for it"
            )
            return await self._find(job)
        is_file_gone = said.error.http_status == 404 and job.record.file_id is not None
        if is_file_gone and job.record.number not in self._sent_again:
            self._sent_again.add(job.record.number)
            job.record = replace(job.record, file_id=None, uploaded_at=None)  # once more, and no more
        elif _is_refused(said, job.failures):
            self.refusal = said
            return "refused"
        return said

    async def _begun(self, job: Job) -> None:
        """Have it on the disk that a creation may be on its way, and of which file: both tell it later."""
        job.record = replace(job.record, created_at=self._wall())
        written = asyncio.Event()
        self._books.save(job.record, None, written.set)
        await written.wait()

    async def _find(self, job: Job) -> RemoteBatch | Creation | None:
        """Look for a job whose creation may have happened; None: it did not."""
        record = job.record
        intent = Intent(
            tag=record.tag,
            file_id=record.file_id,
            requests=record.requests,
            intended_at=record.created_at or record.intended_at,
            has_tag=self._provider.limits.has_tag,
        )
        looks, began = 0, self._clock()
        while True:
            listed = await self._provider.newest(intent.since)
            if isinstance(listed, ProviderError):
                if listed.outcome.is_stop:
                    self.refusal = listed
                    return "unclear"
                if not await self._waited(job, listed, "look-up"):
                    return "unclear"
                continue
            looks += 1
            is_late = self._clock() - began >= self._look_for_s
            verdict = reconcile(intent, listed, self._desk.known, looks, is_late=is_late)
            if isinstance(verdict, Adopt):
                trust = "" if verdict.is_proven else ", the only one it can be: its results will tell"
                self._on_news(job.name, f"found at the provider as {verdict.batch_id}{trust}")
                return next(seen for seen in listed if seen.id == verdict.batch_id)
            if isinstance(verdict, Hold):
                job.note = verdict.why
                return "held"
            if isinstance(verdict, NotThere):
                self._on_news(job.name, f"not there after {looks} looks: it may be created")
                return None
            await asyncio.sleep(max(self._poll_s, self._look_for_s / _LOOKS_IN_ALL))

    async def _waited(self, job: Job, error: ProviderError, what: str) -> bool:
        """Wait for better weather; False: it has been bad for longer than our patience."""
        job.failures += 1
        job.note = f"{what}: {error.error.message}"
        if _is_throttled(error) and self._jobs.has_others(job):
            self._patience.eased()  # it is our own jobs that fill the queue: they end
        elif self._patience.is_over(self._clock()):
            self.refusal = error
            return False
        await self.pause(job.failures, error.retry_after_s or 0.0)
        return True

    async def pause(self, failures: int, at_least_s: float = 0.0) -> None:
        """Wait as is fit after so many failures in a row."""
        own = backoff(failures, self._poll_s, self._rng)
        await asyncio.sleep(max(own, at_least_s))


def _is_throttled(error: ProviderError) -> bool:
    return error.error.http_status == 429


def _is_refused(error: ProviderError, failures: int) -> bool:
    """Whether waiting will not help."""
    if error.kind in ("dns", "certificate") and failures >= _MISTAKE_AFTER:
        return True
    status = error.error.http_status or 0
    is_own_fault = 400 <= status < 500 and status not in (404, 408, 409, 425, 429)
    return error.outcome.is_stop or error.is_final or is_own_fault
