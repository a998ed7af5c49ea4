"""An engine in the background: it outlives viewers and terminals, and ends when nobody needs it."""

from __future__ import annotations

import asyncio
import json
import os

from whole_runs import Desk, each_once, ended, simulator, until


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _detached(desk: Desk, *words: object) -> tuple[str, int]:
    said = await desk.llmtop("run", *map(str, words), "--detach", "--json")
    assert said.code == 0, said.err
    return said.data["run_id"], said.data["pid"]


async def test_a_detached_engine_goes_on_when_viewers_die_and_ends_when_it_is_done(desk: Desk) -> None:
    ids = desk.items(60)
    async with simulator(latency_s=1.0) as server:
        run_id, pid = await _detached(desk, desk.config(server.base_url, execution={"concurrency": 2}))
        assert desk.home.owner_pid(run_id) == pid
        viewers = [await desk.started("attach", run_id, "--display", "plain") for _ in range(2)]
        assert all([await viewer.stdout.readline() for viewer in viewers if viewer.stdout])

        viewers[0].kill()
        await viewers[0].communicate()
        one, two = await asyncio.gather(
            desk.llmtop("set", run_id, "concurrency=8"), desk.llmtop("set", run_id, "requests_per_second=900")
        )
        await until(lambda: server.books.max_in_flight == 8)
        server.change({"latency_s": 0.0})
        last = await ended(viewers[1])

        assert (one.code, two.code, last.code) == (0, 0, 0)
        assert "finished" in last.out and "done 60" in last.out
        assert server.books.max_in_flight == 8
        await until(lambda: not _is_alive(pid))
        assert desk.written_ids() == each_once(ids)
        assert desk.home.engines() == ()
        assert not list((desk.home_folder / "engines").glob("*.sock"))


async def test_a_detached_engine_that_waits_for_money_ends_when_nobody_looks(desk: Desk) -> None:
    desk.items(60)
    async with simulator() as server:
        run_id, pid = await _detached(desk, desk.config(server.base_url, budget={"max_cost": 0.0002}))

        await until(lambda: not _is_alive(pid))

        shown = await desk.llmtop("show", run_id, "--json")
        assert shown.data["state"] == "budget"
        assert server.books.billed_pusd <= 200_000_000


async def test_what_a_killed_engine_left_is_cleared_away_and_the_run_goes_on(desk: Desk) -> None:
    ids = desk.items(20)
    async with simulator(latency_s=0.2) as server:
        config = desk.config(server.base_url)
        run_id, pid = await _detached(desk, config)
        await until(lambda: server.books.served >= 4)
        engines = desk.home_folder / "engines"
        os.kill(pid, 9)
        await until(lambda: desk.home.owner_pid(run_id) is None)
        assert {path.suffix for path in engines.iterdir()} >= {".json", ".sock"}

        listed = await desk.llmtop("runs", "--json")
        refused = await desk.llmtop("set", run_id, "concurrency=8")

        assert json.loads(listed.out)[0]["state"] == "stopped"
        assert refused.code == 2
        assert "nobody runs" in refused.err
        assert (await desk.llmtop("run", config)).code == 0
        assert not {path.suffix for path in engines.iterdir()} & {".json", ".sock"}
        assert desk.written_ids() == each_once(ids)


async def test_a_polite_stop_of_a_detached_engine_can_be_resumed(desk: Desk) -> None:
    ids = desk.items(12)
    async with simulator(latency_s=0.3) as server:
        config = desk.config(server.base_url, execution={"concurrency": 2})
        run_id, pid = await _detached(desk, config)
        await until(lambda: server.books.in_flight == 2)

        os.kill(pid, 15)
        await until(lambda: not _is_alive(pid))

        assert desk.rows("SELECT state, exit_code FROM run", run_id) == [("stopped", 143)]
        assert server.books.abandoned == 0
        server.change({"latency_s": 0.0})
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)
