"""Several configurations in one process: all jobs are made first, and then waited for."""

from __future__ import annotations

import asyncio
import sys
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


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_creation_that_is_refused_for_now_does_not_hold_up_those_of_other_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    desk.items(10)
    kept, tags = JOBS[kind].create, list[str]()

    async def create(self: Any, job: Any, file_id: Any, tag: str) -> Any:
        tags.append(tag)
        return await kept(self, job, file_id, tag)

    monkeypatch.setattr(JOBS[kind], "create", create)
    async with simulator(batch_s=0.01, batch_troubles={"create_429": 1.0}, batch_trouble_first=1) as server:
        configs = [
            batch_config(
                desk, server, kind, name,
                batch={"poll_interval": "500ms"},
                output={"path": f"{name}.jsonl"},
            )
            for name in ("c0", "c1", "c2")
        ]  # fmt: skip
        async with desk.engine(*configs) as runs, asyncio.timeout(20):
            for run in runs:
                await run.settled()
            assert [run.exit_code for run in runs] == [0, 0, 0]
        assert len(tags) == 4
        assert tags[0] == tags[3]  # the others went first while it waited


_DIES_AT_THE_FIRST = """
import asyncio, os, sys
from pathlib import Path
from llmtop.adapters.home import Home
from llmtop.adapters.providers.batches import AnthropicBatches
from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.opened import StartOptions

kept = AnthropicBatches.create

async def create(self, *rest):
    await kept(self, *rest)
    await asyncio.sleep(0.3)  # the others have written down what they are about to do
    os._exit(137)

AnthropicBatches.create = create

async def main():
    async with Engine(Home.open(Path(os.environ["LLMTOP_HOME"]), {}), environ=os.environ) as engine:
        await engine.open([run for path in sys.argv[1:] for run in load_config(Path(path))], StartOptions())
        engine.start()
        await engine.settled()

asyncio.run(main())
"""


async def test_a_killed_sweep_never_takes_the_job_of_one_run_for_that_of_another(desk: Desk) -> None:
    ids = desk.items(30)
    async with simulator(batch_s=0.05) as server:
        configs = [
            batch_config(desk, server, "anthropic", name, output={"path": f"{name}.jsonl"})
            for name in ("c0", "c1", "c2")
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _DIES_AT_THE_FIRST, *map(str, configs), env=desk.environ, cwd=desk.folder
        )
        assert await process.wait() == 137
        # The one that has a job goes last: the others find one in the list that could be theirs, and is not.
        begun = {config: desk.rows("SELECT created_at FROM batches", config.stem)[0][0] for config in configs}
        configs.sort(key=lambda config: begun[config] is not None)
        async with desk.engine(*configs) as runs, asyncio.timeout(20):
            for run in runs:
                await run.settled()
            assert [run.exit_code for run in runs] == [0, 0, 0]
        for config in configs:
            assert desk.written_ids(desk.folder / f"{config.stem}.jsonl") == each_once(ids)
        assert server.books.batches_created == {"anthropic": 3}
