"""A pseudo-terminal with a program in it, and a reader that knows what the screen shows.

`Terminal` starts a child on a pty, reads what it writes in a thread (or stalls, as a frozen line
does), types into it and closes it. `Screen` replays the output: an emulator of its own, so that
the driver's economies are checked against something that does not share its code.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len

_TOKEN = re.compile(
    "\x1b\\[(?P<args>[0-9;?<>]*)(?P<final>[@-~])|\x1b\\][^\x07]*\x07|\x1b[^\\[\\]]|(?P<control>[\r\n\x07])|(?P<text>[^\x1b\r\n\x07]+)"
)


class Screen:
    """What a terminal of this size shows after some output: characters only, or with styles."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._x = self._y = 0
        self._sgr = ""
        self.is_alternate = False
        self.is_cursor_shown = True
        self._clear()

    def _clear(self) -> None:
        self.cells = [[(" ", "")] * self.width for _ in range(self.height)]

    def feed(self, output: str) -> None:
        """Take output in."""
        for token in _TOKEN.finditer(output):
            if (text := token["text"]) is not None:
                self._write(text)
            elif token["control"] == "\r":
                self._x = 0
            elif token["control"] == "\n":
                self._y = min(self._y + 1, self.height - 1)
            elif token["final"]:
                self._sequence(token["args"], token["final"])

    def _write(self, text: str) -> None:
        row = self.cells[self._y]
        for char in text:
            width = cell_len(char)
            if width == 0:
                before = row[self._x - 1] if row[self._x - 1][0] else row[self._x - 2]
                row[self._x - (1 if row[self._x - 1][0] else 2)] = (before[0] + char, before[1])
                continue
            for offset in range(width):
                if self._x + offset < self.width:
                    self._break_wide(row, self._x + offset)
                    row[self._x + offset] = (char if offset == 0 else "", self._sgr)
            self._x = min(self._x + width, self.width)

    def _break_wide(self, row: list[tuple[str, str]], x: int) -> None:
        if row[x][0] == "" and x > 0:
            row[x - 1] = (" ", "")
        if x + 1 < self.width and row[x + 1][0] == "":
            row[x + 1] = (" ", "")

    def _sequence(self, args: str, final: str) -> None:
        numbers = [int(part or 0) for part in args.split(";")] if args and args[0].isdigit() else []
        if final == "H":
            self._y = min((numbers[0] if numbers else 1), self.height) - 1
            self._x = min((numbers[1] if len(numbers) > 1 else 1), self.width) - 1
        elif final == "C":
            self._x = min(self._x + (numbers[0] if numbers else 1), self.width - 1)
        elif final == "K":
            self.cells[self._y][self._x :] = [(" ", "")] * (self.width - self._x)
        elif final == "J":
            self._clear()
        elif final == "m":
            self._sgr = "" if args in {"", "0"} else args.removeprefix("0;")
        elif args == "?1049":
            self.is_alternate = final == "h"
        elif args == "?25":
            self.is_cursor_shown = final == "h"

    @property
    def text(self) -> str:
        """The rows, without blanks at their ends."""
        return "\n".join("".join(char for char, _ in row).rstrip() for row in self.cells)

    @property
    def picture(self) -> list[list[tuple[str, str]]]:
        """Characters with their styles; a plain blank is the same whatever its colour."""
        shown = {"7", "4", "9"}
        return [
            [(char, sgr if char != " " or shown & set(sgr.split(";")) else "") for char, sgr in row]
            for row in self.cells
        ]


class Terminal:
    """A child on a pseudo-terminal. Use as a context manager: leaving it ends the child."""

    def __init__(
        self, argv: Sequence[str], size: tuple[int, int], environment: Mapping[str, str] | None = None
    ) -> None:
        self.size = size
        self.output = bytearray()
        self.arrivals: list[tuple[float, int]] = []
        """(monotonic time, bytes)."""
        self._master, slave = pty.openpty()
        self._set_size(slave, size)
        self.slave_before = termios.tcgetattr(slave)
        env = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})}
        self.started_at = time.monotonic()
        self.child = subprocess.Popen(
            list(argv),
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self._slave = slave
        self._is_reading = threading.Event()
        self._is_reading.set()
        self._is_closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(5)
        self.hang_up()
        if self.child.stderr is not None:
            self.child.stderr.close()
        with contextlib.suppress(OSError):
            os.close(self._slave)

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def stall(self) -> None:
        """Read nothing any more, as a frozen line."""
        self._is_reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._is_reading.set()

    def hang_up(self) -> None:
        """Close the terminal under the child."""
        if self._is_closing:
            return
        self._is_closing = True
        self._is_reading.set()
        self._reader.join(2)
        os.close(self._master)

    def drop_slave(self) -> None:
        """Let go of our own end of the child's side, so that a hang-up reaches it."""
        os.close(self._slave)
        self._slave = -1

    def resize(self, size: tuple[int, int]) -> None:
        """Give the terminal another size."""
        self.size = size
        self._set_size(self._master, size)

    def screen(self) -> Screen:
        """What the terminal shows, from all output since the start."""
        screen = Screen(*self.size)
        screen.feed(self.output.decode("utf-8", "replace"))
        return screen

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds; fails with the screen when it does not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.01)
        raise AssertionError(f"not in {seconds} s; the screen shows:\n{self.screen().text}")

    def wait_for_text(self, text: str, seconds: float = 10.0) -> None:
        """Wait until the screen shows a text."""
        self.wait_for(lambda: text in self.screen().text, seconds)

    def bytes_since(self, moment: float) -> int:
        """How many bytes came after a moment of the monotonic clock."""
        return sum(size for at, size in list(self.arrivals) if at >= moment)

    def ended(self, seconds: float = 10.0) -> tuple[int, str]:
        """Wait for the child; return its exit status and what it wrote to stderr."""
        _, error = self.child.communicate(timeout=seconds)
        return self.child.returncode, error.decode()

    def _read(self) -> None:
        while not self._is_closing:
            if not self._is_reading.wait(0.1):
                continue
            ready, _, _ = select.select([self._master], [], [], 0.05)
            if not ready:
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self.arrivals.append((time.monotonic(), len(data)))
            self.output += data

    @staticmethod
    def _set_size(fd: int, size: tuple[int, int]) -> None:
        width, height = size
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def _take_terminal() -> None:
    """In the child, after setsid: the pty becomes its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
