"""`attach` and `demo` without a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from llmtop.errors import StateError
from llmtop.model import RunCounts
from llmtop.snapshot import RunLine

Llmtop = Callable[..., Any]


def test_attach_without_a_terminal_follows_with_lines_to_the_end(llmtop: Llmtop, world: Any) -> None:
    world.doors["motions-3f9a2c"].states = ("running", "finished")

    said = llmtop("attach", "motions-3f9a2c")

    assert said.code == 0
    assert "is now running" in said.out and "run motions-3f9a2c finished" in said.out


def test_attach_to_a_run_that_nobody_runs_sums_it_up(llmtop: Llmtop, world: Any) -> None:
    world.home.pid = None
    world.doors["motions-3f9a2c"].states = ("stopped",)

    said = llmtop("attach", "--json")

    assert [json.loads(line)["event"] for line in said.out.splitlines()] == ["run_started", "run_finished"]


def test_a_full_display_needs_a_terminal(llmtop: Llmtop) -> None:
    said = llmtop("attach", "latest", "--display", "full")

    assert said.code == 2
    assert "needs a terminal" in said.err


def test_the_demo_writes_its_results_into_the_state_folder(llmtop: Llmtop, world: Any) -> None:
    assert llmtop("demo", "--display", "none").code == 0

    ((configs, options),) = world.started
    assert configs[0].output.path == world.home.folder / "demo" / "explanations.jsonl"
    assert options.fresh is True, "there is no run to go on with"


def test_a_demo_that_was_cut_off_goes_on_and_one_that_is_over_begins_anew(llmtop: Llmtop, world: Any) -> None:
    for state in ("stopped", "finished"):
        world.home.lines = (RunLine("q-1", "quickstart", state, RunCounts(9, 4), 0, False, 1.0, None),)
        llmtop("demo", "--display", "none")

    assert [options.fresh for _, options in world.started] == [False, True]


def test_a_ledger_that_cannot_be_read_is_named_beside_those_that_can(llmtop: Llmtop, world: Any) -> None:
    world.home.lines = (RunLine("q-1", "quickstart", "running", RunCounts(9, 4), 0, False, 1.0, None),)
    world.home.faults = (StateError("runs/x/run.db", "is damaged", "Restore it from a backup"),)

    said = llmtop("runs")

    assert said.code == 4
    assert "q-1" in said.out
    assert said.err == "llmtop: runs/x/run.db: is damaged; Restore it from a backup\n"
