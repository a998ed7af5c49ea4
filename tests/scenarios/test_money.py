"""The cap on money holds against the provider's own bill, and the ledger's cost is that bill."""

from __future__ import annotations

from decimal import Decimal

import pytest
from whole_runs import Desk, each_once, simulator, until

from llmtop.model import PUSD_PER_USD, Command


def _spent(desk: Desk) -> int:
    return int(desk.rows("SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts")[0][0])


async def test_the_cost_in_the_ledger_is_the_providers_bill_to_the_last_digit(desk: Desk) -> None:
    ids = desk.items(150)
    faults = {"http_500": 0.05, "length": 0.05, "malformed": 0.0}
    async with simulator(faults=faults, reasoning_tokens=7, cached_prefix_tokens=4, fault_tries=1) as server:
        config = desk.config(
            server.base_url,
            execution={"concurrency": 25},
            request={"system": "You explain weather to children, in a few plain words."},
        )
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.counts.done + run.counts.failed == len(ids)

        assert server.books.cached_tokens > 0
        assert _spent(desk) == server.books.billed_pusd
        line_sum = sum(Decimal(result["cost_usd"]) for result in desk.results())
        assert int(line_sum * PUSD_PER_USD) == server.books.billed_pusd


async def test_an_item_that_is_asked_again_by_hand_tells_all_its_calls_and_all_they_cost(desk: Desk) -> None:
    desk.items(12)
    async with simulator(faults={"length": 1.0}, fault_tries=1) as server:
        config = desk.config(server.base_url, retry={"max_attempts": 1})
        assert (await desk.llmtop("run", config)).code == 7
        failed = {result["id"]: result for result in desk.results()}
        assert {result["status"] for result in failed.values()} == {"failed"}

        assert (await desk.llmtop("retry", "latest", "--failed")).code == 0
        assert await desk.goes_on(config) == 0

        results = desk.results()
        assert {result["attempts"] for result in results} == {2}
        assert all(
            Decimal(result["cost_usd"]) > Decimal(failed[result["id"]]["cost_usd"]) for result in results
        )
        total = sum(Decimal(result["cost_usd"]) for result in results)
        assert int(total * PUSD_PER_USD) == _spent(desk) == server.books.billed_pusd


@pytest.mark.parametrize("on_limit", ["pause", "stop"])
async def test_the_cap_is_never_passed_at_concurrency_50_and_a_higher_one_goes_on(
    desk: Desk, on_limit: str
) -> None:
    ids = desk.items(200)
    cap = Decimal("0.0012")
    async with simulator(latency_s=0.01) as server:
        config = desk.config(
            server.base_url,
            execution={"concurrency": 50},
            budget={"max_cost": float(cap), "on_limit": on_limit},
        )
        assert (await desk.llmtop("run", config)).code == 6
        billed = server.books.billed_pusd
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 6

        assert cap * PUSD_PER_USD / 2 <= billed <= server.books.billed_pusd <= cap * PUSD_PER_USD
        assert _spent(desk) == server.books.billed_pusd
        done = await desk.llmtop("run", config, "--max-cost", "1")
        assert done.code == 0
        assert desk.written_ids() == each_once(ids)
        assert _spent(desk) == server.books.billed_pusd


async def test_what_a_kill_lost_stays_off_the_budget(desk: Desk) -> None:
    desk.items(200)
    cap = Decimal("0.0012")
    async with simulator(latency_s=0.3) as server:
        config = desk.config(server.base_url, execution={"concurrency": 10}, budget={"max_cost": float(cap)})
        for _ in range(2):
            process = await desk.started("run", config)
            served = server.books.served
            await until(lambda served=served: server.books.served > served)
            await until(lambda: server.books.in_flight > 5)
            process.kill()
            await process.communicate()
        server.change({"latency_s": 0.0})

        last = await desk.llmtop("run", config)

        assert last.code == 6
        assert server.books.billed_pusd <= cap * PUSD_PER_USD
        assert "possibly billed" in last.out


async def test_a_raised_cap_lets_a_live_run_go_on_and_a_lowered_one_stops_it(desk: Desk) -> None:
    ids = desk.items(60)
    async with simulator(latency_s=0.01) as server:
        config = desk.config(server.base_url, execution={"concurrency": 10}, budget={"max_cost": 0.00025})
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 6
            assert 0 < run.counts.done < len(ids)

            said = await run.command(Command("set", "test", {"max_cost": "0.0004"}))
            assert said.is_ok
            await run.settled()
            assert run.exit_code == 6
            assert server.books.billed_pusd <= PUSD_PER_USD * Decimal("0.0004")

            assert (await run.command(Command("set", "test", {"max_cost": "none"}))).is_ok
            await run.settled()
            assert run.exit_code == 0
        assert desk.written_ids() == each_once(ids)


async def test_a_budget_with_an_unknown_price_is_refused_before_anything_is_sent(desk: Desk) -> None:
    desk.items(3)
    async with simulator() as server:
        config = desk.config(
            server.base_url,
            provider={"model": "unheard-of"},
            prices={"input": None, "output": None, "cached_input": None},
            budget={"max_cost": 1.0},
        )

        said = await desk.llmtop("run", config)

        assert said.code == 2
        assert "the price of" in said.err and "unknown" in said.err
        assert server.books.received == 0
        assert desk.home.run_ids() == []
