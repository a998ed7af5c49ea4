"""What an operator does to a live run reaches the provider, is acknowledged, and is on record."""

from __future__ import annotations

import asyncio

from whole_runs import Desk, each_once, ended, simulator, until

from llmtop.model import Command


async def test_a_changed_concurrency_reaches_the_provider_and_is_recorded(desk: Desk) -> None:
    desk.items(5000)
    async with simulator(latency_s=0.1) as server:
        books = server.books
        config = desk.config(server.base_url, execution={"concurrency": 4}, limits={})
        process = await desk.started("run", config, "--display", "json")
        await until(lambda: books.served >= 12)
        assert books.max_in_flight == 4

        raised = await desk.llmtop("set", "latest", "concurrency=20", "--json")
        await until(lambda: books.in_flight == 20)
        assert books.max_in_flight == 20

        lowered = await desk.llmtop("set", "latest", "concurrency=3")
        await until(lambda: books.in_flight <= 3)
        books.max_in_flight = 0
        served = books.served
        await until(lambda: books.served >= served + 12)
        assert books.max_in_flight == 3

        process.terminate()
        said = await ended(process)
        assert said.code == 143
        assert raised.code == lowered.code == 0
        assert "concurrency: 20 -> 3" in lowered.out
        commands = desk.rows("SELECT verb, arguments, is_ok FROM commands ORDER BY id")
        assert commands == [
            ("set", '{"concurrency":"20"}', 1),
            ("set", '{"concurrency":"3"}', 1),
        ]
        decided = desk.rows("SELECT old, new FROM decisions WHERE what = 'concurrency' ORDER BY id")
        assert decided == [("4", "20"), ("20", "3")]
        assert [event["event"] for event in said.events if event["event"] == "command"] == ["command"] * 2


async def test_a_bad_setting_beside_a_good_one_changes_nothing(desk: Desk) -> None:
    desk.items(6)
    async with simulator(latency_s=2.0) as server:
        process = await desk.started("run", desk.config(server.base_url, execution={"concurrency": 1}))
        await until(lambda: server.books.received >= 1)

        said = await desk.llmtop("set", "latest", "concurrency=20", "concurency=3")

        assert said.code == 2
        assert "concurrency" in said.err
        server.change({"latency_s": 0.0})
        assert (await ended(process)).code == 0
        assert server.books.max_in_flight == 1


async def test_a_pause_survives_a_restart_and_a_resume_ends_it(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(latency_s=1.0) as server:
        config = desk.config(server.base_url)
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 4)
        assert (await desk.llmtop("pause", "latest")).code == 0
        await until(lambda: server.books.in_flight == 0 and len(desk.lines()) == server.books.served)
        process.kill()
        await process.communicate()
        received = server.books.received

        again = await desk.started("run", config)
        await until(lambda: desk.home.engine_of(desk.home.run_ids()[0]) is not None)
        await asyncio.sleep(0.3)
        assert server.books.received == received
        server.change({"latency_s": 0.0})

        assert (await desk.llmtop("resume", "latest")).code == 0
        assert (await ended(again)).code == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)


async def test_pause_now_breaks_off_what_is_in_flight_and_puts_it_back(desk: Desk) -> None:
    ids = desk.items(4)
    async with simulator(latency_s=30.0) as server:
        process = await desk.started("run", desk.config(server.base_url))
        await until(lambda: server.books.in_flight == 4)

        assert (await desk.llmtop("pause", "latest", "--now")).code == 0
        await until(lambda: server.books.in_flight == 0)
        server.change({"latency_s": 0.0})
        assert (await desk.llmtop("resume", "latest")).code == 0

        assert (await ended(process)).code == 0
        assert desk.written_ids() == each_once(ids)
        assert desk.rows("SELECT COUNT(*) FROM attempts WHERE is_maybe_billed") == [(4,)]


async def test_cancel_keeps_what_is_finished_and_ends_with_8(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(latency_s=0.1) as server:
        config = desk.config(server.base_url)
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 8)
        server.change({"latency_s": 3.0})

        assert (await desk.llmtop("cancel", "latest")).code == 0
        said = await ended(process)

        assert said.code == 8
        kept = desk.output.read_bytes()
        server.change({"latency_s": 0.0})
        assert len(desk.results()) >= 8
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert len(desk.home.run_ids()) == 2
        assert kept in [path.read_bytes() for path in desk.folder.glob("out.jsonl.*")]


async def test_failed_items_are_retried_on_a_live_run_and_all_counters_agree(desk: Desk) -> None:
    ids = desk.items(300)
    async with simulator(latency_s=0.02, blocked_pattern="id: m-1?[0-9]$") as server:
        config = desk.config(server.base_url, execution={"concurrency": 8})
        async with desk.engine(config) as (run,):
            await until(lambda: run.counts.failed == 20)
            server.change({"blocked_pattern": ""})

            said = await run.command(Command("retry", "test", {"failed": True}))
            await run.settled()

            assert said.is_ok, said.message
            assert (run.counts.done, run.counts.failed, run.counts.pending) == (300, 0, 0)
            assert run.exit_code == 0
    assert desk.written_ids() == each_once(ids)
    assert {result["status"] for result in desk.results()} == {"done"}


async def test_failed_items_are_retried_on_a_stopped_run(desk: Desk) -> None:
    ids = desk.items(12)
    async with simulator(always_fail="^m-[0-4]$", always_fail_kind="http_500") as server:
        config = desk.config(server.base_url, retry={"max_attempts": 1})
        first = await desk.llmtop("run", config)
        assert first.code == 7
        failed = [result for result in desk.results() if result["status"] == "failed"]
        assert len(failed) == 5
        assert {(each["error"]["type"], each["error"]["http_status"]) for each in failed} == {
            ("server_error", 500)
        }
        server.change({"always_fail": "^$"})

        retried = await desk.llmtop("retry", "latest", "--failed")
        done = await desk.llmtop("run", config)

        assert (retried.code, done.code) == (0, 0)
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)
        assert desk.rows("SELECT verb, is_ok FROM commands") == [("retry", 1)]
