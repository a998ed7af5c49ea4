"""From an exception to a message and an exit code."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmtop.errors import (
    ConfigError,
    ConfigErrors,
    InputError,
    LlmtopError,
    ProviderRefused,
    RunOwned,
    StateError,
    UsageError,
)
from llmtop_tui.cli.failing import Failures, as_object, tell

Llmtop = Callable[..., Any]


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (UsageError("a", "b"), 2, "usage"),
        (ConfigError("a", "b"), 2, "config"),
        (InputError("a", "b"), 2, "input"),
        (ProviderRefused("a", "b"), 3, "provider"),
        (StateError("a", "b"), 4, "state"),
        (RunOwned("motions-1", 4117), 5, "owned"),
        (LlmtopError("a", "b"), 1, "bug"),
    ],
)
def test_each_kind_of_failure_has_its_code(
    error: LlmtopError, code: int, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert tell(error, is_json=True, is_debug=False) == code
    assert json.loads(capfd.readouterr().err)["error"]["type"] == kind


def test_a_run_that_is_owned_names_its_process() -> None:
    assert as_object(RunOwned("motions-1", 4117))["error"]["pid"] == 4117


def test_at_most_20_faults_of_a_file_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    many = ConfigErrors("a.toml", [ConfigError(f"key{n}", "is wrong") for n in range(25)])

    tell(many, is_json=False, is_debug=False)

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "llmtop: a.toml: 5 more faults"


def test_failures_together_tell_every_file(capfd: pytest.CaptureFixture[str]) -> None:
    two = Failures([ConfigErrors(f"{n}.toml", [ConfigError("key", "is wrong", "Mend it")]) for n in "ab"])

    assert tell(two, is_json=False, is_debug=False) == 2
    assert capfd.readouterr().err == (
        "llmtop: a.toml: key: is wrong; Mend it\nllmtop: b.toml: key: is wrong; Mend it\n"
    )


def test_failures_that_come_as_a_group_are_failures(capfd: pytest.CaptureFixture[str]) -> None:
    group = BaseExceptionGroup("tasks", [StateError("run.db", "is damaged")])

    assert tell(group, is_json=False, is_debug=False) == 4
    assert capfd.readouterr().err == "llmtop: run.db: is damaged\n"


def test_a_bug_is_one_line_and_its_traceback_is_in_a_private_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "bugs.log"
    secret = "sk-not-to-be-seen"

    try:
        len(secret) / 0
    except ZeroDivisionError as error:
        code = tell(error, is_json=False, is_debug=False, log=log)

    said = capfd.readouterr().err
    assert code == 1
    assert said.startswith("llmtop: internal error: ZeroDivisionError") and said.count("\n") == 1
    assert str(log) in said
    assert "test_failing" in log.read_text() and secret not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_hostile_text_in_an_error_reaches_neither_terminal_nor_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tell(ValueError("x\x1b]0;owned\x07y\n\x9b2J"), is_json=False, is_debug=True, log=tmp_path / "bugs.log")

    for text in (capfd.readouterr().err, (tmp_path / "bugs.log").read_text()):
        assert "\x1b" not in text and "\x07" not in text and "\x9b" not in text


def test_debug_shows_the_traceback(llmtop: Llmtop, world: Any) -> None:
    def broken() -> None:
        raise RuntimeError("boom")

    world.home.runs = broken

    assert "Traceback" not in llmtop("runs").err
    said = llmtop("runs", "--debug")
    assert said.code == 1
    assert "Traceback" in said.err and "boom" in said.err


def test_every_option_has_its_environment_twin() -> None:
    import typer.main

    from llmtop.config.keys import OPTIONS
    from llmtop_tui.cli.main import app

    read_by_the_loader = {variable for option in OPTIONS for variable in option.variables}
    bare = {"--help", "--version", "--install-completion", "--show-completion"}
    group: Any = typer.main.get_command(app())
    for command in (group, *group.commands.values()):
        for parameter in command.params:
            names = [name for name in parameter.opts if name.startswith("--")]
            twins = set(parameter.envvar or ()) | read_by_the_loader
            for name in names:
                twin = "LLMTOP_" + name.removeprefix("--").replace("-", "_").upper()
                assert name in bare or twin in twins, f"{command.name} {name}"
