"""Where the lines of the plain and json displays go, without ever holding up the engine.

The engine may live in this process, and a pipe or terminal that nobody reads blocks whoever
writes to it. So a thread writes, straight to the file descriptor; the loop only hands lines over.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from llmtop.control.protocol import RunDoor
from llmtop.snapshot import RunState, Snapshot

ENDED: frozenset[RunState] = frozenset({"stopped", "cancelled", "finished", "failed"})
"""States that do not change any more."""

_MANY = 100
"""With so many lines waiting, those that may be left out are."""
_TOO_MANY = 20_000
"""With so many, all are: nobody reads any more."""


class Display(Protocol):
    """Prints what is due of one run's snapshots."""

    def show(self, snapshot: Snapshot) -> None:
        """Take the state now."""

    def finish(self, snapshot: Snapshot) -> None:
        """Take the state at the end."""


async def follow(
    door: RunDoor, display: Display, goes_on: Callable[[Snapshot], bool], *, interval_s: float = 0.5
) -> Snapshot:
    """Hand a run's snapshots to a display while `goes_on` and its engine lives; return the last one."""
    last: Snapshot | None = None
    async for snapshot in door.snapshots(interval_s):
        last = snapshot
        display.show(snapshot)
        if not goes_on(snapshot):
            break
    return last if last is not None else await door.snapshot()


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own; `write` never blocks.

    A reader that went away (broken pipe, hung-up terminal) ends the output, not the run: later
    lines are dropped and `is_gone` says so. The thread is a daemon, so a stuck reader cannot
    hold the process either.
    """

    def __init__(self, fd: int, *, encoding: str = "utf-8") -> None:
        self._fd = fd
        self._encoding = encoding
        self._waiting: deque[bytes] = deque()
        self._change = threading.Condition()
        self._is_busy = False
        self.is_gone = False
        self._thread = threading.Thread(target=self._run, name="lines out", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"LineWriter(fd={self._fd}, waiting={len(self._waiting)}, gone={self.is_gone})"

    def write(self, line: str, *, may_drop: bool = False) -> None:
        """Take a line without its end. `may_drop`: it is left out while the reader is slow."""
        with self._change:
            limit = _MANY if may_drop else _TOO_MANY
            if self.is_gone or len(self._waiting) >= limit:
                return
            self._waiting.append((line + "\n").encode(self._encoding, "backslashreplace"))
            self._change.notify_all()

    def mute(self) -> None:
        """Write nothing from now on: the terminal has hung up."""
        with self._change:
            self.is_gone = True
            self._waiting.clear()
            self._change.notify_all()

    def drain(self, patience_s: float) -> bool:
        """Wait until all is written, at most `patience_s` without any progress. False: given up."""
        with self._change:
            left = len(self._waiting)
            until = time.monotonic() + patience_s
            while (self._waiting or self._is_busy) and not self.is_gone:
                if not self._change.wait(max(0.0, until - time.monotonic())):
                    return False
                if len(self._waiting) < left:
                    left, until = len(self._waiting), time.monotonic() + patience_s
            return not self.is_gone

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting:
                    self._is_busy = False
                    self._change.notify_all()
                    self._change.wait()
                chunk = self._waiting.popleft()
                self._is_busy = True
                self._change.notify_all()
            try:
                self._put(chunk)
            except OSError:
                self.mute()

    def _put(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and not self.is_gone:
            view = view[os.write(self._fd, view) :]
