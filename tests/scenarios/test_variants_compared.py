"""The same items under several settings, in one process, and then side by side."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

from whole_runs import Desk, each_once, simulator

VARIANTS = """
[[variants]]
name = "plain"

[[variants]]
name = "tight"
request.max_output_tokens = 3
retry.max_attempts = 1

[[variants]]
name = "other"
provider.model = "sim-large"
output.path = "of-its-own.jsonl"
"""


def with_variants(config: Path) -> Path:
    config.write_text(config.read_text() + VARIANTS)
    return config


async def test_one_config_with_variants_runs_them_all_and_compare_tells_them_apart(desk: Desk) -> None:
    ids = desk.items(12)
    async with simulator() as server:
        config = with_variants(desk.config(server.base_url))
        said = await desk.llmtop("run", config, "--limit", "10")
        assert said.code == 7  # the tight one cuts answers off
        assert server.books.received == 30

        compared = await desk.llmtop("compare", "job-plain", "job-tight", "job-other", "--json")
        table = await desk.llmtop("compare", "job-plain", "job-tight", "job-other")
        rows = await desk.llmtop("compare", "job-plain", "job-other", "--csv")

    plain, tight, other = compared.data
    assert (plain["model"], other["model"]) == ("sim-small", "sim-large")
    assert [run["counts"]["done"] for run in (plain, tight, other)] == [10, 0, 10]
    assert tight["failed_by"] == {"truncated": 10}
    assert (plain["items"], plain["whole_items"]) == (10, 12)
    assert plain["cost_usd"] == desk_cost(desk, "job-plain")
    assert "truncated" in table.out and "job-other" in table.out
    assert [row["name"] for row in csv.DictReader(io.StringIO(rows.out))] == ["job-plain", "job-other"]
    assert desk.written_ids(desk.folder / "out.plain.jsonl") == each_once(ids[:10])
    assert desk.written_ids(desk.folder / "of-its-own.jsonl") == each_once(ids[:10])


def desk_cost(desk: Desk, run: str) -> str:
    """Return what the attempts of a run cost, in exact dollars."""
    spent = int(desk.rows("SELECT SUM(cost_pusd) FROM attempts", run)[0][0])
    return format(Decimal(spent).scaleb(-12).normalize(), "f")


async def test_runs_over_different_items_are_refused_with_the_first_difference(desk: Desk) -> None:
    desk.items(6)
    async with simulator() as server:
        for name, limit in (("one", "6"), ("two", "4")):
            config = desk.config(server.base_url, name=name, output={"path": f"{name}.jsonl"})
            assert (await desk.llmtop("run", config, "--limit", limit)).code == 0

        said = await desk.llmtop("compare", "one", "two")

    assert (said.code, said.out) == (2, "")
    assert "'m-4' is the first" in said.err


async def test_a_fault_in_a_variant_stops_all_before_anything_is_sent(desk: Desk) -> None:
    desk.items(3)
    async with simulator() as server:
        config = desk.config(server.base_url)
        config.write_text(config.read_text() + '\n[[variants]]\nname = "a"\nprovider.modl = "x"\n')

        said = await desk.llmtop("run", config)

        assert (said.code, server.books.received) == (2, 0)
    assert "variants.a.provider.modl" in said.err
