"""`llmtop` as a process: codes, streams and signals that only a real one has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]


def llmtop(*words: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = environment(folder) | settings
    return subprocess.run(
        [*LLMTOP, *words], capture_output=True, text=True, cwd=folder, env=environ, timeout=20, check=False
    )


def started(*words: str, folder: Path) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*LLMTOP, *words], cwd=folder, env=environment(folder), **pipes)


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LLMTOP_")}
    return kept | {"LLMTOP_HOME": str(folder / "home")}


def test_help_names_every_command(tmp_path: Path) -> None:
    done = llmtop("--help", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    reading = ("runs", "show", "export", "items", "item", "plan", "attach")
    doing = ("run", "demo", "simulate", "init", "pause", "resume", "cancel", "set", "retry")
    for name in (*reading, *doing):
        assert f"\n  {name} " in done.stdout


def test_a_command_that_does_not_exist_is_named_with_exit_2(tmp_path: Path) -> None:
    done = llmtop("doctor", folder=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llmtop: No such command 'doctor'; `llmtop --help` says what fits\n"


def test_simulate_says_what_each_sdk_has_to_be_told_and_obeys_its_settings(tmp_path: Path) -> None:
    words = ["simulate", "--json", "--profile", "instant", "--set", "latency_s=0", "--set", "seed=7"]
    with started(*words, "--set", "faults.http_500=1.0", folder=tmp_path) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        root = said["addresses"]["anthropic"]
        with urllib.request.urlopen(f"{root}/_sim/settings", timeout=10) as answer:
            settings = json.load(answer)
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=20)
        finally:
            process.kill()

    assert said["url"] == f"{root}/v1"
    assert (settings["seed"], settings["faults"]) == (7, {"http_500": 1.0})
    for line in (
        f"OPENAI_BASE_URL={root}/v1",
        f"ANTHROPIC_BASE_URL={root}",
        f"GOOGLE_GEMINI_BASE_URL={root}",
    ):
        assert line in told
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("batch_sped=3", "batch_sped: is not a setting of the simulator; did you mean `batch_speed`?"),
        ("batch_s", "--set batch_s: cannot be read"),
        ("batch_s=soon", "batch_s: is 'soon'; Use a number."),
        ("faults=3", "faults: is 3; Use a table of shares."),
    ],
)
def test_a_setting_that_simulate_does_not_know_ends_it_with_2(tmp_path: Path, word: str, said: str) -> None:
    done = llmtop("simulate", "--set", word, folder=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"llmtop: {said}")


@pytest.mark.parametrize("name", ["missing.toml", "folder.toml", "fifo.toml", "empty.toml", "utf16.toml"])
def test_a_config_that_cannot_be_read_ends_with_2_and_no_traceback(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "empty.toml").touch()
    (tmp_path / "utf16.toml").write_text('name = "x"', encoding="utf-16")

    done = llmtop("run", name, folder=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"llmtop: {name}: ")
    assert "Traceback" not in done.stderr


def test_control_bytes_in_a_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    done = llmtop("run", "a\x1b]0;owned\x07.toml", folder=tmp_path)

    assert done.returncode == 2
    assert "\x1b" not in done.stderr and "\x07" not in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*LLMTOP, "init", "-"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=20,
            check=False,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_told_with_exit_4(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*LLMTOP, "init", "-"], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, timeout=20, check=False
        )

    assert done.returncode == 4
    assert done.stderr == b"llmtop: output: cannot be read or written: No space left on device\n"


def test_the_version_needs_neither_screen_nor_engine_nor_prices(tmp_path: Path) -> None:
    program = (
        "import sys; from llmtop_tui.cli import main; code = main(['--version'])\n"
        "heavy = {'textual', 'aiohttp', 'genai_prices', 'rich', 'sqlite3', 'asyncio', 'psutil'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
