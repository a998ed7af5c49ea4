"""Troubles of lines, queues and results that a whole run by batch jobs lives through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from batch_runs import JOBS, PROVIDERS, batch_config, finishes, jobs_of, until_true
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider
from llmtop.batch_jobs import FetchBroken
from llmtop.model import Command, ItemError, Outcome, ProviderError
from llmtop.policy import batching
from llmtop.run.opened import StartOptions


def is_each_its_own(results: list[dict[str, Any]]) -> bool:
    """Whether each answer names its own item, as the simulator's do."""
    return all(f"(id {each['id']}, " in each["output"] for each in results if each["status"] == "done")


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("trouble", ["refusal", "content_filter", "length"])
async def test_a_line_whose_answer_is_refused_or_cut_fails_with_its_reason_and_is_paid_once(
    desk: Desk, kind: str, trouble: str
) -> None:
    ids = desk.items(40)
    async with simulator(batch_s=0.02, batch_lines={trouble: 0.3}, fault_tries=1) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        results = desk.results()
        assert run.exit_code == 7
        assert desk.written_ids() == each_once(ids)
        assert is_each_its_own(results)
        types = {each["error"]["type"] for each in results if each["status"] == "failed"}
        assert types <= ({"truncated"} if trouble == "length" else {"refusal", "content_filter"})
        assert sum(server.books.batches_created.values()) == 1
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("trouble", ["missing", "malformed"])
async def test_a_line_that_is_not_in_the_results_is_asked_again_and_listed_as_possibly_billed(
    desk: Desk, kind: str, trouble: str
) -> None:
    ids = desk.items(40)
    async with simulator(batch_s=0.02, batch_lines={trouble: 0.3}, fault_tries=1) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        lost = server.books.batch_lines - len(ids)
        assert run.exit_code == 0
        assert lost > 0
        assert desk.written_ids() == each_once(ids)
        assert is_each_its_own(desk.results())
        assert max(server.books.served_ids.values()) == 1
        assert sum(server.books.batches_created.values()) == 2
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(lost,)]


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_slow_validation_and_a_slow_end_are_waited_for(desk: Desk, kind: str) -> None:
    ids = desk.items(20)
    slow = {"batch_validating_s": 0.2, "batch_finalizing_s": 0.2, "batch_s": 0.02}
    async with simulator(**slow) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_what_was_not_done_when_a_job_expired_is_not_billed_and_asked_again(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(24)
    troubles = {"batch_troubles": {"expires": 1.0}, "batch_trouble_first": 1, "batch_window_s": 0.4}
    async with simulator(batch_s=0.05, **troubles) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_results_that_vanished_are_asked_again_and_listed_as_possibly_billed(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(20)
    async with simulator(batch_s=0.02, batch_retention_s=0.001) as server:
        async with desk.engine(batch_config(desk, server, kind)) as (run,), asyncio.timeout(20):
            await until_true(lambda: len(jobs_of(run).over) > 0)
            server.change({"batch_retention_s": 0})
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts")[0][0] % 20 == 0
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts")[0][0] > 0
        assert server.books.batch_overlaps == 0


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_job_that_the_provider_forgets_is_given_up_after_a_while_and_asked_again(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_LOST_AFTER_S", 0.1)
    ids = desk.items(10)
    async with simulator(batch_s=0.2) as server:
        async with desk.engine(batch_config(desk, server, kind)) as (run,), asyncio.timeout(20):
            await until_true(lambda: any(job.record.batch_id for job in jobs_of(run).jobs))
            server.reset()
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(10,)]
        assert sum(server.books.batches_created.values()) == 1  # since it forgot


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_results_that_an_outage_keeps_back_are_waited_for_and_not_bought_again(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_LOST_AFTER_S", 0.1)
    ids = desk.items(10)
    kept, failures = JOBS[kind].fetch, 0

    async def fetch(self: Any, batch: Any) -> AsyncIterator[Any]:
        nonlocal failures
        failures += 1
        if failures <= 5:
            raise FetchBroken(
                ProviderError(error=ItemError("server_error", "down", 503), outcome=Outcome.FAULT)
            )
        async for line in kept(self, batch):
            yield line

    monkeypatch.setattr(JOBS[kind], "fetch", fetch)
    async with simulator(batch_s=0.02) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]


# -- who may not ask any more ------------------------------------------------------------------


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_key_that_is_refused_while_jobs_are_out_ends_the_run_and_they_are_found_again(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(20)
    async with simulator(batch_s=0.3) as server:
        config = batch_config(desk, server, kind)
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await until_true(lambda: any(job.record.batch_id for job in jobs_of(run).jobs))
            server.change({"require_key": "sk-another"})
            await run.settled()
            assert run.exit_code == 3
        server.change({"require_key": ""})
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("step", ["fetch", "newest"])
async def test_a_refusal_in_the_middle_of_a_step_loses_nothing_and_makes_nothing_twice(
    desk: Desk, kind: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.items(20)
    troubles = {"create_lost_500": 1.0} if step == "newest" else {}
    async with simulator(batch_s=0.05, batch_troubles=troubles, batch_trouble_first=1) as server:
        refuse_at(monkeypatch, kind, step, server)
        config = batch_config(desk, server, kind)
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await run.settled()
            assert run.exit_code == 3
        server.change({"require_key": ""})
        monkeypatch.undo()
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]


def refuse_at(monkeypatch: pytest.MonkeyPatch, kind: str, step: str, server: SimulatedProvider) -> None:
    """Let the provider refuse the key from a step on."""
    real = JOBS[kind]
    kept = getattr(real, step)

    async def fetch(self: Any, batch: Any) -> AsyncIterator[Any]:
        server.change({"require_key": "sk-another"})
        async for line in kept(self, batch):
            yield line

    async def newest(self: Any, since: float) -> Any:
        server.change({"require_key": "sk-another"})
        return await kept(self, since)

    monkeypatch.setattr(real, step, {"fetch": fetch, "newest": newest}[step])


# -- where nothing tells whose job it is -------------------------------------------------------


async def stranger(server: SimulatedProvider, requests: int) -> str:
    """Create a job of another program with the same key, of so many requests; return its id."""
    params = {"model": "sim-small", "max_tokens": 50, "messages": [{"role": "user", "content": "Snow"}]}
    body = {"requests": [{"custom_id": f"other-{n}", "params": params} for n in range(requests)]}
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "sk-simulated-1234"}
    address = f"{server.root_url}/v1/messages/batches"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(address, json=body) as said:
        return str((await said.json())["id"])


async def test_a_stranger_of_the_same_size_is_taken_on_trust_and_let_go_when_its_results_tell(
    desk: Desk,
) -> None:
    ids = desk.items(12)
    troubles = {"batch_troubles": {"create_reset": 1.0}, "batch_trouble_first": 2}
    async with simulator(batch_s=0.05, **troubles) as server:
        server.change({"batch_troubles": {}})
        await stranger(server, 12)
        server.change({"batch_troubles": {"create_reset": 1.0}})
        config = batch_config(desk, server, "anthropic")
        async with desk.engine(config) as (run,):
            await until_true(lambda: any(job.record.batch_id for job in jobs_of(run).jobs))
            run.stop_now()  # what was on trust must not be taken for proven by the next process
        run = await finishes(desk, config)
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert is_each_its_own(desk.results())
        assert server.books.batches_created == {"anthropic": 2}
        assert max(server.books.served_ids[each] for each in ids) == 1
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]


async def delete(server: SimulatedProvider, batch_id: str) -> None:
    """Take a job away, as its owner would."""
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "sk-simulated-1234"}
    address = f"{server.root_url}/v1/messages/batches/{batch_id}"
    async with aiohttp.ClientSession(headers=headers) as session, session.delete(address) as said:
        assert said.status == 200


@pytest.mark.parametrize("way", ["look-up", "the same command"])
async def test_a_job_that_two_could_be_is_held_while_the_others_go_on_until_a_person_has_seen_to_it(
    desk: Desk, way: str
) -> None:
    ids = desk.items(22)
    async with simulator(batch_s=0.3) as server:
        other = await stranger(server, 12)
        server.change({"batch_troubles": {"create_lost_reset": 1.0}, "batch_trouble_first": 2})
        config = batch_config(desk, server, "anthropic", batch={"max_requests": 12})
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await run.settled()
            assert run.exit_code == 3
            assert "the same command" in str(run.standing.halt)
            assert run.counts.done == 10
            await delete(server, other)
            if way == "look-up":
                assert (await run.command(Command("look_up", "someone@here", values={"job": "1"}))).is_ok
                await until_true(lambda: run.counts.pending == 0)
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.batches_created == {"anthropic": 3}
        assert max(server.books.served_ids[each] for each in ids) == 1


async def test_a_job_of_ours_that_is_over_is_not_taken_for_one_whose_creation_a_dead_process_began(
    desk: Desk,
) -> None:
    ids = desk.items(2)
    async with simulator(batch_s=0.2) as server:
        created = server.books.batches_created
        config = batch_config(desk, server, "anthropic", batch={"max_enqueued_tokens": 1})
        async with desk.engine(config) as (run,):
            await until_true(lambda: created["anthropic"] == 1)
            server.change({"batch_troubles": {"create_late": 1.0}, "batch_late_s": 60})
            await until_true(lambda: created["anthropic"] == 2)
            run.stop_now()
        assert desk.rows("SELECT state FROM batches ORDER BY number") == [("retrieved",), ("intent",)]
        run = await finishes(desk, config)
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert created == {"anthropic": 2}
        assert max(server.books.served_ids[each] for each in ids) == 1
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]


# -- a queue that is full ----------------------------------------------------------------------


async def tokens_of_a_job(desk: Desk, kind: str) -> int:
    """Return what the simulator counts for a job of 40 items, by a run of its own."""
    desk.items(40, "probe.jsonl")
    async with simulator(batch_s=0.02) as server:
        tables: dict[str, Any] = {"input": {"path": "probe.jsonl"}, "output": {"path": "probe.out"}}
        await finishes(desk, batch_config(desk, server, kind, "probe", **tables))
        return server.books.prompt_tokens


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("jobs", [1.5, 0.4])
async def test_a_queue_that_is_full_is_waited_for_or_given_smaller_jobs(
    desk: Desk, kind: str, jobs: float
) -> None:
    """Room for one job of 40 items and not for two; or not even for half a one."""
    ids = desk.items(100)
    most = int(jobs * await tokens_of_a_job(desk, kind))
    async with simulator(batch_s=0.05, batch_enqueued_tokens=most) as server:
        run = await finishes(desk, batch_config(desk, server, kind))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert is_each_its_own(desk.results())
        assert max(server.books.served_ids.values()) == 1
        assert server.books.batch_overlaps == 0
        assert server.books.batches_twice == 0
        assert desk.rows("SELECT SUM(is_maybe_billed) FROM attempts") == [(0,)]


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_queue_that_stays_full_ends_the_run_and_the_same_command_goes_on(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(30)
    async with simulator(batch_s=0.05, batch_enqueued_tokens=1) as server:
        config = batch_config(desk, server, kind, retry={"give_up_throttled_after": "300ms"})
        run = await finishes(desk, config)
        assert run.exit_code == 3
        assert run.standing.halt is not None
        assert run.standing.halt.reason == "throttled"
        assert run.counts.pending == 30
        server.change({"batch_enqueued_tokens": 0})
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_provider_that_is_down_for_too_long_ends_the_run_and_nothing_is_made_twice(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(30)
    async with simulator(batch_s=0.05, batch_troubles={"create_500": 1.0}) as server:
        config = batch_config(desk, server, kind, retry={"give_up_throttled_after": "300ms"})
        server.change({"fault_steps": [{"from_s": 0, "to_s": 3600, "kind": "http_503", "share": 1.0}]})
        run = await finishes(desk, config)
        assert run.exit_code == 3
        server.change({"fault_steps": [], "batch_troubles": {}})
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1


# -- a deadline --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_at_the_deadline_jobs_are_ended_and_no_more_are_made_and_the_rest_goes_in_realtime(
    desk: Desk, kind: str
) -> None:
    ids = desk.items(30)
    late: dict[str, Any] = {"spill": "realtime", "deadline": "400ms", "max_requests": 10}
    async with simulator(batch_s=60) as server:
        run = await finishes(desk, batch_config(desk, server, kind, batch=late | {"max_enqueued_tokens": 1}))
        assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert is_each_its_own(desk.results())
        assert {each["via"] for each in desk.results()} == {"realtime"}
        assert sum(server.books.batches_created.values()) == 1
        assert max(server.books.served_ids.values()) == 1


async def test_who_comes_back_after_the_deadline_makes_no_job_and_ends_those_that_are_out(
    desk: Desk,
) -> None:
    ids = desk.items(30)
    late: dict[str, Any] = {"spill": "realtime", "deadline": "500ms", "max_requests": 10}
    async with simulator(batch_s=60) as server:
        config = batch_config(desk, server, batch=late | {"max_enqueued_tokens": 1})
        async with desk.engine(config) as (run,):
            await until_true(lambda: any(job.record.batch_id for job in jobs_of(run).jobs))
            run.stop_now()
        await asyncio.sleep(0.5)  # the deadline is a moment on the wall clock
        assert (await finishes(desk, config)).exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
        assert max(server.books.served_ids.values()) == 1


async def test_a_run_that_is_throttled_past_the_deadline_makes_no_job_of_it_and_ends(desk: Desk) -> None:
    desk.items(10)
    async with simulator(batch_s=60, requests_per_second=0.001, burst=1) as server:
        config = batch_config(
            desk, server,
            execution={"mode": "realtime"},
            batch={"spill": "both", "deadline": "300ms"},
            retry={"give_up_throttled_after": "300ms", "max_wait": "50ms"},
        )  # fmt: skip
        run = await finishes(desk, config)
        assert run.exit_code == 3
        assert run.standing.halt is not None
        assert run.standing.halt.reason == "throttled"


# -- a run that is cancelled -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("spill", ["none", "realtime"])
async def test_what_jobs_had_done_when_their_run_is_cancelled_is_kept_and_nothing_more_is_asked(
    desk: Desk, kind: str, spill: str
) -> None:
    desk.items(60)
    async with simulator(batch_s=0.05, batch_line_s=0.05) as server:
        config = batch_config(desk, server, kind, batch={"spill": spill})
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await until_true(lambda: server.books.batches_created[kind] == 2)
            await asyncio.sleep(0.4)  # some lines are done by now
            said = await run.command(Command("cancel", "someone@here"))
            assert "2 batch jobs ended" in said.message
            await run.settled()
            assert run.exit_code == 8
        results = desk.results()
        assert 0 < len(results) < 60
        assert is_each_its_own(results)
        assert {each["via"] for each in results} == {"batch"}
        assert sum(server.books.batches_created.values()) == 2
        assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == server.books.billed_pusd


async def test_what_a_job_is_too_slow_to_give_back_to_a_cancelled_run_is_fetched_by_its_resumption(
    desk: Desk,
) -> None:
    ids = desk.items(20)
    async with simulator(batch_s=0.05, batch_line_s=0.05, batch_cancelling_s=1.0) as server:
        config = batch_config(desk, server, execution={"stop_grace": "50ms"})
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await until_true(lambda: any(job.record.batch_id for job in jobs_of(run).jobs))
            await asyncio.sleep(0.3)  # some lines are done by now
            said = await run.command(Command("cancel", "someone@here"))
            assert f"1 still ending: --resume {run.id}" in said.message
            await run.settled()
            assert run.exit_code == 8
        async with desk.engine(config, start=StartOptions(resume=run.id)) as (again,), asyncio.timeout(20):
            await again.settled()
            assert again.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert max(server.books.served_ids.values()) == 1


@pytest.mark.parametrize("kind", ["openai", "gemini"])
async def test_a_run_that_is_paused_over_a_restart_does_not_create_what_it_had_intended(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.items(10)

    async def upload(self: Any, job: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(JOBS[kind], "upload", upload)
    async with simulator(batch_s=0.02) as server:
        config = batch_config(desk, server, kind)
        async with desk.engine(config) as (run,):
            await until_true(lambda: len(jobs_of(run).jobs) > 0)
            assert (await run.command(Command("pause", "someone@here"))).is_ok
            run.stop_now()
        monkeypatch.undo()
        async with desk.engine(config) as (run,), asyncio.timeout(20):
            await asyncio.sleep(0.3)
            assert not server.books.batches_created
            assert (await run.command(Command("resume", "someone@here"))).is_ok
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)
        assert sum(server.books.batches_created.values()) == 1
