"""Whole runs of the kinds anthropic and gemini: every item once, with its own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, each_once, simulator

from llmtop.adapters.simulator import SimulatedProvider, reference_of

KINDS = ["anthropic", "gemini"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def config(desk: Desk, server: SimulatedProvider, kind: str, **tables: Any) -> Path:
    provider = {"kind": kind, "base_url": server.root_url} | tables.pop("provider", {})
    return desk.config(server.root_url, provider=provider, **tables)


async def run(desk: Desk, path: Path) -> None:
    async with desk.engine(path) as runs:
        for each in runs:
            await each.settled()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_item_gets_its_own_answer_and_the_cost_is_the_servers(desk: Desk, kind: str) -> None:
    ids = desk.items(20)
    async with simulator(require_key="sk-simulated-1234", reasoning_tokens=7, rate_headers=True) as server:
        await run(desk, config(desk, server, kind))
        books = server.books

    results = desk.results()
    assert desk.written_ids() == each_once(ids)
    assert {result["status"] for result in results} == {"done"}
    for result in results:
        prompt = f"Explain: rain on the roof {result['id']}, id: {result['id']}"
        assert reference_of(prompt) in result["output"]
        assert result["usage"]["reasoning_tokens"] == 7
    billed = sum(float(result["cost_usd"]) for result in results)
    assert billed == pytest.approx(books.billed_pusd / 1e12)
    assert books.served == books.received == 20


@pytest.mark.parametrize("kind", KINDS)
async def test_faults_and_limits_are_lived_through(desk: Desk, kind: str) -> None:
    ids = desk.items(15)
    faults = {
        "http_500": 0.1, "http_529": 0.1, "truncated": 0.1, "empty_body": 0.1, "null_content": 0.1,
        "no_choices": 0.1, "error_in_200": 0.1, "html_200": 0.1, "missing_usage": 0.1,
    }  # fmt: skip
    async with simulator(faults=faults, fault_tries=1, concurrency=3, hint="none") as server:
        path = config(desk, server, kind, retry={"max_wait": "20ms", "max_attempts": 10})
        await run(desk, path)
        books = server.books

    assert desk.written_ids() == each_once(ids)
    assert {result["status"] for result in desk.results()} == {"done"}
    assert sum(books.faults.values()) > 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "error"), [("refusal", {"refusal", "content_filter"}), ("length", {"truncated"})]
)
async def test_a_refusal_and_a_cut_fail_the_item_with_their_name(
    desk: Desk, kind: str, fault: str, error: set[str]
) -> None:
    desk.items(3)
    async with simulator(faults={fault: 1.0}) as server:
        await run(desk, config(desk, server, kind))
        received = server.books.received

    assert {result["error"]["type"] for result in desk.results()} <= error
    assert received == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_schema_is_asked_for_and_its_value_is_the_output(desk: Desk, kind: str) -> None:
    desk.items(3)
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "title": {"type": "string"}},
        "required": ["id", "title"],
        "additionalProperties": False,
    }
    (desk.folder / "schema.json").write_text(json.dumps(schema))
    async with simulator() as server:
        request = {"response_format": "schema", "schema_file": "schema.json"}
        await run(desk, config(desk, server, kind, request=request))

    outputs = {result["id"]: result["output"] for result in desk.results()}
    assert {id_: output["id"] for id_, output in outputs.items()} == {each: each for each in outputs}
    assert len(outputs) == 3


async def test_anthropic_batch_lines_are_sent_as_they_are(desk: Desk) -> None:
    lines = [
        {
            "custom_id": f"c-{index}",
            "params": {
                "model": "sim-large",
                "max_tokens": 300,
                "messages": [{"role": "user", "content": f"Rain {index}"}],
            },
        }
        for index in range(4)
    ]
    (desk.folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with simulator() as server:
        await run(desk, config(desk, server, "anthropic", request={"prompt": None}))

    results = {result["id"]: result for result in desk.results()}
    assert set(results) == {f"c-{index}" for index in range(4)}
    for id_, result in results.items():
        assert reference_of(f"Rain {id_[2:]}") in result["output"]
        assert result["model"] == "sim-large"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_key_stops_the_run_and_is_never_shown(desk: Desk, kind: str) -> None:
    desk.items(5)
    async with simulator(require_key="sk-other", echo_key=True) as server:
        path = config(desk, server, kind)
        said = await desk.llmtop("run", path, "--display", "plain")

    assert said.code == 3
    assert "sk-simulated-1234" not in said.out + said.err
    assert desk.results() == []
