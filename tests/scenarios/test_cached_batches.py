"""The response cache and batch jobs: what is kept is in no job, and what a job brought is kept."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider
from llmtop.model import PUSD_PER_USD


def _config(desk: Desk, server: SimulatedProvider, name: str, **tables: Any) -> Path:
    given: dict[str, dict[str, Any]] = {
        "execution": {"mode": "batch"},
        "batch": {"look_for": "0s", "poll_interval": "20ms"},
        "prices": {"batch_discount": 0.5},
        "output": {"path": f"{name}.jsonl"},
        "cache": {"enabled": True},
    }
    for table, values in tables.items():
        given[table] = {**given.get(table, {}), **values}
    if given["execution"]["mode"] == "realtime":
        del given["batch"]
    return desk.config(server.base_url, name, **given)


async def _goes(desk: Desk, config: Path) -> int:
    async with asyncio.timeout(30):
        return await desk.goes_on(config)


def _results(desk: Desk, name: str) -> list[dict[str, Any]]:
    return desk.results(desk.folder / f"{name}.jsonl")


@pytest.mark.parametrize(("first", "second"), [("batch", "realtime"), ("realtime", "batch")])
@pytest.mark.parametrize("size", [1, 5])
async def test_a_job_and_realtime_answer_each_other_by_the_cache(
    desk: Desk, first: str, second: str, size: int
) -> None:
    ids = desk.items(40)
    async with simulator(batch_s=0.02) as server:
        for mode in (first, second):
            config = _config(desk, server, mode, execution={"mode": mode, "items_per_request": size})
            assert await _goes(desk, config) == 0
            if mode == first:
                billed = server.books.billed_pusd
        results = _results(desk, second)
        assert desk.written_ids(desk.folder / f"{second}.jsonl") == each_once(ids)
        assert {row["via"] for row in results} == {"cache"}
        assert {row["cost_usd"] for row in results} == {"0"}
        assert server.books.billed_pusd == billed
        saved = desk.rows("SELECT SUM(saved_pusd) FROM results", second)[0][0]
        assert saved == billed
        outputs = {row["id"]: row["output"] for row in _results(desk, first)}
        assert {row["id"]: row["output"] for row in results} == outputs


async def test_only_what_the_cache_does_not_have_is_put_into_a_job(desk: Desk) -> None:
    desk.items(20)
    async with simulator(batch_s=0.02) as server:
        assert await _goes(desk, _config(desk, server, "first", execution={"mode": "realtime"})) == 0
        ids = desk.items(50)
        assert await _goes(desk, _config(desk, server, "second")) == 0
        assert desk.written_ids(desk.folder / "second.jsonl") == each_once(ids)
        assert server.books.batch_lines == 30
        assert max(server.books.served_ids.values()) == 1


def _equal_items(desk: Desk, groups: int, each: int) -> list[str]:
    """Write items of which so many at a time ask the same; return their ids."""
    rows = [{"id": f"m-{at}", "text": f"rain on roof {at % groups}"} for at in range(groups * each)]
    (desk.folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(row["id"]) for row in rows]


@pytest.mark.parametrize("size", [1, 4])
async def test_items_that_ask_the_same_are_in_a_job_once(desk: Desk, size: int) -> None:
    ids = _equal_items(desk, 12, 5)
    async with simulator(batch_s=0.02, track_ids=True) as server:
        config = _config(
            desk,
            server,
            "equal",
            request={"prompt": "Explain: {text}"},
            execution={"mode": "batch", "items_per_request": size},
        )
        assert await _goes(desk, config) == 0
        results = _results(desk, "equal")
        assert desk.written_ids(desk.folder / "equal.jsonl") == each_once(ids)
        assert server.books.batch_lines == 12 / size
        assert sorted(row["via"] for row in results) == ["batch"] * 12 + ["cache"] * 48
        assert len({(int(row["id"][2:]) % 12, row["output"]) for row in results}) == 12
        paid = int(sum(Decimal(row["cost_usd"]) for row in results) * PUSD_PER_USD)
        assert paid == server.books.billed_pusd


async def test_what_waited_for_an_equal_item_that_failed_goes_on_its_own(desk: Desk) -> None:
    ids = _equal_items(desk, 4, 5)
    async with simulator(batch_s=0.02, always_fail=r"roof 2", always_fail_kind="http_500") as server:
        request = {"prompt": "Explain: {text}"}
        config = _config(desk, server, "equal", request=request, retry={"max_attempts": 1})
        assert await _goes(desk, config) == 7
        assert desk.written_ids(desk.folder / "equal.jsonl") == each_once(ids)
        failed = {row["id"] for row in _results(desk, "equal") if row["status"] == "failed"}
        assert failed == {"m-2", "m-6", "m-10", "m-14", "m-18"}
        assert sum(server.books.batches_created.values()) == 2


async def test_answers_that_a_filter_sent_back_are_not_kept_as_those_to_the_plain_request(
    desk: Desk,
) -> None:
    ids = desk.items(60)
    async with simulator(batch_s=0.02) as server:
        config = _config(desk, server, "picky")
        picky = {"use": "length", "min_words": 46, "on_reject": "retry", "max_asks": 4, "explain": True}
        rules = "".join(f"{key} = {json.dumps(value)}\n" for key, value in picky.items())
        config.write_text(f"{config.read_text()}\n[[filters]]\n{rules}")
        await _goes(desk, config)
        results = _results(desk, "picky")
        assert desk.written_ids(desk.folder / "picky.jsonl") == each_once(ids)
        tries = [row["attempts"] for row in results if row["status"] == "done"]
        assert set(tries) > {1}
        kept = await desk.llmtop("cache", "list", "--json")
        assert kept.data["entries"] == tries.count(1)
