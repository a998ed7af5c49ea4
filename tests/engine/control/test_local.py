"""The door to a run of this process: snapshots to the last one, pages beside the loop, prompts."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from whole_runs import Desk, simulator, until

from llmtop.config.loader import load_config
from llmtop.control.launch import EngineHere, RunOptions, engine_here
from llmtop.control.local import LocalEngine, LocalRun
from llmtop.control.opening import open_run
from llmtop.engine import Engine
from llmtop.errors import UsageError
from llmtop.listing import ItemQuery
from llmtop.model import Command
from llmtop.run.opened import StartOptions
from llmtop.snapshot import Snapshot


@asynccontextmanager
async def running(desk: Desk, config: Path, stdin: bytes | None = None) -> AsyncIterator[Engine]:
    stream = None if stdin is None else _Stdin(stdin)
    async with Engine(desk.home, environ=desk.environ, stdin=stream) as engine:
        await engine.open(load_config(config), StartOptions())
        engine.start()
        yield engine


class _Stdin(io.BytesIO):
    def isatty(self) -> bool:
        return False


@pytest.fixture
async def here(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EngineHere]:
    monkeypatch.setattr(os, "environ", os.environ | desk.environ)
    desk.items(3)
    async with simulator(latency_s=0.05) as server:
        configs = load_config(desk.config(server.base_url))
        async with engine_here(desk.home, configs, RunOptions()) as engine:
            yield engine


async def test_the_last_snapshot_of_a_stream_shows_how_the_run_ended(desk: Desk) -> None:
    desk.items(50)
    seen: list[Snapshot] = []
    async with simulator(latency_s=30.0) as server, running(desk, desk.config(server.base_url)) as engine:
        (run_id,) = engine.runs
        door = LocalRun(engine, run_id)
        await until(lambda: server.books.in_flight)
        stream = door.snapshots(60.0)
        seen.append(await anext(stream))
        await engine.end()
        seen += [snapshot async for snapshot in stream]
        assert not (await door.command(Command("pause", "a@b"))).is_ok
        await door.close()

    assert seen[0].state == "running"
    assert (seen[-1].state, seen[-1].exit_code) == ("stopped", 130)


async def test_a_finished_run_is_seen_finished_over_the_socket_too(here: EngineHere, desk: Desk) -> None:
    assert await here.wait() == 0

    door = await open_run(desk.home, here.run_ids[0])
    snapshot = await door.snapshot()
    page = await door.items(ItemQuery(states=("done",), limit=2))
    detail = await door.item("m-1")
    await door.close()

    assert (snapshot.state, snapshot.exit_code, snapshot.counts.done) == ("finished", 0, 3)
    assert [row.id for row in page.rows] == ["m-0", "m-1"]
    assert detail is not None
    assert detail.messages == ({"role": "user", "content": "Explain: rain on the roof m-1, id: m-1"},)


async def test_an_item_in_flight_is_named_so(desk: Desk) -> None:
    desk.items(9)
    async with simulator(latency_s=30.0) as server, running(desk, desk.config(server.base_url)) as engine:
        (run_id,) = engine.runs
        await until(lambda: server.books.in_flight == 4)
        door = await LocalEngine(engine).run(run_id)

        page = await door.items(ItemQuery())

        assert [row.state for row in page.rows].count("in_flight") == 4
        assert await door.item("nobody") is None
        await door.close()
        await door.close()
        with pytest.raises(UsageError, match="not a run"):
            await LocalEngine(engine).run("nobody")


async def test_a_prompt_from_standard_input_is_shown_from_what_was_kept(desk: Desk) -> None:
    async with simulator() as server:
        config = desk.config(
            server.base_url,
            input={"path": "-", "format": "jsonl"},
            request={"prompt": "Say {text}"},
        )
        async with running(desk, config, b'{"text":"one"}\n{"text":"two"}\n') as engine:
            (run_id,) = engine.runs
            door = LocalRun(engine, run_id)

            detail = await door.item("2")

            assert detail is not None
            assert detail.messages == ({"role": "user", "content": "Say two"},)
            await door.close()


async def test_an_input_that_was_changed_shows_no_other_items_prompt(desk: Desk) -> None:
    desk.items(3)
    async with simulator() as server, running(desk, desk.config(server.base_url)) as engine:
        (run_id,) = engine.runs
        await engine.runs[run_id].settled()
        (desk.folder / "items.jsonl").write_text('{"id":"other","text":"a text of its own"}\n' * 3)
        door = LocalRun(engine, run_id)

        detail = await door.item("m-0")

        assert detail is not None
        assert detail.messages is None
        assert detail.messages_note == "the input has changed: other stands in its place now"
        await door.close()
