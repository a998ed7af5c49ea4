"""The real viewer on a real engine: over a real sshd whose client is killed, by kill -9, two at once."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ssh
from far_run import Far
from slow_run import MAIN
from terminal import Terminal


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """One run for all: no viewer can do it any harm, which is what the tests are about."""
    run = Far(tmp_path_factory.mktemp("far"))
    yield run
    if psutil.pid_exists(run.pid):
        os.kill(run.pid, signal.SIGKILL)


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)


def test_a_killed_viewer_costs_the_run_nothing_and_the_next_one_has_everything(far: Far) -> None:
    with far.attach() as first:
        first.wait_for_text("RUNNING", 20)
        first.child.kill()
        first.child.wait(5)
    assert far.goes_on()

    with far.attach() as second:
        second.wait_for_text("RUNNING", 20)
        second.send("3")
        second.wait_for_text("waiting")
        second.send("S")
        second.wait_for(
            lambda: re.search(r"requests_per_second +20 .*file", second.screen().text) is not None
        )


def test_of_two_viewers_each_sees_what_the_other_did(far: Far) -> None:
    with far.attach() as first, far.attach((80, 24)) as second:
        first.wait_for_text("RUNNING", 20)
        second.wait_for_text("RUNNING", 20)
        first.send(" ")
        second.wait_for_text("PAUSED", 10)
        second.send(" ")
        first.wait_for(lambda: "RUNNING" in first.screen().text or "HELD" in first.screen().text, 10)

    told = far.commands()[-2:]
    assert [verb for verb, _ in told] == ["pause", "resume"]
    assert all("@" in origin for _, origin in told)
    assert far.goes_on()


def test_a_storm_of_sizes_leaves_the_right_picture_and_no_fault(far: Far) -> None:
    with far.attach((200, 50)) as terminal:
        terminal.wait_for_text("RUNNING", 20)
        for size in [(200, 50), (60, 20), (120, 40)] * 5:
            terminal.resize(size)
            time.sleep(0.02)
        terminal.output.clear()
        terminal.send("\x0c")
        terminal.wait_for(lambda: "? help" in terminal.screen().text.split("\n")[-1])
        text = terminal.screen().text
        terminal.send("q")
        status, error = terminal.ended()

    assert "cannot draw" not in text
    assert "? help" in text.split("\n")[-1]
    assert (status, "Traceback" in error) == (0, False)


def test_the_window_is_named_after_the_run_and_gets_its_old_name_back(far: Far) -> None:
    with far.attach() as terminal:
        terminal.wait_for_text("RUNNING", 20)
        terminal.wait_for(lambda: b"\x1b]2;llmtop far" in bytes(terminal.output))
        terminal.send("q")
        terminal.ended()
        terminal.wait_for(lambda: b"\x1b[23;0t" in bytes(terminal.output))


def test_an_engine_that_dies_is_gone_on_the_screen_and_r_goes_on_with_the_run(far: Far) -> None:
    with far.attach() as terminal:
        terminal.wait_for_text("RUNNING", 20)
        os.kill(far.pid, signal.SIGKILL)
        terminal.wait_for_text("GONE", 15)
        terminal.send("3")
        terminal.wait_for_text("m-", 10)
        terminal.send("r")
        terminal.wait_for(lambda: "RUNNING" in terminal.screen().text, 20)
        far.pid = far.llmtop("runs", "--json")[0]["pid"]
        terminal.send("d")
        terminal.ended()

    assert far.goes_on()


@pytest.mark.skipif(not ssh.IS_HERE, reason="no sshd on this machine (Debian: openssh-server)")
def test_a_killed_ssh_client_takes_the_screen_and_not_the_run(far: Far, tmp_path: Path) -> None:
    remote = f"LLMTOP_HOME={far.environment['LLMTOP_HOME']} {sys.executable} -P -c '{MAIN}' attach"
    with ssh.server(tmp_path / "ssh") as server:
        with Terminal(server.client(remote), (100, 30)) as terminal:
            terminal.wait_for_text("RUNNING", 25)
            (viewer,) = _viewers(server.pid)
            terminal.child.kill()
            terminal.child.wait(5)
            _until(lambda: not viewer.is_running() or viewer.status() == psutil.STATUS_ZOMBIE)
        assert far.goes_on()
        started = time.monotonic()
        with far.attach() as back:
            back.wait_for_text("RUNNING", 20)
            assert time.monotonic() - started < 5


def _viewers(server: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(server).children(recursive=True) if "python" in each.name()]
