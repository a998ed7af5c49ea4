"""`run`: what is checked before anything starts, how it is shown, and the code it ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmtop.control.spawning import RunOptions
from llmtop_tui.cli.run import fill_bare_resume

Llmtop = Callable[..., Any]
GOOD = """
[provider]
kind = "simulator"
model = "sim"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "items.jsonl").write_text('{"id": "m-1", "text": "x"}\n')
    file = tmp_path / "motions.toml"
    file.write_text(GOOD)
    return file


def test_faults_of_all_files_are_told_together_and_nothing_starts(
    llmtop: Llmtop, world: Any, tmp_path: Path, config: Path
) -> None:
    (tmp_path / "one.toml").write_text(GOOD + "[exekution]\n")
    (tmp_path / "two.toml").write_text(GOOD + "[retry]\nmax_attempts = 0\n")

    said = llmtop("run", str(config), str(tmp_path / "one.toml"), str(tmp_path / "two.toml"))

    assert (said.code, said.out, world.started) == (2, "", [])
    assert all(line.startswith("llmtop: ") for line in said.err.splitlines())
    assert "one.toml: exekution" in said.err and "two.toml: retry.max_attempts" in said.err


def test_config_faults_in_json_name_file_place_and_remedy(llmtop: Llmtop, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(GOOD + "[retry]\nmax_attempt = 3\n")

    said = llmtop("run", str(tmp_path / "one.toml"), "--json")

    fault = json.loads(said.err)["error"]["faults"][0]
    assert fault["file"].endswith("one.toml")
    assert fault["where"] == "retry.max_attempt"
    assert "max_attempts" in fault["remedy"]


def test_a_pattern_that_matches_nothing_is_refused(llmtop: Llmtop, tmp_path: Path) -> None:
    said = llmtop("run", f"{tmp_path}/*.toml")

    assert said.code == 2
    assert "matches no file" in said.err


def test_a_pattern_starts_every_file_once(llmtop: Llmtop, world: Any, config: Path) -> None:
    (config.parent / "other.toml").write_text(GOOD)

    llmtop("run", f"{config.parent}/*.toml", str(config), "--display", "none")

    ((configs, _),) = world.started
    assert [each.name for each in configs] == ["motions", "other"]


def test_two_runs_may_not_write_one_file(llmtop: Llmtop, world: Any, config: Path) -> None:
    (config.parent / "other.toml").write_text(GOOD)

    said = llmtop(
        "run", f"{config.parent}/*.toml", "-o", str(config.parent / "out.jsonl"), "--display", "none"
    )

    assert (said.code, world.started) == (2, [])
    assert "is written by the run motions too" in said.err


@pytest.mark.parametrize("code", [0, 3, 4, 6, 7, 8])
def test_the_engines_exit_code_is_the_commands(llmtop: Llmtop, world: Any, config: Path, code: int) -> None:
    world.engine_code = code

    assert llmtop("run", str(config), "--display", "none").code == code


def test_plain_lines_go_to_stdout_and_notices_to_stderr(llmtop: Llmtop, world: Any, config: Path) -> None:
    world.doors["motions-3f9a2c"].states = ("starting", "running", "finished")

    said = llmtop("run", str(config))

    assert "motions is now running" in said.out
    assert "10: done 7, rejected 1, failed 2, pending 0" in said.out
    assert said.err == "continues run motions-3f9a2c\n"
    assert "\x1b" not in said.out


def test_json_lines_are_all_of_stdout(llmtop: Llmtop, world: Any, config: Path) -> None:
    world.doors["motions-3f9a2c"].states = ("running", "finished")

    said = llmtop("run", str(config), "--display", "json")

    events = [json.loads(line)["event"] for line in said.out.splitlines()]
    assert (events[0], events[-1]) == ("run_started", "run_finished")


def test_display_none_prints_nothing_on_stdout(llmtop: Llmtop, config: Path) -> None:
    assert llmtop("run", str(config), "--display", "none").out == ""


def test_flags_win_over_the_environment_and_that_over_the_file(
    llmtop: Llmtop, world: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTOP_CONCURRENCY", "5")
    monkeypatch.setenv("LLMTOP_MAX_COST", "2.50")

    llmtop("run", str(config), "-c", "4-8-16", "--set", "retry.max_attempts=3", "--display", "none")

    (made,) = world.started[0][0]
    assert str(made.execution.concurrency) == "4-8-16"
    assert made.budget.max_cost == 2_500_000_000_000
    assert made.retry.max_attempts == 3
    assert made.origins["execution.concurrency"] == "flag"
    assert made.origins["budget.max_cost"] == "environment"


def test_run_options_reach_the_engine(llmtop: Llmtop, world: Any, config: Path) -> None:
    llmtop("run", str(config), "--fresh", "--yes", "--exit-zero", "--display", "none")

    assert world.started[0][1] == RunOptions(None, True, True, True)


def test_fresh_and_resume_contradict_each_other(llmtop: Llmtop, config: Path) -> None:
    assert llmtop("run", str(config), "--fresh", "--resume", "latest").code == 2


@pytest.mark.parametrize(
    ("words", "resume"),
    [
        (("--resume",), "motions"),
        (("--resume", "motions-3f"), "motions-3f"),
        (("--resume=latest",), "latest"),
    ],
)
def test_resume_takes_a_run_or_stands_alone(
    llmtop: Llmtop, world: Any, config: Path, words: tuple[str, ...], resume: str
) -> None:
    llmtop("run", str(config), "--display", "none", *words)

    assert world.started[0][1].resume == resume


def test_resume_before_a_config_stands_alone() -> None:
    assert fill_bare_resume(["run", "--resume", "a.toml"]) == ["run", "--resume=", "a.toml"]
    assert fill_bare_resume(["run", "--", "--resume"]) == ["run", "--", "--resume"]


def test_a_display_that_does_not_exist_is_refused(llmtop: Llmtop, config: Path) -> None:
    said = llmtop("run", str(config), "--display", "fancy")

    assert said.code == 2
    assert "full" in said.err and "Traceback" not in said.err
