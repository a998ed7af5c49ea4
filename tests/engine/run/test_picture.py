"""The snapshot of a run: rows, money, what holds it back, and what is shared with other runs."""

from __future__ import annotations

from whole_runs import Desk, simulator, until

from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.opened import StartOptions
from llmtop.run.picture import picture
from llmtop.run.run import Run
from llmtop.snapshot import MemoryView, ProcessView, Snapshot


async def test_what_flies_comes_first_and_what_landed_tells_what_it_came_to(desk: Desk) -> None:
    desk.items(40)
    async with (
        simulator(latency_s=0.02, always_fail="^m-3$") as server,
        desk.engine(desk.config(server.base_url, retry={"max_attempts": 1})) as (run,),
    ):
        await run.settled()
        rows = {row.item_id: row for row in _snapshot(run).rows}

    assert (rows["m-3"].state, rows["m-3"].role, rows["m-3"].items_done) == ("failed", "bad", 1)
    assert rows["m-3"].note.startswith("server_error: ")
    assert (rows["m-4"].state, rows["m-4"].role, rows["m-4"].cost_pusd is not None) == ("done", "good", True)


async def test_tokens_and_money_of_the_snapshot_are_those_of_the_provider(desk: Desk) -> None:
    desk.items(25)
    async with (
        simulator() as server,
        desk.engine(desk.config(server.base_url)) as (run,),
    ):
        await run.settled()
        cost, books = _snapshot(run).cost, server.books

    assert cost.reserved_pusd == 0
    assert (cost.spent_pusd, cost.is_at_least) == (books.billed_pusd, False)
    assert (cost.input_tokens, cost.output_tokens) == (books.prompt_tokens, books.completion_tokens)


async def test_a_reached_budget_tells_its_number_and_waits_for_a_person(desk: Desk) -> None:
    desk.items(50)
    async with (
        simulator(latency_s=0.01) as server,
        desk.engine(desk.config(server.base_url, budget={"max_cost": 0.0002})) as (run,),
    ):
        await run.settled()
        snapshot = _snapshot(run)

        assert (snapshot.state, snapshot.exit_code) == ("budget", 6)
        assert snapshot.held.cause == "budget"
        assert snapshot.held.detail.endswith(" of 0.0002 USD bound")
        assert snapshot.cost.spent_pusd <= 200_000_000


async def test_a_run_that_joins_a_lane_is_told_whose_settings_hold(desk: Desk) -> None:
    desk.items(3)
    async with simulator() as server, Engine(desk.home, environ=desk.environ) as engine:
        first = desk.config(server.base_url, "first")
        other = desk.config(
            server.base_url, "other", execution={"concurrency": 9}, output={"path": "other.jsonl"}
        )
        configs = [*load_config(first), *load_config(other)]

        notices = await engine.open(configs, StartOptions())

        lanes = {run.lane for run in engine.runs.values()}
        assert len(lanes) == 1
        assert (
            "other: shares provider, key and model with first, and its settings hold: concurrency" in notices
        )
        assert lanes.pop().concurrency == 4
        engine.start()
        await until(lambda: engine.is_settled)


def _snapshot(run: Run) -> Snapshot:
    return picture(run, MemoryView(), ProcessView())
