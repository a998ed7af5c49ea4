"""Runs side by side, from their ledgers alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compared_runs import COST, make, tried
from ledger_values import end, put_all, result

from llmtop.adapters.home import Home
from llmtop.adapters.ledger import Finish
from llmtop.config.schema import InputConfig, ProviderConfig, RequestConfig, RunConfig
from llmtop.control.compare import ComparedRun, compare
from llmtop.errors import UsageError
from llmtop.model import Attempt, Result


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", {})


def latent(seq: int, milliseconds: int, **changes: Any) -> Result:
    return replace(result(seq), latency_ms=milliseconds, **changes)


async def test_each_run_has_its_counts_its_speed_and_its_price(home: Home) -> None:
    trail = ({"use": "typos", "hits": 1}, {"use": "scripts", "hits": 3})
    rows = [
        latent(0, 100),
        latent(1, 300),
        replace(result(2, "rejected"), filters=trail, latency_ms=200),
        replace(result(3, "failed"), latency_ms=400),
    ]
    (await make(home, "one", tried(*rows))).close()
    (await make(home, "two", [], elapsed_s=0.0)).close()

    one, two = compare(home, ["one", "two"])

    assert (one.name, one.model, one.state) == ("one", "model of one", "stopped")
    assert (one.counts.done, one.counts.rejected, one.counts.failed, one.counts.pending) == (2, 1, 1, 0)
    assert (dict(one.rejected_by), dict(one.failed_by)) == ({"scripts": 1}, {"timeout": 1})
    assert (one.items_per_s, one.latency_p50_ms, one.latency_p95_ms) == (0.5, 200, 400)
    assert (one.requests, one.input_tokens, one.output_tokens) == (4, 1640, 328)
    assert (one.cost_pusd, one.cost_per_1000_pusd) == (4 * COST, 1000 * COST)
    assert (one.whole_items, one.cost_whole_pusd, one.agreement) == (4, 4 * COST, None)
    assert (two.counts.pending, two.items_per_s, two.latency_p95_ms) == (4, None, None)
    assert (two.cost_per_1000_pusd, two.cost_whole_pusd) == (None, None)


async def test_a_rejection_without_a_trail_counts_by_what_it_says(home: Home) -> None:
    for name in ("one", "two"):
        (await make(home, name, tried(result(0, "rejected"), result(1, "rejected")))).close()

    assert dict(compare(home, ["one", "two"])[0].rejected_by) == {"why 0": 1, "why 1": 1}


async def test_hits_are_counted_apart_and_have_no_latency(home: Home) -> None:
    hits = [Finish(latent(seq, 0, via="cache", cost_pusd=0)) for seq in (1, 2)]
    (await make(home, "one", [*tried(latent(0, 700)), *hits])).close()
    (await make(home, "two", [])).close()

    one, _ = compare(home, ["one", "two"])

    assert (one.cache_hits, one.requests, one.latency_p50_ms, one.latency_p95_ms) == (2, 1, 700, 700)
    assert one.cost_per_1000_pusd == COST * 1000 // 3


async def test_an_unknown_price_is_no_price(home: Home) -> None:
    (await make(home, "one", [Attempt(1, 0, 1, 1000.0), Finish(result(0), end(1, cost_pusd=None))])).close()
    (await make(home, "two", [])).close()

    one, _ = compare(home, ["one", "two"])

    assert (one.cost_pusd, one.is_cost_at_least) == (0, True)
    assert (one.cost_per_1000_pusd, one.cost_whole_pusd) == (None, None)


@pytest.mark.parametrize(
    ("first", "other", "equal", "compared"),
    [
        (["yes", "no", "yes"], [" YES ", "yes", "y e s"], 1, 3),
        ([{"a": 1, "b": 2}, [1], 2], [{"b": 2, "a": 1}, [2], 2], 2, 3),
        (["x" * 200, "no", "no"], ["x" * 200, "no", "x" * 200], 1, 1),
        ([{"a": "no"}, "1", "no"], ["no", 1, "no"], 1, 3),
    ],
)
async def test_short_and_structured_outputs_are_held_against_the_first_run(
    home: Home, first: list[Any], other: list[Any], equal: int, compared: int
) -> None:
    for name, outputs in (("one", first), ("two", other)):
        rows = [result(seq, output=output) for seq, output in enumerate(outputs)]
        (await make(home, name, tried(*rows, result(3, "failed")))).close()

    _, two = compare(home, ["one", "two"])

    assert two.agreement is not None
    assert (two.agreement.equal, two.agreement.compared) == (equal, compared)


async def test_only_items_that_both_have_are_held_against_each_other(home: Home) -> None:
    (await make(home, "one", tried(result(0, output="a"), result(2, output="c")))).close()
    (
        await make(home, "two", tried(result(1, output="a"), result(2, output="c"), result(3, output="d")))
    ).close()

    _, two = compare(home, ["one", "two"])

    assert two.agreement is not None
    assert (two.agreement.equal, two.agreement.compared, two.agreement.share) == (1, 1, 1.0)


async def test_a_live_run_is_compared_as_it_stands(home: Home) -> None:
    live = await make(home, "one", tried(result(0), result(1)), elapsed_s=0.0)
    (await make(home, "two", [])).close()

    one, _ = compare(home, ["one", "two"])
    await put_all(live, [Attempt(9, 2, 1, 1000.0), Finish(result(2), end(9))])
    later, _ = compare(home, ["one", "two"])
    live.close()

    assert (one.counts.done, later.counts.done, one.state) == (2, 3, "running")
    assert one.items_per_s is not None and one.items_per_s > 0


async def test_a_sample_says_what_the_whole_input_would_cost(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(f'{{"id": "m-{seq}", "text": "x"}}\n' for seq in range(500)))
    config = RunConfig(
        name="sample",
        file=None,
        provider=ProviderConfig(model="m"),
        request=RequestConfig(prompt="{text}"),
        input=InputConfig(path=path, limit=4),
    )
    for name in ("one", "two"):
        (await make(home, name, tried(*(result(seq) for seq in range(4))), config=config)).close()

    one, _ = compare(home, ["one", "two"])
    path.unlink()
    gone, _ = compare(home, ["one", "two"])

    assert (one.whole_items, one.cost_whole_pusd) == (500, 500 * COST)
    assert (gone.whole_items, gone.cost_whole_pusd) == (None, None)
    assert gone.cost_per_1000_pusd == 1000 * COST


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["m-0", "m-1", "other", "m-3"], "'other' stands where that has 'm-2'"),
        (["m-1", "m-0", "m-2", "m-3"], "'m-1' stands where that has 'm-0'"),
        (["m-0", "m-1"], "one-000000: has items that two-000000 has not ('m-2' is the first)"),
        ([f"m-{seq}" for seq in range(6)], "two-000000: has items that one-000000 has not ('m-4'"),
    ],
)  # fmt: skip
async def test_runs_over_different_items_are_refused_with_the_first_difference(
    home: Home, ids: list[str], said: str
) -> None:
    (await make(home, "one", [])).close()
    (await make(home, "two", [], ids=ids)).close()

    with pytest.raises(UsageError) as caught:
        compare(home, ["one", "two"])

    assert said in str(caught.value)


async def test_one_run_alone_and_a_run_twice_are_refused(home: Home) -> None:
    (await make(home, "one", [])).close()

    with pytest.raises(UsageError, match="needs two runs or more"):
        compare(home, ["one"])
    with pytest.raises(UsageError, match="a second time"):
        compare(home, ["one", "latest"])
    with pytest.raises(UsageError, match="is not in the state folder"):
        compare(home, ["one", "none"])


def _types(run: ComparedRun) -> list[str]:
    return [type(value).__name__ for value in (run.cost_pusd, run.cost_whole_pusd)]


async def test_money_stays_whole(home: Home) -> None:
    for name in ("one", "two"):
        (await make(home, name, tried(result(0), result(1), result(2)))).close()

    assert _types(compare(home, ["one", "two"])[0]) == ["int", "int"]
