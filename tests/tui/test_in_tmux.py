"""The whole way as a user goes it, in a real tmux: start, keys, sizes, leave, come back, a dead engine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from slow_run import LLMTOP, slow_run

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed (Debian: tmux)")

_LEFT = "THE-SHELL-AGAIN"


class Tmux:
    """A tmux server of its own, with shells in windows of the wanted size."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._socket = folder / "tmux"
        self.config = slow_run(folder, "walk")

    def __call__(self, *words: str) -> str:
        """Run a tmux command; return what it prints."""
        assert TMUX is not None
        environment = {name: value for name, value in os.environ.items() if name not in {"TMUX", "TMUX_PANE"}}
        environment |= {"LLMTOP_HOME": str(self.home), "LANG": "C.UTF-8", "PS1": "$ "}
        done = subprocess.run(
            [TMUX, "-S", str(self._socket), "-f", "/dev/null", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout

    def window(self, name: str, size: tuple[int, int]) -> Window:
        """A session with one shell in it."""
        width, height = size
        self("new-session", "-d", "-s", name, "-x", str(width), "-y", str(height), "sh")
        self("set-option", "-t", name, "status", "off")
        window = Window(self, name)
        window.resize(size)
        return window

    def runs(self) -> list[dict[str, object]]:
        """What `llmtop runs` says."""
        said = subprocess.run(
            [*LLMTOP, "runs", "--json"],
            env={**os.environ, "LLMTOP_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found: list[dict[str, object]] = json.loads(said.stdout)
        return found

    @property
    def engine(self) -> int:
        """The pid of the one engine."""
        (run,) = self.runs()
        pid = run["pid"]
        assert isinstance(pid, int)
        return pid

    def end(self) -> None:
        """End the server, and the engine where it still lives."""
        for run in self.runs():
            pid = run["pid"]
            if isinstance(pid, int) and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
        subprocess.run([str(TMUX), "-S", str(self._socket), "kill-server"], capture_output=True, check=False)


class Window:
    """One terminal inside tmux."""

    def __init__(self, tmux: Tmux, name: str) -> None:
        self._tmux, self._name = tmux, name

    def llmtop(self, *words: str) -> None:
        """Type a command, which says when the shell has the terminal back."""
        command = shlex.join([*LLMTOP, *words])
        self._tmux("send-keys", "-t", self._name, f"{command}; echo {_LEFT[:4]}'{_LEFT[4:]}' $?", "Enter")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", "-t", self._name, *keys)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the terminal another size."""
        width, height = size
        self._tmux("resize-window", "-t", self._name, "-x", str(width), "-y", str(height))

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return self._tmux("capture-pane", "-p", "-t", self._name)

    def asks(self, variable: str) -> str:
        """What tmux knows of the terminal's state."""
        return self._tmux("display-message", "-p", "-t", self._name, f"#{{{variable}}}").strip()

    def until(self, condition: Callable[[str], bool], seconds: float = 20.0) -> str:
        """Wait for a picture; fails with the one that was there instead."""
        end = time.monotonic() + seconds
        while not condition(text := self.text):
            assert time.monotonic() < end, f"not in {seconds} s; the terminal shows:\n{text}"
            time.sleep(0.05)
        assert "Traceback" not in text
        assert "cannot draw" not in text
        return text

    def shows(self, *words: str) -> str:
        """Wait until all of these are on the terminal."""
        return self.until(lambda text: all(word in text for word in words))

    def is_left_clean(self) -> bool:
        """Whether the terminal is as it was: main screen, cursor, no mouse."""
        states = [self.asks(name) for name in ("alternate_on", "cursor_flag", "mouse_any_flag")]
        return states == ["0", "1", "0"]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    yield server
    server.end()


def test_a_run_is_started_steered_left_and_taken_up_again_in_tmux(tmux: Tmux) -> None:
    window = tmux.window("first", (120, 40))
    window.llmtop("run", str(tmux.config))
    window.shows("walk", "RUNNING", "Memory", "? help")

    window.press("Space")
    window.shows("PAUSED")
    window.press("Space")
    window.until(lambda text: "PAUSED" not in text.splitlines()[0])
    window.press("+")
    window.shows("concurrency", "8 -> 9")
    for size in ((200, 50), (80, 24), (120, 40)):
        window.resize(size)
        window.until(lambda text, width=size[0]: _fits(text, width))
    engine = tmux.engine

    window.press("d")
    window.shows(f"{_LEFT} 0")
    assert window.is_left_clean()
    assert "RUNNING" not in window.text, "the dashboard is still on the terminal"

    second = tmux.window("second", (80, 24))
    window.llmtop("attach")
    second.llmtop("attach")
    window.shows("walk", "RUNNING")
    second.shows("walk", "RUNNING")
    assert tmux.engine == engine
    second.press("Space")
    window.shows("PAUSED")
    window.press("Space")
    second.until(lambda text: "PAUSED" not in text.splitlines()[0])

    os.kill(engine, signal.SIGKILL)
    window.shows("GONE")
    second.shows("GONE")
    for each in (window, second):
        each.press("q")
        each.shows(_LEFT)
        assert each.is_left_clean()


def _fits(text: str, width: int) -> bool:
    """Whether the first row ends at the terminal's edge, and the keys are in the last one."""
    rows = text.rstrip("\n").split("\n")
    title = rows[0].rstrip()
    return title.lstrip().startswith("walk") and width - 2 <= len(title) <= width and "? help" in rows[-1]
