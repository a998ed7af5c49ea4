"""A run whose engine still reads its input: what is known of it, and how it goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from llmtop.errors import LlmtopError, UsageError
from llmtop_tui import format as fmt
from llmtop_tui.order import Order

if TYPE_CHECKING:
    from llmtop.control.beginning import Spawned


class Beginning:
    """Listens to a beginning engine in a thread. `ready` is its answer, or raises why there is none."""

    def __init__(self, order: Order, loop: asyncio.AbstractEventLoop) -> None:
        assert order.words_fd is not None
        assert order.engine_pid is not None
        self.name = order.name
        self.on_progress: Callable[[], None] = lambda: None
        self.ready: asyncio.Future[Spawned] = loop.create_future()
        self.ready.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._part = order.part
        self._pid = order.engine_pid
        self._loop = loop
        listening = (order.words_fd, order.engine_pid, order.heard)
        threading.Thread(target=self._listen, args=listening, name="listen", daemon=True).start()

    @property
    def words(self) -> str:
        """What is being done; empty when it is done."""
        return "" if self.ready.done() else f"reading the items, {fmt.percent(self._part)}"

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs of the engine, as soon as they are known."""
        is_known = self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None
        return self.ready.result().run_ids if is_known else ()

    def call_off(self) -> None:
        """End the engine: nothing was sent yet."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)

    def _listen(self, words_fd: int, pid: int, heard: str) -> None:
        from llmtop.control.beginning import Spawned, listen

        try:
            found = listen(words_fd, pid, self._progress, heard=heard)
            assert isinstance(found, Spawned)
            if not found.run_ids:
                raise UsageError("", "there is nothing left to do")
        except (LlmtopError, OSError, ValueError) as error:
            self._tell(self._failed, error)
        else:
            self._tell(self.ready.set_result, found)
        finally:
            os.close(words_fd)

    def _failed(self, error: Exception) -> None:
        self.ready.set_exception(error)

    def _progress(self, part: float) -> None:
        self._part = part
        self._tell(self.on_progress)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody wants to know
            self._loop.call_soon_threadsafe(what, *values)
