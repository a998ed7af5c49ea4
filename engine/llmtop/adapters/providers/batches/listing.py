"""What all batch jobs have in common: reading one, the newest of many pages, and the lines of results."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from llmtop.adapters.providers.batches.wire import BatchWire, Reads, refused, result_lines, table_of
from llmtop.batch_jobs import LineReply, RemoteBatch, StrayLine
from llmtop.model import ProviderError, RawReply

_MOST_PAGES = 100

ReadJob = Callable[[object], RemoteBatch | None]
"""Reads what a provider shows of a job; None: it is none."""
ReadLine = Callable[[Mapping[str, Any], int, float], LineReply | StrayLine]
"""Reads one line of the results: the line, its number, and now in epoch seconds."""


class Page(NamedTuple):
    """One page of a list of jobs, newest first."""

    rows: Sequence[object]
    following: Mapping[str, Any] | None
    """What to ask for the next page; None: this was the last."""


def job_of(reads: Reads, raw: RawReply | ProviderError, read: ReadJob) -> RemoteBatch | ProviderError:
    """Return the job of an answer, or why there is none."""
    if isinstance(raw, ProviderError):
        return raw
    return read(table_of(raw)) or refused(reads, raw, time.time())


async def newest_jobs(
    wire: BatchWire,
    reads: Reads,
    path: str,
    query: Mapping[str, Any],
    page_of: Callable[[RawReply], Page | None],
    read: ReadJob,
    since: float,
    headers: Mapping[str, str] | None = None,
) -> tuple[RemoteBatch, ...] | ProviderError:
    """Return the jobs that were created at `since` (epoch seconds) or later, page by page, newest first."""
    found: list[RemoteBatch] = []
    following: Mapping[str, Any] = {}
    for _ in range(_MOST_PAGES):
        asked = {**query, **following}
        raw = await wire.call("GET", f"{path}?{urlencode(asked)}" if asked else path, b"", headers)
        if isinstance(raw, ProviderError):
            return raw
        page = page_of(raw)
        if page is None:
            return refused(reads, raw, time.time())
        jobs = [job for row in page.rows if (job := read(row)) is not None]
        found += [job for job in jobs if (job.created_at or since) >= since]
        if page.following is None or not jobs or (jobs[-1].created_at or since) < since:
            break
        following = page.following
    return tuple(found)


async def replies(
    wire: BatchWire,
    reads: Reads,
    paths: Sequence[str],
    read_line: ReadLine,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[LineReply | StrayLine]:
    """Yield the lines of all files of results, one in memory at a time. Raises FetchBroken."""
    for path in paths:
        number, now = 0, time.time()
        async for row in result_lines(wire, reads, path, now, headers):
            number += 1
            yield row if isinstance(row, StrayLine) else read_line(row, number, now)
