"""The runs of one input side by side in the dashboard, from real ledgers and in a real terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compared_runs import make, tried
from fake_door import FakeDoor
from ledger_values import end, put_all, result
from terminal import Screen, Terminal
from viewing import viewer

from llmtop.adapters.home import Home
from llmtop.adapters.ledger import Finish, StateChange
from llmtop.model import Attempt
from llmtop_tui.screens.compare import CompareScreen

_LLMTOP = [sys.executable, "-P", "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_CONFIG = """
name = "job"
[provider]
kind = "simulator"
[provider.simulator]
profile = "instant"
price_input = 0.05
price_output = 0.10
[input]
path = "items.jsonl"
limit = 6
[request]
prompt = "Explain {text}"
[[variants]]
name = "small"
provider.model = "sim-small"
[[variants]]
name = "hasty"
provider.model = "sim-hasty"
[[variants.filters]]
use = "length"
min_words = 1000
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", {})


def _door(run_id: str) -> FakeDoor:
    door = FakeDoor()
    door.run_id = run_id
    return door


def _cells(text: str, head: str) -> list[str]:
    (found,) = (line for line in text.split("\n") if line.strip().startswith(head))
    return found.strip().removeprefix(head).split()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_every_figure_of_two_runs_stands_side_by_side_on_any_screen(
    home: Home, size: tuple[int, int]
) -> None:
    filtered = result(2, "rejected", error="filtered")
    first = await make(home, "small", tried(*(result(seq) for seq in range(4))))
    other = await make(home, "hasty", tried(result(0), result(1), filtered, result(3, "failed")))
    alien = await make(home, "alien", tried(result(0)), ids=("x", "y", "z", "w"))
    for ledger in (first, other, alien):
        await put_all(ledger, [StateChange(at=995.0, state="finished", elapsed_s=8.0)])
        ledger.close()

    async with viewer(_door("small-000000"), size, home=home) as view:
        await view.press("C")
        await view.until(lambda: "hasty" in view.text("body"))
        text = view.text("body")
        assert "alien" not in text
        assert _cells(text, "done") == ["4", "2"]
        assert _cells(text, "rejected") == ["0", "1"]
        assert _cells(text, "failed") == ["0", "1"]
        assert _cells(text, "timeout") == ["0", "1"]
        assert _cells(text, "items/s") == ["0.50", "0.50"]
        for head in ("latency p50", "latency p95", "cost of 1,000 items"):
            assert "-" not in _cells(text, head) and len(_cells(text, head)) == 2, head
        await view.press("end")
        assert _cells(view.text("body"), "cost of the whole")[0].startswith("$")
        await view.press("o")
        assert "save the screen" in view.text("status")


async def test_a_live_run_moves_on_under_the_eyes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompareScreen, "EVERY_S", 0.05)
    first = await make(home, "small", tried(result(0)))
    other = await make(home, "hasty", tried(result(0)))
    other.close()

    async with viewer(_door("small-000000"), home=home) as view:
        await view.press("C")
        await view.until(lambda: "hasty" in view.text("body"))
        assert _cells(view.text("body"), "done") == ["1", "1"]
        await put_all(first, [Attempt(9, 1, 1, 1000.0), Finish(result(1), end(9))])
        await view.until(lambda: _cells(view.text("body"), "done") == ["2", "1"])
    first.close()


async def test_a_run_that_stands_alone_says_so(home: Home) -> None:
    ledger = await make(home, "small", tried(result(0)))
    ledger.close()

    async with viewer(_door("small-000000"), home=home) as view:
        await view.press("C")
        await view.until(lambda: "no other run over the same items" in view.text("body"))


async def test_a_damaged_neighbour_is_left_out(home: Home) -> None:
    for name in ("small", "hasty", "large"):
        ledger = await make(home, name, tried(result(0)))
        ledger.close()
    (home.run_folder("large-000000") / "run.db").write_bytes(b"no database" * 1000)

    async with viewer(_door("small-000000"), home=home) as view:
        await view.press("C")
        await view.until(lambda: "hasty" in view.text("body"))
        assert "large" not in view.text("body")


def test_two_real_runs_in_a_real_terminal_and_painting_shows_the_same_as_a_full_repaint(
    tmp_path: Path,
) -> None:
    environment = {"LLMTOP_HOME": str(tmp_path / "home")}
    lines = (json.dumps({"id": f"m-{n}", "text": f"saying {n}"}) for n in range(30))
    (tmp_path / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "job.toml").write_text(_CONFIG, encoding="utf-8")
    command = [*_LLMTOP, "run", str(tmp_path / "job.toml"), "--display", "none"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60)
    assert done.returncode == 7, done.stderr

    with Terminal([*_LLMTOP, "attach", "job-small"], (80, 24), environment) as terminal:
        terminal.wait_for_text("FINISHED", 20)
        terminal.send("C")
        terminal.wait_for_text("cost of the whole", 20)
        text = terminal.screen().text
        assert _cells(text, "rejected") == ["0", "6"]
        assert _cells(text, "length") == ["0", "6"]
        assert _cells(text, "whole input") == ["30", "30"]
        terminal.send("Z")
        mark = len(terminal.output)
        terminal.send("\x0c")
        terminal.wait_for(lambda: b"whole input" in terminal.output[mark:])
        fresh = Screen(*terminal.size)
        terminal.wait_for(lambda: _fed(fresh, terminal, mark) == terminal.screen().text)
        terminal.send("q")


def _fed(fresh: Screen, terminal: Terminal, mark: int) -> str:
    fresh.__init__(*terminal.size)  # type: ignore[misc]
    fresh.feed(terminal.output[mark:].decode())
    return fresh.text
