"""Packs in batch jobs: one line for several items, and still every id once with its own answer."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from batch_runs import JOBS, PROVIDERS, batch_config, finishes
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider, reference_of
from llmtop.model import PUSD_PER_USD

_SIZE = 8


def _config(desk: Desk, server: SimulatedProvider, kind: str = "openai", **tables: Any) -> Path:
    """Write a config that goes by batch jobs of 5 packs of 8 items."""
    execution = {"mode": "batch", "items_per_request": _SIZE}
    batch = {"max_requests": 5} | tables.pop("batch", {})
    return batch_config(desk, server, kind, execution=execution, batch=batch, **tables)


def _assert_own_answers(desk: Desk, ids: list[str]) -> None:
    results = desk.results()
    assert desk.written_ids() == each_once(ids)
    assert {row["status"] for row in results} == {"done"}
    marks = {
        id_: f"(id {id_}, ref {reference_of(f'Explain: rain on the roof {id_}, id: {id_}')})." for id_ in ids
    }
    assert [row["id"] for row in results if marks[row["id"]] not in row["output"]] == []


def _assert_paid_once(desk: Desk, server: SimulatedProvider) -> None:
    """The money of attempts and of results is the provider's bill, and nothing was bought twice."""
    billed = server.books.billed_pusd
    assert int(desk.rows("SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts")[0][0]) == billed
    assert int(sum(Decimal(row["cost_usd"]) for row in desk.results()) * PUSD_PER_USD) == billed
    if not server.profile.pack_trouble.get("duplicated"):  # an answer that came twice at once is none
        assert max(server.books.served_ids.values()) == 1
    assert server.books.batches_twice == 0
    assert server.books.batch_overlaps == 0
    assert desk.rows("SELECT COUNT(*) FROM batch_items WHERE outcome IS NULL") == [(0,)]


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("form", ["text", "schema"])
async def test_a_pack_is_one_line_of_a_job_and_its_items_share_its_cost_exactly(
    desk: Desk, kind: str, form: str
) -> None:
    ids = desk.items(100)
    request: dict[str, Any] = {"response_format": form}
    if form == "schema":
        schema = {
            "type": "object",
            "properties": {"id": {"type": "string"}, "title": {"type": "string"}},
            "required": ["id", "title"],
            "additionalProperties": False,
        }
        (desk.folder / "schema.json").write_text(json.dumps(schema))
        request["schema_file"] = "schema.json"
    async with simulator(batch_s=0.02) as server:
        run = await finishes(desk, _config(desk, server, kind, request=request))
        assert run.exit_code == 0, run.log
        if form == "text":
            _assert_own_answers(desk, ids)
        else:
            assert desk.written_ids() == each_once(ids)
            assert all(row["output"]["id"] == row["id"] for row in desk.results())
        _assert_paid_once(desk, server)
        assert server.books.batch_lines == math.ceil(100 / _SIZE)
        assert sum(server.books.batches_created.values()) == 3
        assert all(row["via"] == "batch" and row["batch_id"] and row["pack_id"] for row in desk.results())
        jobs = (await desk.llmtop("batches", "job", "--json")).data["batches"]
        assert [(job["requests"], job["items"], job["retrieved"]) for job in jobs] == [
            (5, 40, 40),
            (5, 40, 40),
            (3, 20, 20),
        ]
        for job in jobs:
            lines = [row for row in desk.results() if row["batch_id"] == job["batch_id"]]
            assert sum(Decimal(row["cost_usd"]) for row in lines) == Decimal(job["cost_usd"])
        rows = desk.rows("SELECT custom_id, COUNT(*) FROM batch_items GROUP BY batch, custom_id")
        assert sorted(count for _, count in rows) == [4, *[_SIZE] * 12]
        assert all("-p" in custom_id for custom_id, _ in rows)


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize(
    "trouble",
    [
        {"dropped": 0.1},
        {"duplicated": 0.1},
        {"truncated": 0.4},
        {"dropped": 0.05, "shuffled": 0.5, "duplicated": 0.05, "extra": 0.5, "truncated": 0.2, "fenced": 0.5},
    ],
    ids=" ".join,
)
async def test_what_a_pack_leaves_is_asked_in_smaller_packs_of_a_later_job(
    desk: Desk, kind: str, trouble: dict[str, float]
) -> None:
    ids = desk.items(120)
    async with simulator(batch_s=0.02, pack_trouble=trouble) as server:
        run = await finishes(desk, _config(desk, server, kind))
        assert run.exit_code == 0, run.log
        _assert_own_answers(desk, ids)
        _assert_paid_once(desk, server)
        missed = desk.rows("SELECT COUNT(*) FROM batch_items WHERE outcome = 'missing_in_pack'")
        spoiled = desk.rows("SELECT COUNT(*) FROM attempts WHERE outcome = 'partial'")
        assert missed[0][0] + spoiled[0][0] > 0
        assert server.books.batch_lines <= 5 * math.ceil(len(ids) / _SIZE)


async def test_an_item_that_spoils_its_packs_is_found_after_a_logarithm_of_jobs(desk: Desk) -> None:
    ids = desk.items(64)
    async with simulator(batch_s=0.02, poison_pattern=r"^m-13$") as server:
        run = await finishes(desk, _config(desk, server, batch={"max_requests": 100}))
        assert run.exit_code == 0, run.log
        _assert_own_answers(desk, ids)
        _assert_paid_once(desk, server)
        assert sum(server.books.batches_created.values()) <= 1 + math.log2(_SIZE)
        assert server.books.batch_lines <= 64 / _SIZE + 2 * math.log2(_SIZE)


@pytest.mark.parametrize("trouble", ["expires", "failed"])
async def test_smaller_packs_whose_job_does_not_finish_are_asked_again(desk: Desk, trouble: str) -> None:
    ids = desk.items(64)
    troubles = {"batch_troubles": {trouble: 0.5}, "batch_window_s": 0.3}
    async with simulator(batch_s=0.02, poison_pattern=r"^m-(13|40)$", **troubles) as server:
        run = await finishes(desk, _config(desk, server, batch={"max_requests": 100}))
        assert run.exit_code == 0, run.log
        _assert_own_answers(desk, ids)
        _assert_paid_once(desk, server)


@pytest.mark.parametrize(
    "trouble", ["http_400", "http_500", "null_content", "missing", "conflicting", "unknown", "stuck"]
)
async def test_a_packed_line_in_trouble_loses_no_item_and_buys_none_twice(desk: Desk, trouble: str) -> None:
    ids = desk.items(120)
    troubles = {"batch_lines": {trouble: 0.3}, "fault_tries": 1, "batch_window_s": 0.4}
    async with simulator(batch_s=0.02, **troubles) as server:
        run = await finishes(desk, _config(desk, server))
        assert run.exit_code == (7 if trouble == "http_400" else 0), run.log
        assert desk.written_ids() == each_once(ids)
        failed = [row for row in desk.results() if row["status"] != "done"]
        assert all(row["pack_id"] is None and row["error"]["type"] == "bad_request" for row in failed)
        assert max(server.books.served_ids.values()) == 1
        assert server.books.batches_twice == 0


async def test_an_item_that_no_pack_and_no_line_answers_fails_alone_with_its_reason(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(batch_s=0.02, always_fail=r"^m-13$", always_fail_kind="http_500") as server:
        run = await finishes(desk, _config(desk, server, retry={"max_attempts": 2}))
        assert run.exit_code == 7
        assert desk.written_ids() == each_once(ids)
        failed = [row for row in desk.results() if row["status"] != "done"]
        assert [(row["id"], row["error"]["type"], row["pack_id"]) for row in failed] == [
            ("m-13", "server_error", None)
        ]
        assert max(server.books.served_ids.values()) == 1


async def test_what_packs_leave_is_finished_in_realtime_where_that_is_wanted(desk: Desk) -> None:
    ids = desk.items(120)
    async with simulator(batch_s=0.02, pack_trouble={"dropped": 0.2}) as server:
        run = await finishes(desk, _config(desk, server, batch={"spill": "realtime", "max_requests": 100}))
        assert run.exit_code == 0, run.log
        _assert_own_answers(desk, ids)
        _assert_paid_once(desk, server)
        assert {row["via"] for row in desk.results()} == {"batch", "realtime"}
        assert sum(server.books.batches_created.values()) == 1


async def test_a_pack_that_no_job_can_hold_is_halved_and_nothing_is_refused(desk: Desk) -> None:
    ids = desk.items(24, text="rain on the roof " * 40)
    async with simulator(batch_s=0.02) as server:
        run = await finishes(desk, _config(desk, server, batch={"max_bytes": 4000}))
        assert run.exit_code == 0, run.log
        assert desk.written_ids() == each_once(ids)
        sizes = desk.rows("SELECT input_bytes FROM batches")
        assert all(size <= 0.95 * 4000 for (size,) in sizes)
        packs = desk.rows("SELECT COUNT(*) FROM batch_items GROUP BY batch, custom_id")
        assert {count for (count,) in packs} <= {2, 4}
        _assert_paid_once(desk, server)


_CRASH = """
import asyncio, os, sys
from pathlib import Path
from llmtop.adapters.home import Home
from llmtop.adapters.providers.batches import {provider} as Jobs
from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.books import LedgerJobBooks
from llmtop.run.opened import StartOptions
from llmtop.submit import batch_receiving

batch_receiving._LINES_AT_A_TIME = 1  # so that some lines are on the disk when it dies at half
where, nth = sys.argv[2], int(sys.argv[3])
calls = 0

def die_after(owner, name, is_late):
    kept = getattr(owner, name)
    async def dying(self, *rest):
        global calls
        calls += 1
        if calls >= nth and not is_late:
            os._exit(137)
        said = await kept(self, *rest)
        if calls >= nth:
            os._exit(137)
        return said
    setattr(owner, name, dying)

if where in ("upload", "create", "get"):
    die_after(Jobs, where, False)
elif where in ("uploaded", "created"):
    die_after(Jobs, "upload" if where == "uploaded" else "create", True)
elif where in ("fetch", "half"):
    kept = Jobs.fetch
    async def fetch(self, batch):
        global calls
        calls += 1
        seen = 0
        async for line in kept(self, batch):
            if calls >= nth and (where == "fetch" or seen == 1):
                await asyncio.sleep(0.1)
                os._exit(137)
            seen += 1
            yield line
    Jobs.fetch = fetch
elif where == "commit":
    kept = LedgerJobBooks.save
    def save(self, record, *rest):
        global calls
        calls += record.over_at is not None
        if calls >= nth and record.over_at is not None:
            os._exit(137)
        kept(self, record, *rest)
    LedgerJobBooks.save = save

async def main():
    async with Engine(Home.open(Path(os.environ["LLMTOP_HOME"]), {{}}), environ=os.environ) as engine:
        await engine.open(load_config(Path(sys.argv[1])), StartOptions())
        engine.start()
        await engine.settled()

asyncio.run(main())
"""


_STEPS = ["upload", "uploaded", "create", "created", "get", "fetch", "half", "commit"]
_DEATHS = [
    *(("openai", step, nth) for step in _STEPS for nth in (1, 2)),
    *((kind, step, 2) for kind in ("anthropic", "gemini") for step in ("created", "half", "commit")),
]


@pytest.mark.parametrize(("kind", "where", "nth"), _DEATHS)
async def test_a_process_that_dies_between_two_steps_keeps_every_item_of_its_packs_once(
    desk: Desk, kind: str, where: str, nth: int
) -> None:
    """The first job has all packs, the second what they left: so death comes among smaller packs too."""
    ids = desk.items(120)
    async with simulator(batch_s=0.05, pack_trouble={"dropped": 0.15}) as server:
        config = _config(desk, server, kind, batch={"max_requests": 100})
        script = _CRASH.format(provider=JOBS[kind].__name__)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(config), where, str(nth), env=desk.environ, cwd=desk.folder
        )
        assert await process.wait() == 137
        run = await finishes(desk, config)
        assert run.exit_code == 0, run.log
        _assert_own_answers(desk, ids)
        _assert_paid_once(desk, server)
