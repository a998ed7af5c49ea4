"""What an answer is, whichever way it came: its form, refusals, cuts, and usage of the cache."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider
from llmtop.run.run import Run

KINDS = ["openai", "anthropic", "gemini"]
SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "title": {"type": "string"}},
    "required": ["id", "title"],
    "additionalProperties": False,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["realtime", "batch"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_for(desk: Desk, server: SimulatedProvider, kind: str, way: str, **tables: Any) -> Path:
    base = server.base_url if kind == "openai" else server.root_url
    given: dict[str, Any] = {
        "provider": {"kind": kind, "base_url": base},
        "execution": {"mode": way},
        "prices": {"batch_discount": 0.5},
    }
    if way == "batch":
        given["batch"] = {"look_for": "0s", "poll_interval": "20ms"}
    path: Path = desk.config(base, **given, **tables)
    return path


async def finishes(desk: Desk, config: Path) -> Run:
    run: Run
    async with desk.engine(config) as (run,), asyncio.timeout(30):
        await run.settled()
        return run


@pytest.mark.parametrize("form", ["text", "json", "schema"])
async def test_each_form_of_output_comes_as_it_was_asked_for(
    desk: Desk, kind: str, way: str, form: str
) -> None:
    ids = desk.items(3)
    (desk.folder / "schema.json").write_text(json.dumps(SCHEMA))
    request = {"response_format": form, "system": "You explain the weather."}
    if form == "schema":
        request["schema_file"] = "schema.json"
    async with simulator(batch_s=0.02) as server:
        run = await finishes(desk, config_for(desk, server, kind, way, request=request))

    outputs = {result["id"]: result["output"] for result in desk.results()}
    assert run.exit_code == 0, run.log
    assert desk.written_ids() == each_once(ids)
    for item_id, output in outputs.items():
        assert item_id in output if form == "text" else output["id"] == item_id
        assert isinstance(output, str if form == "text" else dict)


@pytest.mark.parametrize(
    ("trouble", "names"),
    [
        ("refusal", {"refusal", "content_filter"}),
        ("content_filter", {"content_filter", "refusal"}),
        ("length", {"truncated"}),
    ],
)
async def test_what_was_refused_or_cut_fails_its_item_once_with_its_name(
    desk: Desk, kind: str, way: str, trouble: str, names: set[str]
) -> None:
    ids = desk.items(3)
    settings: dict[str, Any] = {"faults" if way == "realtime" else "batch_lines": {trouble: 1.0}}
    async with simulator(batch_s=0.02, **settings) as server:
        run = await finishes(desk, config_for(desk, server, kind, way))
        books = server.books

    assert run.exit_code == 7
    assert desk.written_ids() == each_once(ids)
    assert {result["error"]["type"] for result in desk.results()} <= names
    assert books.billed_requests == 3
    assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == books.billed_pusd


async def test_cached_and_reasoning_tokens_are_counted_and_priced(desk: Desk, kind: str, way: str) -> None:
    desk.items(6)
    request = {"system": "You explain the weather to people who learn English, slowly and kindly."}
    settings = {"cached_prefix_tokens": 4, "reasoning_tokens": 9}
    async with simulator(batch_s=0.02, **settings) as server:
        run = await finishes(desk, config_for(desk, server, kind, way, request=request))
        books = server.books

    usages = [result["usage"] for result in desk.results()]
    assert run.exit_code == 0, run.log
    assert sum(usage["cached_input_tokens"] for usage in usages) == books.cached_tokens > 0
    assert sum(usage["reasoning_tokens"] for usage in usages) == books.reasoning_tokens == 54
    assert sum(usage["input_tokens"] for usage in usages) == books.prompt_tokens
    assert sum(usage["output_tokens"] for usage in usages) == books.completion_tokens
    assert int(desk.rows("SELECT SUM(cost_pusd) FROM attempts")[0][0]) == books.billed_pusd


async def test_a_model_that_is_not_there_stops_the_run_and_names_it(desk: Desk, kind: str, way: str) -> None:
    desk.items(3)
    retry = {"max_wait": "20ms"}
    async with simulator(batch_s=0.02, missing_models=["sim-small"]) as server:
        run = await finishes(desk, config_for(desk, server, kind, way, retry=retry))

    assert run.exit_code == 3
    assert any("sim-small" in line.text for line in run.log)
    assert sum(server.books.batches_created.values()) <= 1
