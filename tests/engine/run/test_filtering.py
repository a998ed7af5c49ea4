"""The filters of one run: checked before anything is sent, counted when committed, kept over restarts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Desk, simulator, until

from llmtop.config.loader import load_config
from llmtop.config.schema import RunConfig
from llmtop.control.opening import open_run
from llmtop.engine import Engine
from llmtop.errors import ConfigErrors
from llmtop.model import Item
from llmtop.policy.filters import build_chain
from llmtop.run.filtering import RunFilters, chain_of
from llmtop.run.opened import StartOptions
from llmtop.snapshot import FilterView

ITEM = Item(0, "m-0", {"title": "Vrije dag"})
NO_ROOF: Mapping[str, Any] = {"use": "regex", "forbid": ["m-3\\b"]}
SHOUT = {"use": "replace_words", "map": {"Explain": "Tell"}}


def run_filters(*tables: Mapping[str, Any]) -> RunFilters:
    return RunFilters(build_chain(tables, allow_code=True))


def config_of(*tables: Mapping[str, Any], file: str = "/data/run.toml") -> RunConfig:
    return RunConfig(name="run", file=Path(file), filters=tables)


def write_filters(path: Path, *tables: Mapping[str, Any]) -> Path:
    """Add `[[filters]]` to a config."""
    blocks = (
        "\n[[filters]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
        for table in tables
    )
    path.write_text(path.read_text() + "".join(blocks))
    return path


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value)


# -- the check -------------------------------------------------------------------------------------


def test_all_faults_of_the_filters_come_with_the_files_name_and_their_places() -> None:
    bad = config_of({"use": "scripts", "allow": ["Latin"], "shar": 0.5}, {"use": "lenght"})

    with pytest.raises(ConfigErrors) as caught:
        chain_of(bad, allow_code=False)

    assert caught.value.exit_code == 2
    first, second = str(caught.value).splitlines()
    assert first == '/data/run.toml: filters[1].shar: unknown key; Did you mean "share"?'
    assert second.startswith('/data/run.toml: filters[2].use: is "lenght", which is no filter')


def test_code_that_is_not_allowed_is_refused_by_the_name_of_its_function() -> None:
    with pytest.raises(ConfigErrors, match=r"filters\[1\]: runs code of yours \(/data/own\.py:check\)"):
        chain_of(config_of({"use": "python", "call": "/data/own.py:check"}), allow_code=False)


def test_a_function_for_processes_of_its_own_is_loaded_in_one_and_not_here(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\n"
        f"open({str(tmp_path)!r} + '/' + str(os.getpid()), 'w').close()\n"
        "def check(text, fields): ...\n"
    )
    table = {"use": "python", "call": f"{tmp_path}/own.py:check", "workers": 1}

    assert len(chain_of(config_of(table), allow_code=True)) == 1
    with pytest.raises(ConfigErrors, match=r"filters\[1\]\.call: names \"chekc\""):
        chain_of(config_of(table | {"call": f"{tmp_path}/own.py:chekc"}), allow_code=True)

    loaded_by = {path.name for path in tmp_path.iterdir()} - {"own.py", "__pycache__"}
    assert len(loaded_by) == 2
    assert str(os.getpid()) not in loaded_by


# -- one output ------------------------------------------------------------------------------------


def test_an_output_is_filtered_alike_with_and_without_processes(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def check(text, fields): return text + ' ' + fields['title']\n")
    call = f"{tmp_path}/own.py:check"
    around = ({"use": "typos", "map": {"teh": "the"}}, {"use": "length", "max_words": 4})
    here = run_filters(around[0], {"use": "python", "call": call}, around[1])
    there = run_filters(around[0], {"use": "python", "call": call, "workers": 2}, around[1])

    try:
        assert not here.needs_pool
        assert there.needs_pool
        for output in ("teh day", "one two three", {"a": ["teh day"], "b": 1}):
            expected = here.apply(output, ITEM)
            assert there.apply(output, ITEM) == replace(expected, rejected_by=_as_in(there, expected))
            assert asyncio.run(there.apply_async(output, ITEM)) == there.apply(output, ITEM)
    finally:
        there.close()
    assert expected.output == {"a": ["the day Vrije dag"], "b": 1}


def _as_in(filters: RunFilters, result: Any) -> Any:
    """The rejection names its step, which is another object in another chain."""
    rejection = result.rejected_by
    return rejection and replace(rejection, step=filters.chain.steps[rejection.place - 1])


async def test_a_function_that_fails_rejects_that_answer_only(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\ndef check(text, fields):\n    if text == 'bad':\n        os._exit(1)\n"
    )
    filters = run_filters({"use": "python", "call": f"{tmp_path}/own.py:check", "workers": 2})
    try:
        results = await asyncio.gather(*(filters.apply_async(text, ITEM) for text in ("a", "bad", "c")))
    finally:
        filters.close()

    assert [result.rejected_by is None for result in results] == [True, False, True]
    assert results[1].rejected_by is not None
    assert results[1].rejected_by.message == "python: made its process end"


REJECTED = {"use": "duplicate", "place": 2, "hits": 1, "reason": "x"}


# -- counts and memory -------------------------------------------------------------------------------


def line(id: str, output: Any, *trail: Mapping[str, Any], status: str = "done") -> bytes:
    return json.dumps({"id": id, "status": status, "output": output, "filters": list(trail)}).encode()


def test_what_the_ledger_holds_is_counted_and_remembered_again() -> None:
    filters = run_filters(SHOUT, {"use": "duplicate"})

    filters.restore(
        [
            line("m-1", "Tell it", {"use": "replace_words", "place": 1, "hits": 2, "what": "x"}),
            line(
                "m-2",
                "Tell it",
                {"use": "duplicate", "place": 2, "hits": 1, "reason": "x"},
                status="rejected",
            ),
            line("m-3", "else", {"use": "length", "place": 2, "hits": 9, "what": "of another chain"}),
            line("m-4", "more", {"use": "length"}, "nonsense"),  # type: ignore[arg-type]
        ]
    )

    assert filters.wants_all
    assert filters.views() == (FilterView("replace_words", 1, 2, 1, 0), FilterView("duplicate", 2, 1, 0, 1))
    again = filters.apply("tell  IT", Item(9, "m-9", {}))
    assert again.rejected_by is not None and '"m-1"' in again.rejected_by.reason
    assert filters.apply("Tell it", Item(1, "m-1", {})).rejected_by is None


def test_without_a_duplicate_filter_the_lines_that_no_filter_touched_are_not_needed() -> None:
    assert not run_filters(SHOUT).wants_all


# -- whole runs --------------------------------------------------------------------------------------


async def test_rejected_items_have_their_own_file_with_rule_and_text(desk: Desk) -> None:
    desk.items(6)
    async with simulator() as server:
        path = write_filters(
            desk.config(server.base_url, output={"rejected_path": "rejected.jsonl"}), NO_ROOF
        )
        async with desk.engine(path) as (run,):
            await run.settled()
            assert run.exit_code == 7
            (view,) = run.parts.filters.views() if run.parts.filters else ()

    (rejected,) = desk.results(desk.folder / "rejected.jsonl")
    assert rejected["id"] == "m-3"
    assert rejected["status"] == "rejected"
    assert rejected["error"]["type"] == "filtered"
    assert rejected["error"]["message"].startswith("regex: ")
    assert "m-3" in rejected["output"]
    assert rejected["filters"][0]["use"] == "regex"
    assert set(desk.written_ids()) == {"m-0", "m-1", "m-2", "m-4", "m-5"}
    assert (view.name, view.rejected) == ("regex", 1)


async def test_a_run_that_goes_on_has_counted_everything(desk: Desk) -> None:
    desk.items(12)
    async with simulator(latency_s=0.05) as server:
        path = write_filters(desk.config(server.base_url, execution={"concurrency": 1}), NO_ROOF)
        async with desk.engine(path) as (run,):
            await until(lambda: run.counts.rejected == 1)
        server.change({"latency_s": 0.0})
        async with desk.engine(path) as (again,):
            assert again.id == run.id
            assert again.parts.filters is not None
            assert [view.rejected for view in again.parts.filters.views()] == [1]
            await again.settled()
            assert [view.rejected for view in again.parts.filters.views()] == [1]


async def test_the_snapshot_of_a_run_shows_its_filters_and_processes_end_with_it(desk: Desk) -> None:
    desk.items(4)
    (desk.folder / "own.py").write_text(
        "import os\ndef check(text, fields): return f'{os.getpid()} {text}'\n"
    )
    async with simulator() as server:
        path = write_filters(
            desk.config(server.base_url), {"use": "python", "call": "own.py:check", "workers": 1}
        )
        async with Engine(desk.home, environ=desk.environ) as engine:
            with pytest.raises(ConfigErrors, match="--allow-code"):
                await engine.open(load_config(path), StartOptions())
            await engine.open(load_config(path), StartOptions(allow_code=True))
            engine.start()
            await engine.settled()
            (run,) = engine.runs.values()
            snapshot = engine.snapshot(run.id)

    assert snapshot.filters == (FilterView("python", 1, 4, 4, 0),)
    (pid,) = {result["output"].split()[0] for result in desk.results()}
    assert not Path(f"/proc/{pid}").exists()


async def test_a_run_at_rest_shows_what_its_filters_did(desk: Desk) -> None:
    desk.items(6)
    async with simulator() as server:
        path = write_filters(
            desk.config(server.base_url), NO_ROOF, {"use": "normalise", "quotes": "straight"}
        )
        async with desk.engine(path) as (run,):
            await run.settled()
            live = run.parts.filters.views() if run.parts.filters else ()

    door = await open_run(desk.home, run.id)
    snapshot = await door.snapshot()
    await door.close()

    assert snapshot.filters == live
    assert (live[0].rejected, live[1].changed) == (1, 5)
