"""The terminal: what goes to it, what comes from it, and how it may vanish.

All of Textual that is not public is used here and nowhere else. What holds:

- Writing never blocks the event loop: a thread of its own writes, one difference at a time, and
  whatever was drawn meanwhile is in the next one. Nothing piles up for a line that stands still.
- A vanished terminal (EIO, end of file) ends that thread and the input thread; the app is told once.
- `stop_application_mode` leaves the terminal as it was found and takes at most 0.5 s.
- The mouse reports clicks and the wheel, never mere moves; the keyboard stays in its plain mode, so
  that a killed viewer leaves no terminal behind that types escape codes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import time
import tty
from codecs import getincrementaldecoder
from typing import Any, Protocol

from textual import events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size

from llmtop_tui.cells import SYNC_END, SYNC_START, Grid

STOP_WAIT_S = 0.5
_LAG_S = 1.0
_MAX_CONTROLS = 64
_SYNC_MIN_CHARS = 200

_ENTER = "\x1b[?1049h\x1b[H\x1b[2J\x1b[?25l\x1b[?2004h\x1b[?7l"
_LEAVE = "\x1b[m\x1b[?2004l\x1b[?7h\x1b[?1049l\x1b[?25h"
_MOUSE_ON = "\x1b[?1000h\x1b[?1006h"
_MOUSE_OFF = "\x1b[?1006l\x1b[?1000l"
_LET_THROUGH = ("\x1b]52;", "\x07")
"""What of Textual's output may reach the terminal beside drawing: the clipboard and the bell."""
_ASK_SYNC = "\x1b[?2026$p"


class Outlet(threading.Thread):
    """Writes the newest picture to a terminal; whoever draws never waits for it."""

    def __init__(self, fd: int, size: tuple[int, int], gone: Any, encoding: str = "utf-8") -> None:
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


class _Host(Protocol):
    """What the driver tells its app."""

    def terminal_gone(self) -> None: ...


class TerminalDriver(Driver):
    """A Textual driver for a POSIX terminal, with the promises of this module."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._host: _Host = app  # type: ignore[assignment]
        self._out = 1 if os.isatty(1) else 2
        self._in = _input_fd()
        self._outlet: Outlet | None = None
        self._reader: threading.Thread | None = None
        self._wake: tuple[int, int] | None = None
        self._saved: list[Any] | None = None
        self._is_gone = False
        self._has_mouse = mouse

    @property
    def can_suspend(self) -> bool:
        """A terminal can be given back to the shell for a while."""
        return True

    @property
    def is_slow(self) -> bool:
        """Whether the line does not keep up."""
        return self._outlet is not None and self._outlet.slow_writes >= 3

    def write(self, data: str) -> None:
        """Take output in; never blocks."""
        if self._outlet is not None:
            self._outlet.draw(data)

    def set_mouse(self, is_on: bool) -> None:
        """Switch the reports of clicks and wheel."""
        self._has_mouse = is_on
        if self._outlet is not None:
            self._outlet.control(_MOUSE_ON if is_on else _MOUSE_OFF)

    def repaint(self) -> None:
        """Send the whole screen again."""
        if self._outlet is not None:
            self._outlet.repaint()

    def start_application_mode(self) -> None:
        """Take the terminal over."""
        size = self._terminal_size()
        encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
        self._outlet = Outlet(self._out, size, self._gone_from_thread, encoding)
        self._raw_mode()
        mouse = _MOUSE_ON if self._has_mouse else ""
        query = "" if os.environ.get("TERM_PROGRAM") == "Apple_Terminal" else _ASK_SYNC
        self._outlet.control(_ENTER + mouse + query)
        self._outlet.start()
        self._start_reader()
        for number, action in self._signals():
            self._loop.add_signal_handler(number, action)
        self._send_size()

    def _signals(self) -> tuple[tuple[int, Any], ...]:
        return (
            (signal.SIGWINCH, self._on_resize),
            (signal.SIGTSTP, self.suspend),
            (signal.SIGCONT, self._on_continue),
        )

    def disable_input(self) -> None:
        """Stop reading keys."""
        reader, self._reader = self._reader, None
        if reader is None or self._wake is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._wake[1], b"x")
        reader.join(STOP_WAIT_S)
        for fd in self._wake:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._wake = None
        if not self._is_gone:
            with contextlib.suppress(termios.error, OSError):
                termios.tcflush(self._in, termios.TCIFLUSH)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was found; at most half a second."""
        outlet, self._outlet = self._outlet, None
        if outlet is None:
            return
        for number, _ in self._signals():
            with contextlib.suppress(ValueError, RuntimeError):
                self._loop.remove_signal_handler(number)
        self.disable_input()
        if not self._is_gone:
            if self._saved is not None:
                with contextlib.suppress(termios.error, OSError):
                    termios.tcsetattr(self._in, termios.TCSANOW, self._saved)
            outlet.stop(_MOUSE_OFF + _LEAVE)

    def suspend(self) -> None:
        """Give the terminal to the shell and stop this process group until `fg`."""
        if self._is_gone or self._outlet is None:
            return
        self.stop_application_mode()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)
        self.start_application_mode()
        self._app.refresh(layout=True)

    def _on_continue(self) -> None:
        """Somebody stopped and continued this process: take the terminal again, unless it hung up."""
        if self._is_gone or self._outlet is None:
            return
        self._raw_mode()
        self._outlet.control(_ENTER + (_MOUSE_ON if self._has_mouse else ""))
        self._outlet.repaint()
        self._app.refresh(layout=True)

    def _raw_mode(self) -> None:
        try:
            attributes = termios.tcgetattr(self._in)
            if self._saved is None:
                self._saved = termios.tcgetattr(self._in)
            attributes[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            attributes[tty.IFLAG] &= ~(
                termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR
            )
            attributes[tty.CC][termios.VMIN] = 1
            termios.tcsetattr(self._in, termios.TCSANOW, attributes)
        except (termios.error, OSError):
            self._saved = None

    def _terminal_size(self) -> tuple[int, int]:
        """As the terminal says now; what Textual was told at the start does not follow a resize."""
        try:
            width, height = os.get_terminal_size(self._out)
        except OSError:
            width, height = self._size or shutil.get_terminal_size()
        return max(width, 1) if width else 80, max(height, 1) if height else 24

    def _on_resize(self) -> None:
        if self._outlet is not None:
            self._outlet.resize(self._terminal_size())
        self._send_size()
        self._app.refresh(layout=True)

    def _send_size(self) -> None:
        size = Size(*self._terminal_size())
        self.process_message(events.Resize(size, size))

    def _gone_from_thread(self) -> None:
        self._is_gone = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._host.terminal_gone)

    def _start_reader(self) -> None:
        if self._in < 0:
            return
        self._wake = os.pipe()
        self._reader = threading.Thread(
            target=self._read, args=(self._in, self._wake[0]), daemon=True, name="terminal-input"
        )
        self._reader.start()

    def _read(self, fd: int, wake: int) -> None:
        """Turn bytes into events until woken, end of file or a dead terminal."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        wait: float | None = None
        try:
            while True:
                ready, _, _ = select.select([fd, wake], [], [], wait)
                if wake in ready:
                    return
                if fd in ready:
                    data = os.read(fd, 4096)
                    if not data:
                        self._gone_from_thread()
                        return
                    messages = list(parser.feed(decode(data)))
                    wait = 0.1
                else:
                    messages = []
                    wait = None
                for message in [*messages, *parser.tick()]:
                    self.process_message(message)
        except (OSError, ValueError):
            self._gone_from_thread()
        except (ParseError, EOFError, RuntimeError):
            return


def _input_fd() -> int:
    """The terminal to read keys from: stdin, else the controlling terminal; -1 where there is none."""
    if os.isatty(0):
        return 0
    try:
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return -1


class GuardedApp(App[None]):
    """An app whose crash prints nothing by itself: Textual's own report shows local variables."""

    failure: Exception | None = None
    """What ended the app, if it was not meant to end."""

    def _fatal_error(self) -> None:
        self.failure = self._exception
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        """End without printing."""
        self.failure = self._exception
        self._close_messages_no_wait()

    def terminal_gone(self) -> None:
        """Tell the app that nobody sees it any more."""
        self.exit()


async def run_guarded(app: GuardedApp, *, mouse: bool) -> None:
    """Run an app in the loop at hand and leave the loop as it was."""
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    try:
        await app.run_async(mouse=mouse)
    finally:
        loop.set_task_factory(factory)
