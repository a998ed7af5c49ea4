"""Runs are opened in a thread, so that a signal is heard while a long input is read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from llmtop.adapters.home import Home
from llmtop.run.opened import Checked, Opened, Opener, StartOptions

_TIDY_S = 1.0
"""How long a thread that is not wanted any more may take to tidy up."""


class Opening:
    """Opens runs one after the other.

    Cancelling `open` makes the thread stop where it next tells its progress, and tidy up; where it
    hangs in a read (standard input that nobody writes to) nobody waits for it.
    """

    def __init__(
        self, home: Home, *, stdin: BinaryIO | None, on_progress: Callable[[float], None] | None
    ) -> None:
        self._is_unwanted = threading.Event()
        self._on_progress = on_progress
        self._opener = Opener(home, stdin=stdin, on_progress=self._progress)

    async def open(self, checked: Checked, options: StartOptions) -> Opened:
        """As `Opener.open`."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Opened] = loop.create_future()
        is_over = threading.Event()
        self._is_unwanted.clear()

        def work() -> None:
            try:
                opened = self._opener.open(checked, options)
            except BaseException as error:
                _tell(loop, outcome.set_exception, error, outcome)
            else:
                _tell(loop, outcome.set_result, opened, outcome)
            finally:
                is_over.set()

        threading.Thread(target=work, name="open", daemon=True).start()
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            self._is_unwanted.set()
            is_over.wait(_TIDY_S)
            outcome.add_done_callback(_let_go)
            raise

    def _progress(self, part: float) -> None:
        if self._is_unwanted.is_set():
            raise Unwanted
        if self._on_progress is not None:
            self._on_progress(part)


class Unwanted(Exception):
    """Whoever wanted the run has left."""


def _tell(
    loop: asyncio.AbstractEventLoop,
    tell: Callable[[Any], None],
    value: Opened | BaseException,
    outcome: asyncio.Future[Opened],
) -> None:
    def settle() -> None:
        if not outcome.done():
            tell(value)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: the process ends
        if isinstance(value, Opened):
            value.ledger.close()


def _let_go(outcome: asyncio.Future[Opened]) -> None:
    """It was opened after all, and nobody wants it."""
    if not outcome.cancelled() and outcome.exception() is None:
        outcome.result().ledger.close()
