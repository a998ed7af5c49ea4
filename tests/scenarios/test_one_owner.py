"""Whose run it is, what a second start does, and that nothing a user had is harmed."""

from __future__ import annotations

import signal

from whole_runs import Desk, each_once, ended, simulator, until

from llmtop.run.opened import StartOptions


async def test_a_second_process_ends_with_5_names_the_pid_and_harms_nothing(desk: Desk) -> None:
    ids = desk.items(12)
    async with simulator(latency_s=0.1) as server:
        config = desk.config(server.base_url, execution={"concurrency": 2})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 2)
        server.change({"latency_s": 30.0})

        second = await desk.llmtop("run", config)

        assert second.code == 5
        assert str(process.pid) in second.err
        assert process.returncode is None
        process.kill()
        await process.communicate()
        server.change({"latency_s": 0.0})
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)


async def test_a_finished_run_says_so_and_sends_nothing(desk: Desk) -> None:
    desk.items(5)
    async with simulator() as server:
        config = desk.config(server.base_url)
        assert (await desk.llmtop("run", config)).code == 0
        before = desk.output.read_bytes()

        again = await desk.llmtop("run", config)

        assert again.code == 0
        assert "is finished" in again.err
        assert server.books.received == 5
        assert desk.output.read_bytes() == before
        assert len(desk.home.run_ids()) == 1


async def test_a_changed_prompt_is_a_new_run_that_names_the_key_and_keeps_the_old_output(desk: Desk) -> None:
    ids = desk.items(6)
    async with simulator(latency_s=0.2) as server:
        config = desk.config(server.base_url, execution={"concurrency": 1})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 2)
        process.send_signal(signal.SIGTERM)
        await ended(process)
        old = desk.output.read_bytes()
        server.change({"latency_s": 0.0})

        desk.config(server.base_url, request={"prompt": "Translate: {text}, id: {id}"})
        said = await desk.llmtop("run", config)

        assert said.code == 0
        assert "request.prompt changed since" in said.err
        assert "put aside as out.jsonl.1" in said.err
        assert desk.written_ids() == each_once(ids)
        assert (desk.folder / "out.jsonl.1").read_bytes() == old
        assert len(desk.home.run_ids()) == 2


async def test_fresh_starts_anew_and_deletes_nothing(desk: Desk) -> None:
    ids = desk.items(4)
    async with simulator() as server:
        config = desk.config(server.base_url)
        await desk.llmtop("run", config)
        old = desk.output.read_bytes()

        said = await desk.llmtop("run", config, "--fresh")

        assert said.code == 0
        assert len(desk.home.run_ids()) == 2
        assert server.books.served == 2 * len(ids)
        assert desk.written_ids() == each_once(ids)
        assert (desk.folder / "out.jsonl.1").read_bytes() == old


async def test_a_file_of_the_user_at_the_outputs_place_is_put_aside_but_only_when_the_run_starts(
    desk: Desk,
) -> None:
    desk.output.write_text("my notes\n")
    (desk.folder / "items.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n')
    async with simulator() as server:
        config = desk.config(server.base_url)

        refused = await desk.llmtop("run", config)

        assert refused.code == 2
        assert "line 2" in refused.err and "line 1" in refused.err
        assert desk.output.read_text() == "my notes\n"
        desk.items(3)
        assert (await desk.llmtop("run", config)).code == 0
        assert (desk.folder / "out.jsonl.1").read_text() == "my notes\n"
        assert len(desk.results()) == 3


async def test_another_output_on_a_resume_gets_all_results(desk: Desk) -> None:
    ids = desk.items(10)
    async with simulator(latency_s=0.15) as server:
        config = desk.config(server.base_url, execution={"concurrency": 1})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 2)
        process.kill()
        await process.communicate()
        server.change({"latency_s": 0.0})

        said = await desk.llmtop("run", config, "-o", desk.folder / "elsewhere.jsonl")

        assert said.code == 0
        assert desk.written_ids(desk.folder / "elsewhere.jsonl") == each_once(ids)
        assert server.books.served <= len(ids) + 1


async def test_two_configs_in_one_process_share_the_limits_of_their_key(desk: Desk) -> None:
    ids = desk.items(5)
    limits = {"requests_per_second": 4, "burst": 2}
    async with simulator(requests_per_second=4.0, burst=2.0, latency_s=0.3) as server:
        one = desk.config(server.base_url, "one", limits=limits, output={"path": "one.jsonl"})
        two = desk.config(server.base_url, "two", limits=limits, output={"path": "two.jsonl"})

        said = await desk.llmtop("run", one, two)

        assert said.code == 0, said.err
        assert server.books.status_429 == 0
        assert server.books.served == 2 * len(ids)
        for name in ("one", "two"):
            assert desk.written_ids(desk.folder / f"{name}.jsonl") == each_once(ids)
        assert len(desk.home.run_ids()) == 2


async def test_two_names_for_one_run_in_one_command_are_refused(desk: Desk) -> None:
    desk.items(3)
    (desk.folder / "copy").mkdir()
    async with simulator() as server:
        config = desk.config(server.base_url, output={"path": None})
        twin = desk.folder / "copy" / "job.toml"
        twin.write_text(config.read_text().replace('"items.jsonl"', '"../items.jsonl"'))

        said = await desk.llmtop("run", config, twin)

        assert said.code == 2
        assert "the same run as another config" in said.err
        assert server.books.received == 0


async def test_a_note_on_an_older_run_leaves_the_output_of_the_newer_one_alone(desk: Desk) -> None:
    desk.items(6)
    async with simulator(latency_s=0.2) as server:
        config = desk.config(server.base_url, execution={"concurrency": 1})
        async with desk.engine(config) as (old,):
            await until(lambda: old.counts.done >= 2)
        server.change({"latency_s": 0.0})
        async with desk.engine(config, start=StartOptions(is_fresh=True)) as (new,):
            await new.settled()
    files = {path.name: path.read_bytes() for path in desk.folder.glob("out.jsonl*")}

    said = await desk.llmtop("cancel", old.id)

    assert said.code == 0, said.err
    assert desk.rows("SELECT state FROM run", old.id) == [("cancelled",)]
    assert {path.name: path.read_bytes() for path in desk.folder.glob("out.jsonl*")} == files
