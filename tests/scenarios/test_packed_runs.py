"""Several items share a request, from the input file to the provider's own books and back."""

from __future__ import annotations

import asyncio
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator, until

from llmtop.adapters.simulator import reference_of
from llmtop.model import PUSD_PER_USD, Command
from llmtop.run.picture import picture
from llmtop.run.run import Run
from llmtop.snapshot import Knob, MemoryView, ProcessView

_SIZE = 8


def _mark(id_: str) -> str:
    """What the simulator says at the end of its answer to an item of `Desk.items`, packed or alone."""
    return f"(id {id_}, ref {reference_of(f'Explain: rain on the roof {id_}, id: {id_}')})."


def _assert_own_answers(desk: Desk, ids: list[str]) -> None:
    """Every item is written once, done, with the answer to its own prompt."""
    results = desk.results()
    assert desk.written_ids() == each_once(ids)
    assert {row["status"] for row in results} == {"done"}
    strays = [row["id"] for row in results if _mark(row["id"]) not in row["output"]]
    assert strays == []


def _assert_results_tell_all_sends_and_costs(desk: Desk) -> None:
    """Over all starts: what the items say they took is what the calls took."""
    results = desk.results()
    sends = dict(desk.rows("SELECT items.id, COUNT(*) FROM sends JOIN items USING (seq) GROUP BY seq"))
    assert {row["id"]: row["attempts"] for row in results} == sends
    assert int(sum(Decimal(row["cost_usd"]) for row in results) * PUSD_PER_USD) == _spent(desk)


def _spent(desk: Desk) -> int:
    return int(desk.rows("SELECT COALESCE(SUM(cost_pusd), 0) FROM attempts")[0][0])


def _packed(desk: Desk, base_url: str, size: int | str = _SIZE, **tables: Any) -> Any:
    execution = {"items_per_request": size, "concurrency": 4} | tables.pop("execution", {})
    return desk.config(base_url, execution=execution, **tables)


@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {"dropped": 0.1},
        {"shuffled": 1.0},
        {"duplicated": 0.1},
        {"extra": 1.0},
        {"truncated": 0.4},
        {"fenced": 1.0},
        {"dropped": 0.05, "shuffled": 0.5, "duplicated": 0.05, "extra": 0.5, "truncated": 0.2, "fenced": 0.5},
    ],
    ids=lambda trouble: " ".join(trouble) or "none",
)
@pytest.mark.parametrize("form", ["text", "schema"])
async def test_whatever_a_model_does_to_packs_every_item_ends_with_its_own_answer(
    desk: Desk, trouble: dict[str, float], form: str
) -> None:
    ids = desk.items(120)
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
    async with simulator(pack_trouble=trouble) as server:
        config = _packed(desk, server.base_url, request=request)

        assert await desk.goes_on(config) == 0

        if form == "text":
            _assert_own_answers(desk, ids)
        else:
            assert desk.written_ids() == each_once(ids)
            assert all(row["output"]["id"] == row["id"] for row in desk.results())
        assert server.books.billed_pusd == _spent(desk)
        missed = desk.rows("SELECT COUNT(*) FROM attempts WHERE error_type = 'missing_in_pack'")
        assert (missed[0][0] > 0) == bool(trouble.keys() & {"dropped", "duplicated", "truncated"})
        least = math.ceil(len(ids) / _SIZE)
        assert server.books.received <= (least if not trouble else 5 * least)
        line_sum = sum(Decimal(row["cost_usd"]) for row in desk.results())
        assert int(line_sum * PUSD_PER_USD) == server.books.billed_pusd


async def test_an_item_that_spoils_its_packs_costs_its_neighbours_a_logarithm_of_requests(
    desk: Desk,
) -> None:
    ids = desk.items(160)
    async with simulator(poison_pattern=r"^m-(5|77)$") as server:
        assert await desk.goes_on(_packed(desk, server.base_url, 16)) == 0

        _assert_own_answers(desk, ids)
        spoiled = desk.rows("SELECT COUNT(*) FROM attempts WHERE outcome = 'partial'")[0][0]
        assert spoiled <= 2 * math.log2(16)
        # ten packs; for each of two its own request, one for its pack's rest, and log2 to find it
        assert server.books.received <= 10 + 2 * (2 + math.log2(16))


async def test_answers_cut_at_the_limit_give_their_whole_entries(desk: Desk) -> None:
    ids = desk.items(64)
    async with simulator(faults={"length": 1.0}, fault_tries=1) as server:
        config = _packed(desk, server.base_url, 16, execution={"concurrency": 1})

        assert await desk.goes_on(config) in (0, 7, 8)

        results = {row["id"]: row for row in desk.results()}
        assert list(results) and desk.written_ids() == each_once(ids)
        for id_, row in results.items():
            if row["status"] == "done":
                assert _mark(id_) in row["output"]
            else:
                assert row["error"]["type"] == "truncated"
        first = desk.rows("SELECT COUNT(*) FROM results WHERE attempts = 1 AND status = 'done'")[0][0]
        assert first >= 16
        assert server.books.billed_pusd == _spent(desk)


async def test_an_item_that_no_request_answers_fails_alone_and_says_why(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator(always_fail=r"^m-13$", always_fail_kind="http_500") as server:
        config = _packed(desk, server.base_url, retry={"max_attempts": 2})
        await desk.goes_on(config)

    results = {row["id"]: row for row in desk.results()}
    assert results.keys() == set(ids)
    failed = [row for row in results.values() if row["status"] != "done"]
    assert [(row["id"], row["error"]["type"]) for row in failed] == [("m-13", "server_error")]
    assert all(_mark(id_) in row["output"] for id_, row in results.items() if id_ != "m-13")


async def test_a_killed_packed_run_goes_on_and_keeps_each_item_once(desk: Desk) -> None:
    ids = desk.items(400)
    trouble = {"dropped": 0.05}
    async with simulator(latency_s=0.15, pack_trouble=trouble, poison_pattern=r"^m-(3|30)$") as server:
        config = _packed(desk, server.base_url)
        process = await desk.started("run", config)
        await until(lambda: server.books.served >= 8)
        process.kill()
        await process.communicate()
        accepted = desk.lines()
        assert 0 < len(accepted) < len(ids)
        server.change({"latency_s": 0.0})

        assert await desk.goes_on(config) == 0

        _assert_own_answers(desk, ids)
        assert accepted.items() <= desk.lines().items()
        unsent = desk.rows("SELECT COUNT(*) FROM items WHERE seq NOT IN (SELECT seq FROM sends)")
        assert unsent == [(0,)]
        lost = desk.rows("SELECT COUNT(*) FROM attempts WHERE is_maybe_billed = 1")[0][0]
        assert 0 < lost <= 4
        twice = sum(1 for times in server.books.served_ids.values() if times > 1)
        assert twice <= lost * _SIZE
        _assert_results_tell_all_sends_and_costs(desk)


async def test_concurrency_and_pack_size_reach_the_provider_and_so_does_a_live_change(desk: Desk) -> None:
    ids = desk.items(600)
    async with simulator(latency_s=0.1) as server:
        books = server.books
        config = _packed(desk, server.base_url, 12, execution={"concurrency": 3})
        async with desk.engine(config) as (run,):
            await _until_now(lambda: books.served >= 6)
            assert set(books.pack_sizes) == {12}
            assert books.max_in_flight == 3

            said = await run.command(Command("set", "test", {"items_per_request": "5", "concurrency": "6"}))
            assert said.is_ok
            await _until_now(lambda: books.pack_sizes[5] >= 12)
            assert books.max_in_flight == 6
            books.pack_sizes.clear()
            server.change({"latency_s": 0.0})
            await run.settled()

        assert books.pack_sizes.keys() <= {5, 600 % 5 or 5, *range(1, 5)}
        assert books.pack_sizes[5] > 10
        _assert_own_answers(desk, ids)
        decided = desk.rows("SELECT old, new, origin FROM decisions WHERE what = 'pack'")
        assert decided == [("12", "5", "test")]


async def test_the_tuner_grows_packs_a_person_pins_them_and_hands_them_back(desk: Desk) -> None:
    desk.items(20_000)
    async with simulator(latency_s=0.03, latency_per_item_s=0.0001) as server:
        sizes = server.books.pack_sizes
        config = _packed(desk, server.base_url, "1-4-40", execution={"concurrency": 8})
        async with desk.engine(config) as (run,):
            await _until_now(lambda: run.lane.pack_size >= 8)
            knob = _knob(run)
            assert (knob.low, knob.high, knob.origin, knob.is_pinned) == ("1", "40", "tuner", False)

            assert (await run.command(Command("set", "me@here", {"items_per_request": "5"}))).is_ok
            before = sizes[5]
            await _until_now(lambda: sizes[5] >= before + 20)
            others = sizes.total() - sizes[5]
            await _until_now(lambda: sizes[5] >= before + 60)
            assert sizes.total() - sizes[5] == others
            knob = _knob(run)
            assert (knob.value, knob.origin, knob.is_pinned) == ("5", "me@here", True)

            assert (await run.command(Command("set", "me@here", {"tuner": "on"}))).is_ok
            await _until_now(lambda: run.lane.pack_size >= 8)
            assert not _knob(run).is_pinned
            run.stop()
            await run.settled()
        decided = desk.rows("SELECT old, new, origin, why FROM decisions WHERE what = 'pack' ORDER BY id")
        assert decided[0][0] == "4"
        assert {origin for _, _, origin, _ in decided} == {"tuner", "me@here"}


async def test_a_person_may_pack_more_than_the_tuner_but_not_anything(desk: Desk) -> None:
    desk.items(40)
    async with simulator(latency_s=0.2) as server:
        config = _packed(desk, server.base_url, "1-4-8", execution={"concurrency": 1})
        async with desk.engine(config) as (run,):
            assert (await run.command(Command("set", "me@here", {"items_per_request": "20"}))).is_ok
            for wrong in ("0", "1001", "x", "-3"):
                assert not (await run.command(Command("set", "me@here", {"items_per_request": wrong}))).is_ok
            server.change({"latency_s": 0.0})
            await run.settled()
        assert server.books.pack_sizes[20] >= 1


async def test_the_cap_is_never_passed_by_packs_at_concurrency_200(desk: Desk) -> None:
    ids = desk.items(6000)
    cap = Decimal("0.02")
    async with simulator(latency_s=0.02, pack_trouble={"dropped": 0.02}) as server:
        config = _packed(
            desk, server.base_url, 5, execution={"concurrency": 200}, budget={"max_cost": float(cap)}
        )
        async with desk.engine(config) as (run,):
            await run.settled()
            assert run.exit_code == 6
            assert 0 < run.counts.done < len(ids)

        assert server.books.billed_pusd <= cap * PUSD_PER_USD
        assert server.books.billed_pusd == _spent(desk)


@pytest.mark.parametrize(("trouble", "least"), [({}, 1.0), ({"swapped": 1.0}, 0.5)])
async def test_a_sample_of_packed_items_is_asked_again_alone_and_what_agrees_is_reported(
    desk: Desk, trouble: dict[str, float], least: float
) -> None:
    ids = desk.items(400)
    async with simulator(pack_trouble=trouble) as server:
        config = _packed(desk, server.base_url, execution={"pack_check": 0.2})

        assert await desk.goes_on(config) == 0

        assert desk.written_ids() == each_once(ids)
        checked, agreed = desk.rows("SELECT COUNT(*), SUM(is_same) FROM checks")[0]
        assert 50 < checked < 110
        assert server.books.pack_sizes == {8: 50, 1: checked}
        assert least * checked <= agreed < checked + (not trouble)
        assert _spent(desk) == server.books.billed_pusd
        shown = (await desk.llmtop("show", "latest", "--json")).data
        assert shown["pack_check"] == {"checked": checked, "agreed": agreed}
        assert shown["requests"] == 50 + checked and shown["retries"] == 0
        if not trouble:
            _assert_own_answers(desk, ids)


async def test_checks_wait_for_no_money_and_a_run_without_it_is_done_all_the_same(desk: Desk) -> None:
    desk.items(16)
    async with simulator() as server:
        execution = {"pack_check": 1.0, "concurrency": 1}
        tables = {"request": {"max_output_tokens": 75}, "execution": execution}
        assert await desk.goes_on(_packed(desk, server.base_url, 16, **tables)) == 0
        assert server.books.received == 17
        reserved = desk.rows("SELECT MAX(reserved_pusd) FROM attempts")[0][0]
        spent = server.books.billed_pusd
        cap = {"max_cost": round(reserved / PUSD_PER_USD, 12)}
        config = _packed(
            desk, server.base_url, 16, name="tight", budget=cap, output={"path": "tight.jsonl"}, **tables
        )

        assert await desk.goes_on(config) == 0

        assert server.books.billed_pusd - spent <= reserved
        assert 17 < server.books.received < 34


async def test_a_check_that_fails_for_good_is_left_out(desk: Desk) -> None:
    desk.items(16)
    async with simulator(blocked_pattern=r"^Explain: .* id: m-3$") as server:
        config = _packed(desk, server.base_url, execution={"pack_check": 1.0})

        assert await desk.goes_on(config) == 0

        assert desk.rows("SELECT COUNT(*), SUM(is_same) FROM checks") == [(15, 15)]
        assert server.books.rejected.total() == 1


async def test_a_plan_counts_packs_and_show_says_what_came_of_it(desk: Desk) -> None:
    desk.items(100)
    async with simulator() as server:
        config = _packed(desk, server.base_url, 15)
        (plan,) = (await desk.llmtop("plan", config, "--json")).data

        assert await desk.goes_on(config) == 0

        said = await desk.llmtop("show", "latest")
        shown = (await desk.llmtop("show", "latest", "--json")).data
    assert (plan["requests"], plan["items_per_request"]) == (7, 15)
    assert shown["planned"]["requests"] == shown["requests"] == 7
    assert shown["planned"]["cost_usd"] == plan["realtime"]["cost_usd"]
    assert Decimal(shown["cost_usd"]) < Decimal(plan["realtime"]["cost_usd"])
    assert 0.6 < shown["tokens"]["input"] / plan["input_tokens"] < 1.4
    assert "planned    7 requests (now 7)" in said.out


async def test_runs_on_one_lane_have_each_their_own_size_of_packs(desk: Desk) -> None:
    desk.items(60)
    async with simulator() as server:
        configs = [
            _packed(desk, server.base_url, size, name=f"by-{size}", output={"path": f"{size}.jsonl"})
            for size in (1, 6, 20)
        ]

        assert await desk.goes_on(*configs) == 0

        assert server.books.pack_sizes == {1: 60, 6: 10, 20: 3}


async def test_what_packs_have_bought_is_in_the_cache_for_single_items_and_packs(desk: Desk) -> None:
    ids = desk.items(40)
    async with simulator() as server:
        cache = {"enabled": True}
        assert await desk.goes_on(_packed(desk, server.base_url, cache=cache)) == 0
        assert server.books.received == 5

        for size, name in ((1, "single"), (20, "larger")):
            desk.output = desk.folder / f"{name}.jsonl"
            assert await desk.goes_on(_packed(desk, server.base_url, size, name=name, cache=cache)) == 0
            _assert_own_answers(desk, ids)
            assert {row["via"] for row in desk.results()} == {"cache"}

        assert server.books.received == 5


async def test_packs_of_one_are_no_packs(desk: Desk) -> None:
    ids = desk.items(20)
    async with simulator() as server:
        assert await desk.goes_on(_packed(desk, server.base_url, 1)) == 0

        assert server.books.pack_sizes == {1: 20}
        assert {row["pack_id"] for row in desk.results()} == {None}
        assert desk.rows("SELECT COUNT(*) FROM packed") == [(0,)]
        _assert_own_answers(desk, ids)


def _knob(run: Run) -> Knob:
    view = picture(run, MemoryView(), ProcessView())
    return next(knob for knob in view.tuner.knobs if knob.name == "items_per_request")


async def _until_now(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.005)
