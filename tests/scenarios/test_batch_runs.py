"""Whole runs by batch jobs: every id once, nothing bought twice, and back after any end of the process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from unittest.mock import ANY

import pytest
from batch_runs import PROVIDERS, batch_config, finishes, until_true
from whole_runs import Desk, each_once, simulator

from llmtop.config.loader import load_config
from llmtop.control.client import RemoteRun
from llmtop.control.launch import RunOptions, engine_here
from llmtop.control.opening import open_run
from llmtop.listing import ItemQuery
from llmtop.model import Command
from llmtop.run.job_rows import job_rows
from llmtop.submit import batch_receiving


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_every_item_comes_back_once_with_its_own_answer_at_half_the_price(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(100)
    async with simulator(batch_s=0.05, batch_speed=1.0) as server:
        config = batch_config(desk, server, kind)
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert all(each["via"] == "batch" and each["batch_id"] for each in desk.results())
        assert sum(server.books.batches_created.values()) == 3
        assert server.books.batches_twice == 0
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd


SAME_BATCH = [
    "create_lost_reset",
    "create_lost_500",
    "create_late",
    "create_reset",
    "create_500",
    "create_429",
]
ANY_END = [
    "upload_reset",
    "young_404",
    "listed_late",
    "failed",
    "expires",
    "back",
    "results_late",
    "results_cut",
]
OTHERS = ["results_short", "empty_error_id", "counts_off"]


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("trouble", SAME_BATCH + ANY_END + OTHERS)
async def test_no_trouble_of_a_job_loses_an_item_or_buys_one_twice(
    desk: Desk, kind: str, trouble: str
) -> None:
    ids = desk.items(24)
    settings = {"batch_s": 0.05, "batch_young_s": 0.05, "batch_late_s": 0.5, "batch_window_s": 0.4}
    async with simulator(batch_troubles={trouble: 1.0}, batch_trouble_first=1, **settings) as server:
        config = batch_config(desk, server, kind, provider={"timeout": 0.3, "connect_timeout": 0.2})
        run = await finishes(desk, config)
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        books = server.books
        assert books.batches_twice == 0
        assert books.batch_overlaps == 0
        assert max(books.served_ids.values()) == 1
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == books.billed_pusd


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_creation_whose_answer_was_lost_waits_for_a_list_that_is_late(desk: Desk, kind: str) -> None:
    ids = desk.items(24)
    troubles = {"create_lost_500": 1.0, "listed_late": 1.0}
    async with simulator(
        batch_troubles=troubles, batch_trouble_first=1, batch_s=0.05, batch_young_s=0.6
    ) as server:
        config = batch_config(desk, server, kind, batch={"look_for": "2s", "poll_interval": "20ms"})
        run = await finishes(desk, config)
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
        assert server.books.batches_twice == 0


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize(
    "trouble",
    ["http_429", "http_500", "null_content", "missing_usage", "duplicate", "conflicting", "unknown", "stuck"],
)
async def test_a_line_in_trouble_ends_once_and_good_lines_are_not_asked_again(
    desk: Desk, kind: str, trouble: str
) -> None:
    ids = desk.items(60)
    troubles = {"batch_lines": {trouble: 0.2}, "fault_tries": 1, "batch_window_s": 0.4}
    async with simulator(batch_s=0.02, **troubles) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1
        assert server.books.batches_twice == 0


async def test_lines_that_are_wrong_for_good_fail_with_their_reason(desk: Desk) -> None:
    ids = desk.items(30)
    async with simulator(batch_s=0.02, batch_lines={"http_400": 0.3}) as server:
        run = await finishes(desk, batch_config(desk, server))
        assert run.exit_code == 7
        assert desk.written_ids() == each_once(ids)
        failed = [each for each in desk.results() if each["status"] == "failed"]
        assert failed
        assert {each["error"]["type"] for each in failed} == {"bad_request"}
        assert sum(server.books.batches_created.values()) == 1


async def test_more_errors_than_are_kept_in_memory_keep_their_reasons_and_beat_no_good_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_receiving, "_ERRORS_AT_MOST", 5)
    ids = desk.items(200)
    async with simulator(batch_s=0.02, batch_lines={"http_400": 0.3, "length": 0.2}) as server:
        run = await finishes(desk, batch_config(desk, server, batch={"max_requests": 500}))
        assert run.exit_code == 7
        assert desk.written_ids() == each_once(ids)
        reasons = Counter((row["error"] or {"type": None})["type"] for row in desk.results())
        assert reasons == {None: server.books.batch_lines_served, "bad_request": ANY, "truncated": ANY}
        assert reasons["bad_request"] > 5 < reasons["truncated"]
        assert max(server.books.served_ids.values()) == 1
        assert server.books.batch_lines == 200


async def test_what_expired_is_finished_in_realtime_where_that_is_wanted(desk: Desk) -> None:
    ids = desk.items(24)
    async with simulator(batch_s=0.02, batch_window_s=0.2, batch_troubles={"expires": 1.0}) as server:
        run = await finishes(desk, batch_config(desk, server, batch={"spill": "realtime"}))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert {each["via"] for each in desk.results()} == {"batch", "realtime"}
        assert max(server.books.served_ids.values()) == 1
        assert sum(server.books.batches_created.values()) == 1


async def test_auto_takes_realtime_for_a_few_items_and_says_why(desk: Desk) -> None:
    desk.items(5)
    async with simulator() as server:
        run = await finishes(desk, batch_config(desk, server, execution={"mode": "auto"}))
        assert {each["via"] for each in desk.results()} == {"realtime"}
        assert any(made.what == "mode" and "5 items" in made.why for made in run.decisions)


async def test_jobs_that_are_open_hold_the_budget_over_a_restart_and_it_is_never_passed(desk: Desk) -> None:
    desk.items(60)
    async with simulator(batch_s=0.6) as server:
        config = batch_config(desk, server, budget={"max_cost": 0.0002}, batch={"max_requests": 10})
        async with desk.engine(config) as (run,):
            await until_true(lambda: server.books.batches_created["openai"] > 0)
            run.stop()
        async with desk.engine(config) as (run,):
            assert run.parts.accounts.budget.reserved > 0
            await run.settled()
            assert run.exit_code == 6
        assert server.books.billed_pusd <= 0.0002 * 10**12
        assert server.books.batches_twice == 0


async def test_a_run_that_is_cancelled_ends_its_jobs_at_the_provider(desk: Desk) -> None:
    desk.items(20)
    async with simulator(batch_s=60) as server:
        async with desk.engine(batch_config(desk, server)) as (run,):
            await until_true(lambda: any(job.record.batch_id for job in run.parts.batches.jobs))
            said = await run.command(Command("cancel", "someone@here"))
            assert said.is_ok
            await run.settled()
            assert run.exit_code == 8
        assert desk.rows("SELECT state FROM batches") == [("retrieved",)]
        assert server.books.batch_lines_undone == 20
        assert server.books.batches_created == {"openai": 1}


_CRASH = """
import asyncio, os, sys
from pathlib import Path
from llmtop.adapters.home import Home
from llmtop.adapters.providers.batches import {provider} as Jobs
from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.books import LedgerJobBooks
from llmtop.run.opened import StartOptions

where = sys.argv[2]
die = lambda: os._exit(137)

def before(name):
    async def dead(self, *rest):
        die()
    setattr(Jobs, name, dead)

if where in ("upload", "create", "get"):
    before(where)
elif where == "created":
    kept = Jobs.create
    async def created(self, *rest):
        await kept(self, *rest)
        die()
    Jobs.create = created
elif where in ("fetch", "half"):
    kept = Jobs.fetch
    async def fetch(self, batch):
        seen = 0
        async for line in kept(self, batch):
            if where == "fetch" or seen == 300:
                await asyncio.sleep(0.1)
                die()
            seen += 1
            yield line
    Jobs.fetch = fetch
elif where == "commit":
    kept = LedgerJobBooks.save
    def save(self, record, *rest):
        if record.over_at is not None:
            die()
        kept(self, record, *rest)
    LedgerJobBooks.save = save

async def main():
    async with Engine(Home.open(Path(os.environ["LLMTOP_HOME"]), {{}}), environ=os.environ) as engine:
        await engine.open(load_config(Path(sys.argv[1])), StartOptions())
        engine.start()
        await engine.settled()

asyncio.run(main())
"""
_NAMES = {"openai": "OpenAIBatches", "anthropic": "AnthropicBatches", "gemini": "GeminiBatches"}


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("where", ["upload", "create", "created", "get", "fetch", "half", "commit"])
async def test_a_process_that_dies_between_two_steps_finds_its_job_again(
    desk: Desk, kind: str, where: str
) -> None:
    ids = desk.items(450)
    async with simulator(batch_s=0.05) as server:
        config = batch_config(desk, server, kind, batch={"max_requests": 1000})
        script = _CRASH.format(provider=_NAMES[kind])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(config), where, env=desk.environ, cwd=desk.folder
        )
        assert await process.wait() == 137
        run = await finishes(desk, config)
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
        assert server.books.batches_twice == 0
        assert max(server.books.served_ids.values()) == 1
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd
        assert server.books.batch_uploads == (0 if kind == "anthropic" else 1)
        assert desk.rows("SELECT state FROM batches") == [("retrieved",)]


async def test_the_list_of_jobs_shows_state_counts_and_cost_and_takes_commands(desk: Desk) -> None:
    desk.items(50)
    async with simulator(batch_s=0.02) as server:
        config = batch_config(desk, server)
        await finishes(desk, config)
        said = await desk.llmtop("batches", "job", "--json")
        assert [each["state"] for each in said.data["batches"]] == ["retrieved", "retrieved"]
        assert sum(each["retrieved"] for each in said.data["batches"]) == 50
        assert all(float(each["cost_usd"]) > 0 for each in said.data["batches"])
        shown = await desk.llmtop("batches", "job")
        assert (shown.code, shown.out.count("retrieved")) == (0, 2)
        refused = await desk.llmtop("batches", "job", "--look-up", "1")
        assert refused.code == 2
        assert "Traceback" not in refused.err


async def test_a_screen_sees_a_job_with_its_items_and_steers_it_and_sees_it_again_at_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.items(60)
    monkeypatch.setattr(os, "environ", os.environ | desk.environ)
    async with simulator(batch_s=0.05, batch_line_s=0.02, batch_lines={"http_400": 0.3}) as server:
        config = batch_config(desk, server, batch={"max_requests": 30})
        async with engine_here(desk.home, load_config(config), RunOptions()) as engine:
            door = await open_run(desk.home, "latest")
            assert isinstance(door, RemoteRun)
            first = await door.snapshot()
            while len(first.rows) < 2 or not all(row.items_done for row in first.rows):
                first = await door.snapshot()
            at_first = await door.items(ItemQuery(of_row="b0002", limit=100))
            looked = await door.command(Command("look_up", "a@b", {"job": "b0002"}))
            unknown = await door.command(Command("cancel_job", "a@b", {"job": "9"}))
            await engine.wait()
            last, detail = await door.snapshot(), await door.job(2)
            nobodys = await door.job(3)
            failed = await door.items(ItemQuery(states=("failed",), of_row="b0002", limit=100))
            await door.close()
        at_rest = await open_run(desk.home, "latest")
        rested, rested_detail = await at_rest.snapshot(), await at_rest.job(2)
        await at_rest.close()

    assert first.state == "waiting"
    assert first.state_detail.startswith("2 jobs, ")
    assert "next look in" in first.state_detail
    row = first.rows[1]
    assert row.job is not None
    assert (row.key, row.state, row.items, row.job.full_pusd) == ("b0002", "in progress", 30, None)
    assert 0 < (row.job.at_most_pusd or 0) < row.job.reserved_pusd
    assert row.job.per_min is not None
    assert row.job.uploaded_at is not None
    assert [each.id for each in at_first.rows] == [f"m-{seq}" for seq in range(30, 60)]
    assert (looked.is_ok, unknown.is_ok) == (True, False)
    assert "b0002" in unknown.message
    assert detail is not None
    assert detail.outcomes[0].name == "bad_request"
    assert detail.counts.failed == detail.outcomes[0].count == len(failed.rows) > 0
    assert detail.counts.total == 30
    assert nobodys is None
    assert last.batches.over == rested.batches.over == 2
    assert last.batches.full_pusd == rested.batches.full_pusd == 2 * last.cost.spent_pusd
    assert last.latency.batch.p50 is not None
    assert rested.latency.batch.p50 is not None
    assert {each.key: each.job and each.job.full_pusd for each in last.rows} == {
        each.key: each.job and each.job.full_pusd for each in rested.rows
    }
    assert rested_detail == detail


async def test_a_job_that_was_cancelled_keeps_what_was_done_and_the_rest_is_asked_again(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(batch_s=0.02, batch_line_s=0.05, batch_cancelling_s=0.05) as server:
        config = batch_config(desk, server)
        async with desk.engine(config) as (run,):
            jobs = run.parts.batches
            assert jobs is not None
            await until_true(lambda: bool(jobs.jobs) and (jobs.jobs[0].record.done or 0) > 2)
            said = await run.command(Command("cancel_job", "a@b", {"job": "1"}))
            await until_true(lambda: bool(jobs.over))
            row = job_rows(jobs, run.wall(), 0.5)[-1]
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1

    assert (said.is_ok, said.message) == (True, "cancel job 1: what is done is kept")
    assert 0 < row.items_done < 40
    assert row.note == f"{40 - row.items_done} items were not done in it"


async def test_jobs_of_an_earlier_process_stay_in_sight(desk: Desk) -> None:
    desk.items(3)
    async with simulator(batch_s=0.05) as server:
        config = batch_config(desk, server, batch={"max_requests": 10, "max_enqueued_tokens": 1})
        async with desk.engine(config) as (run,):
            before = run.parts.batches
            assert before is not None
            await until_true(lambda: len(before.over) == 1)
            run.stop()
        async with desk.engine(config) as (run,):
            now = run.parts.batches
            assert now is not None
            assert now.over[0].record.number == 1
            assert run.parts.meters.latency(run.clock()).batch.p50 is not None
            await run.settled()
            assert [row.key for row in job_rows(now, run.wall(), 0.5)] == ["b0003", "b0002", "b0001"]


async def test_jobs_that_are_open_are_awaited_by_a_run_that_now_goes_in_realtime(desk: Desk) -> None:
    ids = desk.items(30)
    async with simulator(batch_s=0.6) as server:
        config = batch_config(desk, server, batch={"max_requests": 10})
        async with desk.engine(config) as (run,):
            await until_true(lambda: server.books.batches_created["openai"] > 0)
            run.stop()
        config = batch_config(desk, server, execution={"mode": "realtime"}, batch={"spill": "both"})
        run = await finishes(desk, config)
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1
        assert "batch" in {each["via"] for each in desk.results()}


async def test_a_pause_makes_no_new_jobs_and_those_at_the_provider_go_on(desk: Desk) -> None:
    ids = desk.items(4)
    async with simulator(batch_s=0.2) as server:
        config = batch_config(desk, server, batch={"max_requests": 10, "max_enqueued_tokens": 1})
        async with desk.engine(config) as (run,):
            await until_true(lambda: server.books.batches_created["openai"] == 1)
            assert (await run.command(Command("pause", "someone@here"))).is_ok
            await until_true(lambda: run.counts.done > 0)
            made = server.books.batches_created["openai"]
            await asyncio.sleep(0.3)
            assert server.books.batches_created["openai"] == made < 4
            assert (await run.command(Command("resume", "someone@here"))).is_ok
            async with asyncio.timeout(20):
                await run.settled()
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1


async def test_what_realtime_is_throttled_for_goes_into_jobs_where_that_is_wanted(desk: Desk) -> None:
    ids = desk.items(20)
    async with simulator(batch_s=0.05, requests_per_second=0.001, burst=1) as server:
        config = batch_config(
            desk,
            server,
            execution={"mode": "realtime"},
            batch={"spill": "both"},
            retry={"give_up_throttled_after": "200ms", "max_wait": "50ms"},
        )
        run = await finishes(desk, config)
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert "batch" in {each["via"] for each in desk.results()}
        assert max(server.books.served_ids.values()) == 1
