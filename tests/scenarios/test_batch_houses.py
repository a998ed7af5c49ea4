"""Whole runs by batch jobs of the servers that speak OpenAI's format, each with its own ways."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider
from llmtop.model import Command
from llmtop.run.run import Run

HOUSES = {
    "azure": "/azure/openai/v1",
    "groq": "/groq/openai/v1",
    "together": "/together/v1",
    "mistral": "/mistral/v1",
}


@pytest.fixture(params=HOUSES)
def house(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_for(desk: Desk, server: SimulatedProvider, house: str, **tables: Any) -> Path:
    """Write a config that goes by batch jobs of 40 items to a server with the ways of `house`."""
    base = server.root_url + HOUSES[house]
    given: dict[str, dict[str, Any]] = {
        "provider": {"server": house, "timeout": 3},
        "execution": {"mode": "batch"},
        "batch": {"look_for": "0s", "poll_interval": "20ms", "max_requests": 40},
        "prices": {"batch_discount": 0.5},
    }
    for name, values in tables.items():
        given[name] = {**given.get(name, {}), **values}
    path: Path = desk.config(base, **given)
    return path


async def finishes(desk: Desk, config: Path) -> Run:
    run: Run
    async with desk.engine(config) as (run,), asyncio.timeout(30):
        await run.settled()
        return run


async def test_every_item_comes_back_once_at_half_the_price(desk: Desk, house: str) -> None:
    ids = desk.items(100)
    async with simulator(batch_s=0.05) as server:
        run = await finishes(desk, config_for(desk, server, house))
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        assert server.books.batches_created == {house: 3}
        assert server.books.batches_twice == 0
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd


@pytest.mark.parametrize(
    "trouble", ["create_lost_reset", "create_lost_500", "create_late", "failed", "expires", "upload_reset"]
)
async def test_no_trouble_loses_an_item_or_buys_one_twice(desk: Desk, house: str, trouble: str) -> None:
    ids = desk.items(24)
    settings = {"batch_s": 0.05, "batch_late_s": 0.5, "batch_window_s": 0.4}
    async with simulator(batch_troubles={trouble: 1.0}, batch_trouble_first=1, **settings) as server:
        config = config_for(desk, server, house, provider={"timeout": 0.3, "connect_timeout": 0.2})
        run = await finishes(desk, config)
        books = server.books
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        assert (books.batches_twice, books.batch_overlaps) == (0, 0)
        assert max(books.served_ids.values()) == 1
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == books.billed_pusd


async def test_lines_that_fail_are_named_and_asked_again_where_that_can_help(desk: Desk, house: str) -> None:
    ids = desk.items(60)
    lines = {"http_400": 0.2, "http_429": 0.1, "http_500": 0.1, "no_status": 0.1}
    async with simulator(batch_s=0.02, batch_lines=lines, fault_tries=1) as server:
        run = await finishes(desk, config_for(desk, server, house))
        failed = [each for each in desk.results() if each["status"] == "failed"]
        assert run.exit_code == 7
        assert desk.written_ids() == each_once(ids)
        assert {each["error"]["type"] for each in failed} == {"bad_request"}
        assert max(server.books.served_ids.values()) == 1
        assert server.books.batches_twice == 0


async def test_a_run_that_is_cancelled_ends_its_jobs_at_the_provider(desk: Desk, house: str) -> None:
    desk.items(30)
    async with simulator(batch_s=0.2, batch_line_s=10.0) as server:
        async with desk.engine(config_for(desk, server, house)) as (run,), asyncio.timeout(30):
            while not desk.rows("SELECT 1 FROM batches WHERE batch_id IS NOT NULL"):
                await asyncio.sleep(0.01)
            await run.command(Command("cancel", "someone@here"))
            await run.settled()
        path = f"{HOUSES[house]}/batch/jobs" if house == "mistral" else f"{HOUSES[house]}/batches"
        async with aiohttp.ClientSession() as session, session.get(server.root_url + path) as answer:
            page = await answer.json()
        (job,) = page if isinstance(page, list) else page["data"]
        assert job["status"].lower() == "cancelled"


async def test_azure_is_given_the_time_that_it_takes_to_look_at_a_file(desk: Desk) -> None:
    ids = desk.items(5)
    async with simulator(batch_s=0.02, batch_file_s=0.3) as server:
        run = await finishes(desk, config_for(desk, server, "azure"))
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        assert (server.books.batches_created, server.books.batch_uploads) == ({"azure": 1}, 1)


@pytest.mark.parametrize("house", ["together", "mistral"], indirect=True)
async def test_a_job_whose_process_was_killed_before_the_answer_is_found_again(
    desk: Desk, house: str
) -> None:
    ids = desk.items(8)
    settings = {"batch_troubles": {"create_late": 1.0}, "batch_trouble_first": 1, "batch_late_s": 30.0}
    async with simulator(batch_s=0.05, **settings) as server:
        config = config_for(desk, server, house, provider={"timeout": 60})
        process = await desk.started("run", config, "--display", "plain")
        async with asyncio.timeout(30):
            while not server.books.batches_created:
                assert process.returncode is None
                await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        run = await finishes(desk, config)
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        assert server.books.batches_created == {house: 1}
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd
