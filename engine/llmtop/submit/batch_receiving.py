"""The results of a job, read line by line: some hundred at a time in memory.

A good answer is taken as it comes. An error is kept until the results have been read, since a good
answer may still follow; where there are too many errors to keep, they are read once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import groupby

from llmtop.batch_jobs import BatchProvider, FetchBroken, OpenLine, RemoteBatch, StrayLine
from llmtop.model import ItemError, Outcome, ProviderError, Reply
from llmtop.submit.batch_settling import LineSettler
from llmtop.submit.batch_work import Job, JobBooks, is_of

_LINES_AT_A_TIME = 200
_ERRORS_AT_MOST = 1000
"""Errors of a job that are kept in memory."""


class BatchReceiver:
    """Takes the results of jobs. A line that the ledger has settled before is passed over."""

    def __init__(self, *, provider: BatchProvider, books: JobBooks, settler: LineSettler) -> None:
        self._provider = provider
        self._books = books
        self._settler = settler

    async def read(self, job: Job, remote: RemoteBatch, *, takes_errors: bool = False) -> int:
        """Take the good lines of a job's results; return how many of its own lines there were.

        Errors are kept in `job.errors`, and named in `job.more_errors` where there are too many;
        `takes_errors`: no good answer will follow, they are taken too. Raises FetchBroken.
        """
        chunk: dict[str, Reply] = {}
        own = 0
        try:
            async for line in self._provider.fetch(remote):
                if isinstance(line, StrayLine):
                    continue
                custom_id, reply = line.custom_id, line.reply
                if not is_of(job.record.tag, custom_id):
                    job.strangers += 1
                    continue
                own += 1
                if custom_id in job.settled or custom_id in chunk:
                    continue
                if isinstance(reply, ProviderError) and not takes_errors:
                    _keep(job, custom_id, reply)
                    continue
                chunk[custom_id] = reply
                if len(chunk) >= _LINES_AT_A_TIME:
                    taken, chunk = chunk, {}
                    await self._take(job, taken)
        except FetchBroken:
            await self._take(job, chunk)  # what came before the cut is good
            raise
        await self._take(job, chunk)
        return own

    def missing(self, job: Job) -> int:
        """Count the requests of a job that its results said nothing of so far."""
        return sum(
            custom_id not in job.errors and custom_id not in job.more_errors
            for ids in self._unsettled(job)
            for custom_id in ids
        )

    async def close(self, job: Job, absent: ProviderError) -> None:
        """Settle what has no good answer: by its error, or by `absent` where the results do not have it."""
        for ids in self._unsettled(job):
            await self._take(job, {custom_id: job.errors.get(custom_id, absent) for custom_id in ids})

    def _unsettled(self, job: Job) -> Iterator[list[str]]:
        after = ""
        while page := self._books.open_ids(job.record.number, after, _LINES_AT_A_TIME):
            after = page[-1]
            yield [custom_id for custom_id in page if custom_id not in job.settled]

    async def _take(self, job: Job, chunk: Mapping[str, Reply]) -> None:
        """Settle these requests, as far as they are open."""
        if not chunk:
            return
        lines = self._books.open_lines(job.record.number, sorted(chunk))
        for custom_id, items in groupby(lines, key=_custom_id):
            await self._settler.settle(job, list(items), chunk[custom_id])
        await self._settler.has_room()
        await asyncio.sleep(0)


def gone(message: str) -> ProviderError:
    """A request whose answer is lost: it may have been billed."""
    return ProviderError(error=ItemError("server_error", message), outcome=Outcome.FAULT)


def unbilled(error: ItemError) -> ProviderError:
    """A request that its job ended without."""
    return ProviderError(error=error, outcome=Outcome.FAULT, is_sent=False)


def _keep(job: Job, custom_id: str, error: ProviderError) -> None:
    if custom_id in job.errors or custom_id in job.more_errors:
        return
    if len(job.errors) < _ERRORS_AT_MOST:
        job.errors[custom_id] = error
    else:
        job.more_errors.add(custom_id)


def _custom_id(line: OpenLine) -> str:
    return line.custom_id
