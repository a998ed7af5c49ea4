"""Following a batch job: when it is looked at, and what an operator may ask of it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from llmtop.batch_jobs import BatchRecord, RemoteBatch
from llmtop.model import ItemError, Outcome, ProviderError
from llmtop.submit.batch_following import Follower
from llmtop.submit.batch_work import Job, JobList

NEVER_S = 1e6


class Provider:
    """A job that goes on for ever, whose end is refused."""

    def __init__(self) -> None:
        self.looks = self.cancels = 0

    async def get(self, batch_id: str) -> RemoteBatch:
        self.looks += 1
        return RemoteBatch(batch_id, "in_progress", "in_progress", requests=10, done=4, failed=0)

    async def cancel(self, batch_id: str) -> ProviderError:
        self.cancels += 1
        return ProviderError(error=ItemError("server_error", "no", 500), outcome=Outcome.FAULT)


class Books:
    """Takes everything."""

    def save(self, *_: Any) -> None:
        return


def a_job() -> Job:
    record = BatchRecord(
        number=1, tag="lt-1", state="in_progress", model="m", requests=10, input_bytes=1, input_sha256="",
        tokens=1, reserved_pusd=0, intended_at=1.0, batch_id="b-1", created_at=1.0,
    )  # fmt: skip
    return Job(record, Path("gone"))


def follower(provider: Provider, news: list[str], deadline_at: float | None = None) -> Follower:
    return Follower(
        jobs=JobList(),
        provider=provider,  # type: ignore[arg-type]  # what following needs of it
        books=Books(),  # type: ignore[arg-type]
        receiver=None,  # type: ignore[arg-type]  # nothing ends here
        poll_interval_s=NEVER_S,
        deadline_at=deadline_at,
        rng=random.Random(1),
        on_halt=lambda _: None,
        on_news=lambda _, text: news.append(text),
        on_retrieved=lambda _: None,
        wall=lambda: 100.0,
    )


async def passed() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_an_end_that_the_provider_refuses_is_asked_for_once_a_look_and_said() -> None:
    provider, job, news = Provider(), a_job(), list[str]()
    task = asyncio.create_task(follower(provider, news).follow(job))
    await passed()
    job.is_cancel_wanted = True
    job.wake.set()
    await passed()

    assert (provider.looks, provider.cancels) == (2, 1)
    assert job.is_cancel_wanted
    assert news == ["its end is asked for, and refused: no"]
    task.cancel()


async def test_a_deadline_that_has_passed_does_not_make_the_looks_come_without_a_pause() -> None:
    provider, job = Provider(), a_job()
    task = asyncio.create_task(follower(provider, [], deadline_at=50.0).follow(job))
    await passed()

    assert (provider.looks, provider.cancels) == (1, 1)
    task.cancel()


async def test_who_wants_a_job_looked_at_now_gets_one_look() -> None:
    provider, job = Provider(), a_job()
    task = asyncio.create_task(follower(provider, []).follow(job))
    await passed()
    assert provider.looks == 1
    job.wake.set()
    await passed()

    assert provider.looks == 2
    task.cancel()
