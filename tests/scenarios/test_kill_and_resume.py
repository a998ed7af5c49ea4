"""kill -9 at any moment: nothing accepted is lost or changed, and little is bought twice."""

from __future__ import annotations

import asyncio
import random

from whole_runs import Desk, each_once, simulator, until

CONCURRENCY = 8


async def test_a_run_that_is_killed_again_and_again_has_each_item_once_and_pays_little_twice(
    desk: Desk,
) -> None:
    ids = desk.items(400)
    rng = random.Random(7)
    kills = 0
    accepted: dict[str, bytes] = {}
    async with simulator(latency_s=0.03) as server:
        config = desk.config(server.base_url, execution={"concurrency": CONCURRENCY})
        for _ in range(6):
            process = await desk.started("run", config, "--display", "none")
            served = server.books.served
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            if process.returncode is None:
                process.kill()
                kills += 1
            await process.communicate()
            if desk.home_folder.exists() and desk.home.run_ids():
                now = desk.lines()
                assert {each: now.get(each) for each in accepted} == accepted
                accepted = now
            assert server.books.served >= served

        done = await desk.llmtop("run", config, "--display", "none")

        assert done.code == 0, done.err
        assert desk.written_ids() == each_once(ids)
        final = desk.lines()
        assert {each: final[each] for each in accepted} == accepted
        assert sorted(desk.output.read_bytes().splitlines()) == sorted(final.values())
        assert len(desk.home.run_ids()) == 1
        assert server.books.served - len(ids) <= CONCURRENCY * kills
        assert kills == 6


async def test_a_run_that_was_killed_while_it_read_its_input_leaves_nothing_behind(desk: Desk) -> None:
    ids = desk.items(200_000)
    async with simulator() as server:
        config = desk.config(server.base_url)
        process = await desk.started("run", config, "--display", "none")
        await until(lambda: desk.home_folder.exists() and desk.home.run_ids())
        process.kill()
        await process.communicate()
        (left,) = desk.home.records()
        assert (left.item_count, left.fingerprint) == (None, "")
        assert server.books.received == 0

        done = await desk.llmtop("run", config, "--display", "none", "--limit", "20")

        assert done.code == 0, done.err
        assert left.id not in desk.home.run_ids()
        assert len(desk.home.run_ids()) == 1
        assert desk.written_ids() == each_once(ids[:20])
