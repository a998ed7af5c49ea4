"""How a run is ended from outside, and that the same command goes on with it."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
from whole_runs import Desk, each_once, ended, simulator, until


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_first_signal_lets_what_is_in_flight_land_and_the_run_can_be_resumed(
    desk: Desk, number: signal.Signals, code: int
) -> None:
    ids = desk.items(30)
    async with simulator(latency_s=0.4) as server:
        config = desk.config(server.base_url, execution={"concurrency": 5})
        process = await desk.started("run", config, "--display", "plain")
        await until(lambda: server.books.served >= 5 and server.books.in_flight == 5)
        received = server.books.received

        process.send_signal(number)
        said = await ended(process)

        assert said.code == code
        assert "stopping" in said.err
        assert server.books.received == received
        assert (server.books.abandoned, server.books.served) == (0, received)
        assert len(desk.results()) == received
        server.change({"latency_s": 0.0})
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)


async def test_what_does_not_land_within_the_grace_is_put_back(desk: Desk) -> None:
    ids = desk.items(8)
    async with simulator(latency_s=30.0) as server:
        config = desk.config(server.base_url, execution={"concurrency": 4, "stop_grace": 0.3})
        process = await desk.started("run", config)
        await until(lambda: server.books.in_flight == 4)

        process.terminate()
        began = time.monotonic()
        said = await ended(process)

        assert said.code == 143
        assert 0.3 <= time.monotonic() - began < 2.0
        assert desk.results() == []
        server.change({"latency_s": 0.0})
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert desk.attempts() == 12


async def test_the_grace_leaves_room_within_the_ten_seconds_that_are_promised(desk: Desk) -> None:
    from llmtop.config.schema import ExecutionConfig

    assert ExecutionConfig().stop_grace <= 8.0


async def test_the_second_signal_ends_at_once_and_loses_nothing(desk: Desk) -> None:
    ids = desk.items(12)
    async with simulator(latency_s=0.1) as server:
        config = desk.config(server.base_url, execution={"concurrency": 2})
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 4)
        server.change({"latency_s": 30.0})
        before = server.books.received
        await until(lambda: server.books.received >= before + 2)

        process.terminate()
        began = time.monotonic()
        await asyncio.sleep(0.1)
        process.terminate()
        said = await ended(process)

        assert said.code == 143
        assert time.monotonic() - began < 2.0
        assert len(desk.results()) == server.books.served
        server.change({"latency_s": 0.0})
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)


async def test_a_hang_up_ends_the_lines_and_not_the_run(desk: Desk) -> None:
    ids = desk.items(20)
    async with simulator(latency_s=1.0) as server:
        process = await desk.started("run", desk.config(server.base_url), "--display", "plain")
        await until(lambda: server.books.served >= 2)

        process.send_signal(signal.SIGHUP)
        said = await ended(process)

        assert said.code == 0
        assert "finished" not in said.out
        assert desk.written_ids() == each_once(ids)


async def test_a_signal_while_the_input_is_still_read_ends_before_anything_is_sent(desk: Desk) -> None:
    desk.items(300_000)
    async with simulator() as server:
        process = await desk.started("run", desk.config(server.base_url))
        await until(lambda: desk.home_folder.exists() and desk.home.run_ids())

        process.terminate()
        began = time.monotonic()
        said = await ended(process)

        assert said.code == 143
        assert time.monotonic() - began < 1.0
        assert server.books.received == 0
        assert desk.home.run_ids() == []
