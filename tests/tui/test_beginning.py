"""The screen while an engine still reads its input: a real viewer; what the engine says, the test says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from far_run import Far
from terminal import Terminal

from llmtop.control.faults import as_words
from llmtop.errors import InputError
from llmtop_tui.order import Order

_BECOME = """
import json, os, sys
order = json.loads(sys.argv[2])
order["words_fd"] = os.open(sys.argv[1], os.O_RDONLY)
os.set_inheritable(order["words_fd"], True)
os.execv(sys.executable, [sys.executable, "-P", "-m", "llmtop_tui.viewer", json.dumps(order)])
"""


class Reading:
    """A viewer on a terminal over an engine that reads; `say` is what the engine says next."""

    def __init__(self, folder: Path, home: Path, size: tuple[int, int] = (100, 30)) -> None:
        self.engine = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
        pipe = folder / "words"
        os.mkfifo(pipe)
        order = Order(str(home), engine_pid=self.engine.pid, name="far", part=0.13, heard='{"pro')
        words = [sys.executable, "-c", _BECOME, str(pipe), json.dumps(asdict(order))]
        self.terminal = Terminal(words, size, {"LLMTOP_NOTICES": "off"})
        self._pipe = pipe.open("w", buffering=1)

    def say(self, word: object) -> None:
        self._pipe.write(json.dumps(word) + "\n")

    def end(self) -> None:
        self._pipe.close()

    def close(self) -> None:
        self.end()
        self.terminal.__exit__()
        self.engine.kill()
        self.engine.wait()


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    (tmp_path / "home").mkdir(exist_ok=True)
    it = Reading(tmp_path, tmp_path / "home")
    yield it
    it.close()


def test_what_is_read_is_shown_and_then_the_run(tmp_path: Path) -> None:
    far = Far(tmp_path)
    it = Reading(tmp_path, tmp_path / "home")
    try:
        it.terminal.wait_for_text("STARTING  reading the items, 13%", 20)
        it.terminal.wait_for_text("req/s     -")
        it._pipe.write('gress": 0.41}\n')
        it.terminal.wait_for_text("reading the items, 41%")
        it.terminal.send("+")
        it.terminal.wait_for_text("it only starts")
        it.say({"ready": {"run_ids": [far.run_id], "socket": "-", "notices": ["prices are of yesterday"]}})
        it.terminal.wait_for_text("RUNNING", 20)
        it.terminal.send("6")
        it.terminal.wait_for_text("prices are of yesterday")
        it.terminal.send("d")
        status, error = it.terminal.ended()

        assert status == 0
        assert "prices are of yesterday" in error
        assert "goes on without a screen" in error
        assert far.goes_on()
    finally:
        it.close()
        if psutil.pid_exists(far.pid):
            os.kill(far.pid, signal.SIGKILL)


def test_a_fault_in_the_input_is_a_message_behind_the_screen_and_the_code_of_bad_input(
    reading: Reading,
) -> None:
    reading.terminal.wait_for_text("STARTING", 20)
    reading._pipe.write('gress": 0.2}\n')
    reading.say({"error": as_words(InputError("items.jsonl: line 7", "is not JSON", "Mend it"))})
    status, error = reading.terminal.ended()

    assert status == 2
    assert error.strip() == "llmtop: items.jsonl: line 7: is not JSON; Mend it"
    reading.terminal.wait_for(lambda: not reading.terminal.screen().is_alternate)


def test_ctrl_c_calls_the_start_off_and_ends_the_engine(reading: Reading) -> None:
    reading.terminal.wait_for_text("STARTING", 20)
    reading.terminal.send("\x03")
    status, error = reading.terminal.ended()

    assert status == 130
    assert "called off; nothing was sent" in error
    assert reading.engine.wait(10) == -signal.SIGTERM


def test_an_engine_that_ends_while_it_reads_is_said_to_have_ended(reading: Reading) -> None:
    reading.terminal.wait_for_text("STARTING", 20)
    reading.end()
    status, error = reading.terminal.ended()

    assert status == 1
    assert "ended before it accepted commands" in error
    assert "Traceback" not in error


def test_a_hang_up_leaves_the_engine_to_its_reading(reading: Reading) -> None:
    reading.terminal.wait_for_text("STARTING", 20)
    reading.terminal.child.send_signal(signal.SIGHUP)
    status, _ = reading.terminal.ended()

    assert status == 0
    assert reading.engine.poll() is None
