"""Answers are bought once: a second run asks nothing, and identical requests in flight are sent once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator, until

from llmtop.model import Command
from llmtop.policy.limiter import Cause
from llmtop.run.filtering import RunFilters
from llmtop.run.opened import StartOptions
from llmtop.run.picture import picture
from llmtop.run.run import Run
from llmtop.snapshot import MemoryView, ProcessView, Snapshot

ON = {"enabled": True}
FRESH = StartOptions(is_fresh=True)


def seen(run: Run) -> Snapshot:
    return picture(run, MemoryView(), ProcessView())


def same_items(desk: Desk, number: int, name: str = "items.jsonl") -> list[str]:
    """Write items that differ in nothing but their id; return the ids."""
    ids = [f"m-{index}" for index in range(number)]
    lines = (json.dumps({"id": each, "text": "rain"}) for each in ids)
    (desk.folder / name).write_text("\n".join(lines))
    return ids


SAME: dict[str, Any] = {"prompt": "Explain: {text}", "max_output_tokens": 400}


PICKY = """
[[filters]]
use = "length"
min_words = 1000
on_reject = "retry"
max_asks = 2
"""


async def test_a_second_run_in_another_process_asks_nothing_and_has_the_same_answers(desk: Desk) -> None:
    ids = desk.items(120)
    async with simulator() as server:
        config = desk.config(server.base_url, cache=ON)
        first = await desk.llmtop("run", config)
        bought = {result["id"]: result for result in desk.results()}
        asked, billed = server.books.received, server.books.billed_pusd

        second = await desk.llmtop("run", config, "--fresh", "--set", "output.path=second.jsonl")
        shown, told = await desk.llmtop("show", "latest"), await desk.llmtop("show", "latest", "--json")
        (plan,) = (await desk.llmtop("plan", config, "--json")).data

        assert (first.code, second.code) == (0, 0)
        assert asked == len(ids)
        assert server.books.received == asked
        assert "cache      120 answers from the cache, 0 from identical requests, saved $" in shown.out
        assert "(now 0)" in shown.out
        assert (told.data["cache"]["hits"], told.data["cache"]["joined"]) == (120, 0)
        assert Decimal(told.data["cache"]["saved_usd"]) * 10**12 == billed
        assert any("the cache has none of the answers" in each for each in plan["assumptions"])
    results = desk.results(desk.folder / "second.jsonl")
    assert {result["id"]: result["output"] for result in results} == {
        key: result["output"] for key, result in bought.items()
    }
    assert {(r["via"], r["cost_usd"], r["attempts"], r["status"]) for r in results} == {
        ("cache", "0", 0, "done")
    }
    assert {result["model"] for result in results} == {result["model"] for result in bought.values()}
    assert desk.attempts() == 0
    shown = (await desk.llmtop("show", "latest", "--json")).data
    with_totals = desk.rows("SELECT SUM(saved_pusd) FROM results")[0][0]
    assert with_totals == billed
    assert Decimal(shown["cost_usd"]) == 0


async def test_hits_need_no_slot_no_rate_and_no_budget(desk: Desk) -> None:
    ids = desk.items(60)
    async with simulator() as server:
        config = desk.config(server.base_url, cache=ON)
        async with desk.engine(config) as (run,):
            await run.settled()
        tight = desk.config(
            server.base_url,
            cache=ON,
            limits={"requests_per_minute": 1, "burst": 1},
            execution={"concurrency": 1},
            budget={"max_cost": 0.000000000001},
            output={"path": "tight.jsonl"},
        )
        async with desk.engine(tight, start=FRESH) as (run,):
            await run.settled()
            view = seen(run)

    assert (run.counts.done, run.exit_code) == (len(ids), 0)
    assert view.throughput.cache_hits == len(ids)
    assert view.throughput.requests == 0
    assert view.cost.spent_pusd == 0
    assert view.cost.saved_cache_pusd == server.books.billed_pusd > 0


async def test_only_the_items_that_are_new_are_asked_and_a_changed_request_is_new(desk: Desk) -> None:
    async with simulator() as server:
        desk.items(40)
        async with desk.engine(desk.config(server.base_url, cache=ON)) as (run,):
            await run.settled()
        ids = desk.items(50)
        async with desk.engine(desk.config(server.base_url, cache=ON), start=FRESH) as (run,):
            await run.settled()
            assert server.books.received == 50
        warmer = desk.config(server.base_url, cache=ON, request={"temperature": 0.7})
        async with desk.engine(warmer, start=FRESH) as (run,):
            await run.settled()
            assert server.books.received == 100
        switched_off = desk.config(server.base_url)
        async with desk.engine(switched_off, start=FRESH) as (run,):
            await run.settled()
            assert (server.books.received, run.parts.cached) == (150, None)
    assert desk.written_ids() == each_once(ids)


async def test_a_restart_knows_what_was_saved_before(desk: Desk) -> None:
    ids = desk.items(30)
    async with simulator() as server:
        async with desk.engine(desk.config(server.base_url, cache=ON)) as (run,):
            await run.settled()
        config = desk.config(
            server.base_url, name="second", cache=ON, input={"limit": 30}, output={"path": "s.jsonl"}
        )
        async with desk.engine(config) as (run,):
            await run.settled()
            before = seen(run)
            assert (await run.command(Command("retry", "test", {"ids": ids[:5]}))).is_ok
            await until(lambda: run.counts.done == 25)
        async with desk.engine(config) as (run,):
            restored = seen(run)
            await run.settled()
            after = seen(run)

    assert before.throughput.cache_hits == after.throughput.cache_hits >= restored.throughput.cache_hits
    assert after.cost.saved_cache_pusd == before.cost.saved_cache_pusd == server.books.billed_pusd


async def test_identical_requests_in_flight_are_sent_once(desk: Desk) -> None:
    ids = same_items(desk, 50)
    async with simulator(latency_s=0.1) as server:
        config = desk.config(server.base_url, cache=ON, request=SAME, execution={"concurrency": 20})
        async with desk.engine(config) as (run,):
            await run.settled()
            view = seen(run)

        assert server.books.received == 1
    assert desk.written_ids() == each_once(ids)
    assert (view.throughput.dup_joined, view.throughput.cache_hits) == (49, 0)
    assert view.cost.saved_cache_pusd == 49 * server.books.billed_pusd
    assert len({result["output"] for result in desk.results()}) == 1
    assert {result["via"] for result in desk.results()} == {"realtime", "cache"}


async def test_two_runs_that_ask_the_same_at_once_ask_it_once(desk: Desk) -> None:
    ids = desk.items(30)
    async with simulator(latency_s=0.05) as server:
        configs = [
            desk.config(server.base_url, name=name, cache=ON, output={"path": f"{name}.jsonl"})
            for name in ("one", "two")
        ]
        async with desk.engine(*configs) as runs:
            for run in runs:
                await run.settled()

        assert server.books.received == len(ids)
    for name in ("one", "two"):
        assert desk.written_ids(desk.folder / f"{name}.jsonl") == each_once(ids)


@pytest.mark.parametrize("end", ["stop", "hold"])
async def test_who_waits_for_another_runs_request_goes_on_when_that_run_is_stopped(
    desk: Desk, end: str
) -> None:
    ids = desk.items(4)
    async with simulator(latency_s=30.0) as server:
        configs = [
            desk.config(server.base_url, name=name, cache=ON, output={"path": f"{name}.jsonl"})
            for name in ("one", "two")
        ]
        async with desk.engine(*configs) as (first, second):
            second.parts.line.block(Cause.PAUSE)
            await until(lambda: server.books.in_flight == 4)
            second.parts.line.unblock(Cause.PAUSE)
            second.parts.submitter.poke()
            await until(lambda: second.parts.cached is not None and second.parts.cached.following == 4)
            server.change({"latency_s": 0.0})
            verb: Any = "stop_now" if end == "stop" else "hold"
            assert (await first.command(Command(verb, "test"))).is_ok
            await second.settled()

            assert second.counts.done == len(ids)
            assert server.books.received == 8


async def test_when_the_first_fails_the_next_one_sends(desk: Desk) -> None:
    ids = same_items(desk, 6)
    async with simulator(latency_s=0.02, faults={"http_500": 1.0}, fault_tries=1) as server:
        config = desk.config(
            server.base_url, cache=ON, request=SAME, execution={"concurrency": 4}, retry={"max_wait": "50ms"}
        )
        async with desk.engine(config) as (run,):
            await run.settled()

        assert 2 <= server.books.received <= len(ids) + 2
    assert run.counts.done == len(ids)


@pytest.mark.parametrize(
    ("fault", "request_table"),
    [
        ("length", {}),
        ("refusal", {}),
        ("content_filter", {}),
        ("empty_body", {}),
        ("malformed", {"response_format": "json", "prompt": "Explain as json: {text}, id: {id}"}),
    ],
)
async def test_what_is_no_good_answer_is_never_kept(
    desk: Desk, fault: str, request_table: dict[str, Any]
) -> None:
    ids = desk.items(8)
    async with simulator(faults={fault: 1.0}) as server:
        config = desk.config(
            server.base_url, cache=ON, request=request_table, retry={"max_attempts": 1, "max_wait": "10ms"}
        )
        async with desk.engine(config) as (run,):
            await run.settled()
        assert run.counts.failed == len(ids)
        asked = server.books.received
        said = (await desk.llmtop("cache", "list", "--json")).data
        server.change({"faults": {}})
        async with desk.engine(config, start=FRESH) as (run,):
            await run.settled()

        assert said["entries"] == 0
        assert server.books.received == asked + len(ids)
    assert run.counts.done == len(ids)


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(("damage", "said"), [(_garbage, "put aside"), (_folder, "answers are not cached")])
async def test_a_damaged_cache_is_told_and_the_run_goes_on(
    desk: Desk, damage: Callable[[Path], None], said: str
) -> None:
    ids = desk.items(10)
    async with simulator() as server:
        config = desk.config(server.base_url, cache=ON)
        assert (await desk.llmtop("run", config)).code == 0
        damage(desk.home_folder / "cache.db")

        again = await desk.llmtop("run", config, "--fresh")

        assert again.code == 0
        assert said in again.err
        assert server.books.received == 2 * len(ids)


async def test_a_paused_run_takes_no_hits_either(desk: Desk) -> None:
    desk.items(1500)
    async with simulator() as server:
        config = desk.config(server.base_url, cache=ON, execution={"concurrency": 200})
        async with desk.engine(config) as (run,):
            await run.settled()
        async with desk.engine(config, start=FRESH) as (run,):
            await until(lambda: run.counts.done > 0)
            assert (await run.command(Command("pause", "test"))).is_ok
            await until(lambda: run.parts.submitter.is_idle)
            stood = run.counts.done
            assert 0 < stood < 1500
            assert (await run.command(Command("resume", "test"))).is_ok
            await run.settled()

        assert run.counts.done == server.books.received == 1500


async def test_a_redis_address_that_is_missing_is_said_before_anything_is_sent(desk: Desk) -> None:
    desk.items(3)
    async with simulator() as server:
        config = desk.config(server.base_url, cache={"enabled": True, "redis_url_env": "NO_SUCH_REDIS"})

        said = await desk.llmtop("run", config)

        assert (said.code, server.books.received) == (2, 0)
        assert "cache.redis_url_env" in said.err and "NO_SUCH_REDIS" in said.err
        assert desk.home.run_ids() == []


async def test_who_follows_a_request_whose_answer_is_rejected_and_asked_again_goes_on(desk: Desk) -> None:
    ids = same_items(desk, 6)
    async with simulator(latency_s=0.05) as server:
        config = desk.config(server.base_url, request=SAME, cache=ON)
        config.write_text(config.read_text() + PICKY)
        async with desk.engine(config) as (run,):
            await asyncio.wait_for(run.settled(), 15)

        assert {row["id"]: row["status"] for row in desk.results()} == dict.fromkeys(ids, "rejected")
        assert server.books.received == 2 * len(ids)


async def test_two_runs_that_pack_the_same_items_at_once_ask_each_item_once(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(latency_s=0.1) as server:
        configs = [
            desk.config(
                server.base_url,
                name=name,
                cache=ON,
                output={"path": f"{name}.jsonl"},
                execution={"items_per_request": 8},
            )
            for name in ("one", "two")
        ]
        async with desk.engine(*configs) as runs:
            for run in runs:
                await asyncio.wait_for(run.settled(), 15)

        assert server.books.received == 5
    for name in ("one", "two"):
        path = desk.folder / f"{name}.jsonl"
        assert desk.written_ids(path) == each_once(ids)
        assert all(
            f"id: {row['id']}" in row["output"] or row["id"] in row["output"] for row in desk.results(path)
        )


async def test_equal_items_of_a_packed_run_are_asked_once(desk: Desk) -> None:
    ids = same_items(desk, 50)
    async with simulator(latency_s=0.05) as server:
        config = desk.config(server.base_url, cache=ON, request=SAME, execution={"items_per_request": 8})
        async with desk.engine(config) as (run,):
            await asyncio.wait_for(run.settled(), 15)
            view = seen(run)

        assert server.books.received == 1
        assert server.books.pack_sizes == {1: 1}
    assert desk.written_ids() == each_once(ids)
    assert view.throughput.dup_joined == 49


async def test_followers_of_packed_items_that_are_left_out_go_on_too(desk: Desk) -> None:
    ids = [f"m-{index}" for index in range(90)]
    lines = (json.dumps({"id": each, "text": f"rain {index % 30}"}) for index, each in enumerate(ids))
    (desk.folder / "items.jsonl").write_text("\n".join(lines))
    trouble = {"dropped": 0.2, "truncated": 0.2}
    async with simulator(latency_s=0.02, pack_trouble=trouble, poison_pattern=r"^m-(3|40)$") as server:
        config = desk.config(server.base_url, cache=ON, request=SAME, execution={"items_per_request": 8})
        async with desk.engine(config) as (run,):
            await asyncio.wait_for(run.settled(), 20)

        assert desk.written_ids() == each_once(ids)
        assert {row["status"] for row in desk.results()} == {"done"}
        assert desk.rows("SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts")[0][0] == server.books.billed_pusd


async def test_who_follows_waits_for_a_slow_filter_without_holding_up_the_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = same_items(desk, 12)
    (desk.folder / "own.py").write_text("def check(text, fields):\n    return text.upper()\n")

    def blocks(*_: object) -> None:
        raise AssertionError("a filter in another process was waited for in the event loop")

    monkeypatch.setattr(RunFilters, "apply", blocks)
    async with simulator(latency_s=0.05) as server:
        config = desk.config(server.base_url, cache=ON, request=SAME)
        config.write_text(
            config.read_text() + '\n[[filters]]\nuse = "python"\ncall = "own.py:check"\nworkers = 1\n'
        )
        async with desk.engine(config, start=StartOptions(allow_code=True)) as (run,):
            await asyncio.wait_for(run.settled(), 20)

        assert server.books.received == 1
    assert desk.written_ids() == each_once(ids)
    assert all(row["output"].isupper() for row in desk.results())
