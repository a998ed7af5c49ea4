"""Several configurations in one process: all jobs are made first, and then waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from batch_runs import JOBS, PROVIDERS, batch_config
from whole_runs import Desk, each_once, simulator


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("slow", ["get", "fetch"])
async def test_no_look_and_no_fetch_of_a_job_keeps_another_from_being_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str, slow: str
) -> None:
    ids = desk.items(30)
    all_made, made = asyncio.Event(), 0
    real = JOBS[kind]
    kept_create, kept_get, kept_fetch = real.create, real.get, real.fetch

    async def create(self: Any, *rest: Any) -> Any:
        nonlocal made
        said = await kept_create(self, *rest)
        made += 1
        if made == 9:
            all_made.set()
        return said

    async def get(self: Any, batch_id: str) -> Any:
        if slow == "get":
            await all_made.wait()
        return await kept_get(self, batch_id)

    async def fetch(self: Any, batch: Any) -> AsyncIterator[Any]:
        await all_made.wait()
        async for line in kept_fetch(self, batch):
            yield line

    for name, stand_in in {"create": create, "get": get, "fetch": fetch}.items():
        monkeypatch.setattr(real, name, stand_in)
    async with simulator(batch_s=0.01) as server:
        configs = [
            batch_config(
                desk, server, kind, f"c{number}",
                provider={"model": f"sim-{number}"},
                batch={"max_requests": 10},
                output={"path": f"c{number}.jsonl"},
            )
            for number in range(3)
        ]  # fmt: skip
        async with desk.engine(*configs) as runs, asyncio.timeout(20):
            for run in runs:
                await run.settled()
            assert [run.exit_code for run in runs] == [0, 0, 0]
        for number in range(3):
            assert desk.written_ids(desk.folder / f"c{number}.jsonl") == each_once(ids)
        assert sum(server.books.batches_created.values()) == 9
        assert server.books.batches_twice == 0
