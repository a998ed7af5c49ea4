from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from llmtop.control.library import Home
from llmtop.errors import LlmtopError
from llmtop_tui import launching


async def test_the_demo_is_started_and_gone_on_with_after_its_engine_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTOP_HOME", str(tmp_path))
    home = Home.open(tmp_path, os.environ)
    pids = []
    try:
        run_id = await launching.start_demo(home)
        (line,) = home.runs()
        assert (line.run_id, line.pid is not None) == (run_id, True)
        pids.append(line.pid)
        assert line.pid is not None
        os.kill(line.pid, signal.SIGKILL)
        while home.owner_pid(run_id) is not None:
            pass
        assert await launching.resume(home, run_id) == run_id
        pids.append(home.owner_pid(run_id))
        assert pids[1] not in (None, pids[0])
        with pytest.raises(LlmtopError, match="lives in process"):
            await launching.resume(home, run_id)
    finally:
        if len(pids) > 1 and pids[1] is not None:
            os.kill(pids[1], signal.SIGKILL)


async def test_a_config_with_a_fault_is_told_in_the_words_of_the_command(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home", os.environ)
    (tmp_path / "bad.toml").write_text('[provider]\nkind = "nothing"\n', encoding="utf-8")

    with pytest.raises(LlmtopError, match=r"provider\.kind"):
        await launching.start_config(home, str(tmp_path / "bad.toml"))
    with pytest.raises(LlmtopError, match="no config file"):
        await launching.start_config(home, "  ")
