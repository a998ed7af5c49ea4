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
import tty
from codecs import getincrementaldecoder
from typing import Any, Protocol

from textual import events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.geometry import Size

from llmtop_tui.outlet import STOP_WAIT_S, Outlet

_ENTER = "\x1b[?1049h\x1b[H\x1b[2J\x1b[?25l\x1b[?2004h\x1b[?7l"
_LEAVE = "\x1b[m\x1b[H\x1b[J\x1b[?2004l\x1b[?7h\x1b[?1049l\x1b[?25h"
"""Wiped first: GNU screen has no second screen unless it is told to, and keeps what is there."""
_MOUSE_ON = "\x1b[?1000h\x1b[?1006h"
_MOUSE_OFF = "\x1b[?1006l\x1b[?1000l"
_ASK_SYNC = "\x1b[?2026$p"


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

    def tell(self, sequence: str) -> None:
        """Send a title or a bell of ours; never text that somebody else wrote uncleaned."""
        if self._outlet is not None:
            self._outlet.control(sequence)

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
