"""`llmtop run` with the real engine and the embedded simulator, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
CONFIG = """
[provider]
kind = "simulator"
[provider.simulator]
profile = "instant"
latency_s = 0.2
[input]
path = "items.jsonl"
[request]
prompt = "Explain {text}"
max_output_tokens = 300
[execution]
concurrency = 2
stop_grace = "2s"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps({"id": f"m-{n}", "text": f"word {n}"}) for n in range(40)]
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    (tmp_path / "motions.toml").write_text(CONFIG)
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LLMTOP_")}
    return subprocess.Popen(
        [*LLMTOP, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=kept | {"LLMTOP_HOME": str(folder / "home")},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_politely_with_its_own_code_and_the_same_command_goes_on(
    folder: Path, number: signal.Signals
) -> None:
    process = start(folder, "run", "motions.toml", "--display", "json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "run_started"
    assert json.loads(process.stdout.readline())["event"] == "progress"

    process.send_signal(number)
    code, out, err = finish(process)

    last = json.loads(out.splitlines()[-1])
    assert code == 128 + number
    assert (last["event"], last["status"]) == ("run_finished", "stopped")
    assert "stopping" in err and "Traceback" not in err
    code, out, _ = finish(start(folder, "run", "motions.toml", "-c", "100", "--display", "json"))
    again = json.loads(out.splitlines()[-1])
    assert (code, again["counts"]["done"], again["run_id"]) == (0, 40, last["run_id"])


def test_a_run_is_listed_shown_read_and_exported_when_it_is_over(folder: Path) -> None:
    code, out, _ = finish(start(folder, "run", "motions.toml", "--limit", "5"))
    assert (code, "5: done 5, rejected 0, failed 0, pending 0" in out) == (0, True)

    (listed,) = json.loads(finish(start(folder, "runs", "--json"))[1])
    shown = json.loads(finish(start(folder, "show", "motions", "--json"))[1])
    item = json.loads(finish(start(folder, "item", "latest", "m-3", "--json"))[1])
    exported = finish(start(folder, "export", listed["run_id"], "--status", "done"))[1]

    assert (listed["state"], listed["counts"]["done"]) == ("finished", 5)
    assert shown["settings"]["input.limit"] == {"value": "5", "origin": "flag"}
    assert item["messages"][0]["content"] == "Explain word 3"
    assert [json.loads(line)["id"] for line in exported.splitlines()] == [f"m-{n}" for n in range(5)]


def test_a_plan_sends_nothing_and_leaves_no_run_behind(folder: Path) -> None:
    code, out, _ = finish(start(folder, "plan", "motions.toml", "--json"))

    (plan,) = json.loads(out)
    assert (code, plan["items"], plan["requests"]) == (0, 40, 40)
    assert json.loads(finish(start(folder, "runs", "--json"))[1]) == []


@pytest.mark.parametrize(("window", "said"), [("24h", "24 h"), ("90m", "2 h"), ("7d", "7 d")])
def test_a_plan_says_how_long_a_job_of_this_config_may_take(folder: Path, window: str, said: str) -> None:
    choice = ("--set", "execution.mode=batch", "--set", f"batch.completion_window={window}")

    _, out, _ = finish(start(folder, "plan", "motions.toml", *choice))

    assert f"up to {said} by the batch API" in out


def test_a_reader_that_goes_away_does_not_end_the_run(folder: Path) -> None:
    process = start(folder, "run", "motions.toml", "--limit", "10", "--display", "json")
    assert process.stdout is not None
    process.stdout.readline()

    process.stdout.close()
    code = process.wait(30)

    assert code == 0
    assert json.loads(finish(start(folder, "runs", "--json"))[1])[0]["state"] == "finished"
