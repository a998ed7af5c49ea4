"""What a viewer can tell of an engine's process from outside, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtop_tui.health import Pulse, is_alive, is_stopped, why_gone

NOBODY = 2**22 + 1


@pytest.fixture
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def test_a_process_that_only_waits_to_be_reaped_is_not_alive(zombie: int) -> None:
    assert not is_alive(zombie)
    assert not is_alive(NOBODY)
    assert is_alive(os.getpid())


def test_a_process_that_was_stopped_by_a_signal_is_alive_and_stopped() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not is_stopped(process.pid)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert is_stopped(process.pid)
        assert is_alive(process.pid)
        assert not is_stopped(NOBODY)
    finally:
        process.kill()
        process.communicate()


def test_the_pulse_is_the_share_of_a_core_since_the_last_look() -> None:
    pulse = Pulse()
    assert pulse.busy(os.getpid(), 0.0) is None
    before = sum(os.times()[:2])
    while sum(os.times()[:2]) - before < 0.05:
        pass
    share = pulse.busy(os.getpid(), 0.5)

    assert share is not None
    assert share > 0.04


def test_the_pulse_of_another_process_or_of_two_looks_at_once_is_not_known(zombie: int) -> None:
    pulse = Pulse()
    pulse.busy(os.getpid(), 0.0)

    assert pulse.busy(zombie, 5.0) is None
    assert pulse.busy(NOBODY, 5.0) is None
    pulse.busy(os.getpid(), 5.0)
    assert pulse.busy(os.getpid(), 5.1) is None


@pytest.mark.parametrize(
    ("codes", "log", "words"),
    [
        ({7: 1}, None, "exit code 1"),
        ({7: -9}, None, "signal 9"),
        ({}, "first\nthe disk is full\n", "its log ends: the disk is full"),
        ({7: 4}, "the disk is full", "exit code 4; its log ends: the disk is full"),
        (None, "", ""),
        ({8: 1}, None, ""),
    ],
)
def test_why_an_engine_is_gone_is_its_code_and_the_last_line_of_its_log(
    codes: dict[int, int] | None, log: str | None, words: str, tmp_path: Path
) -> None:
    if log is not None:
        (tmp_path / "7.log").write_text(log)

    assert why_gone(7, codes, tmp_path) == words


def test_the_last_line_of_a_long_log_is_found_and_cleaned(tmp_path: Path) -> None:
    (tmp_path / "7.log").write_bytes(b"x" * 100_000 + b"\n\x1b]0;pwned\x07the \xff end\n")

    said = why_gone(7, None, tmp_path)
    assert said.endswith("end")
    assert "\x1b" not in said
    assert len(said) < 200
    assert why_gone(7, None, None) == ""
