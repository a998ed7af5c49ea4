"""The way out to a terminal: a thread that writes the newest picture, so that nobody waits for it.

At most one difference is under way. What is drawn meanwhile changes only the wanted picture, so a line
that stands still costs no memory, and the first frame after it shows the state of that moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from llmtop_tui.cells import SYNC_END, SYNC_START, Grid

STOP_WAIT_S = 0.5
_LAG_S = 1.0
_MAX_CONTROLS = 64
_SYNC_MIN_CHARS = 200
_LET_THROUGH = ("\x1b]52;", "\x07")
"""What of Textual's output may reach the terminal beside drawing: the clipboard and the bell."""


class Outlet(threading.Thread):
    """Writes the newest picture to a terminal; whoever draws never waits for it."""

    def __init__(
        self, fd: int, size: tuple[int, int], gone: Callable[[], None], encoding: str = "utf-8"
    ) -> None:
        super().__init__(daemon=True, name="terminal-output")
        self._fd = fd
        self._gone = gone
        self._encoding = encoding
        self._changed = threading.Condition()
        self._wanted = Grid(*size)
        self._sent: Grid | None = None
        self._controls: list[str] = []
        self._is_stopping = False
        self._busy_since: float | None = None
        self.slow_writes = 0
        """Writes in a row that took over a second: the line is too thin."""
        self.bytes_written = 0

    def draw(self, data: str) -> None:
        """Take in output of Textual."""
        with self._changed:
            self._controls += [each for each in self._wanted.feed(data) if each.startswith(_LET_THROUGH)]
            del self._controls[:-_MAX_CONTROLS]
            self._changed.notify()

    def control(self, sequence: str) -> None:
        """Send something that is not drawing, before the next picture."""
        with self._changed:
            self._controls.append(sequence)
            self._changed.notify()

    def resize(self, size: tuple[int, int]) -> None:
        """Start from an unknown screen of this size."""
        with self._changed:
            synchronised = self._wanted.is_synchronised
            self._wanted = Grid(*size)
            self._wanted.is_synchronised = synchronised
            self._sent = None

    def repaint(self) -> None:
        """Send everything again: what the terminal shows is not known any more."""
        with self._changed:
            self._sent = None
            self._changed.notify()

    def stop(self, farewell: str) -> None:
        """Write what waits and `farewell`, then end; give up after half a second."""
        with self._changed:
            self._controls.append(farewell)
            self._is_stopping = True
            self._changed.notify()
        if self is not threading.current_thread():
            self.join(STOP_WAIT_S)

    def run(self) -> None:
        """Write until stopped or until the terminal is gone."""
        try:
            while (chunk := self._next()) is not None:
                self._write(chunk.encode(self._encoding, "replace"))
        except OSError:
            self._gone()

    def _next(self) -> str | None:
        with self._changed:
            while True:
                chunk = self._take()
                if chunk:
                    return chunk
                if self._is_stopping:
                    return None
                self._changed.wait()

    def _take(self) -> str:
        controls = "".join(self._controls)
        self._controls.clear()
        wanted = self._wanted
        if self._is_stopping:
            return controls
        if self._sent is None and wanted.touched:
            self._sent = Grid(wanted.width, wanted.height)
            wanted.touched.update(range(wanted.height))
            controls += "\x1b[m\x1b[2J"
        picture = wanted.difference(self._sent) if self._sent is not None and wanted.touched else ""
        if wanted.is_synchronised and len(picture) > _SYNC_MIN_CHARS:
            picture = SYNC_START + picture + SYNC_END
        return controls + picture

    def _write(self, data: bytes) -> None:
        started = time.monotonic()
        while data:
            written = os.write(self._fd, data)
            self.bytes_written += written
            data = data[written:]
        self.slow_writes = self.slow_writes + 1 if time.monotonic() - started > _LAG_S else 0
