"""Run the engine in this process and follow it with lines: `--display plain`, `json` and `none`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmtop.cleaning import clean
from llmtop.control.protocol import RunDoor
from llmtop.snapshot import Snapshot
from llmtop_tui.cli.common import Common
from llmtop_tui.cli.printing import coloured, has_colour
from llmtop_tui.cli.showing import settings_object
from llmtop_tui.format import percent
from llmtop_tui.jsonlines import JsonDisplay
from llmtop_tui.lines import Display, LineWriter, follow
from llmtop_tui.order import SOME_ITEMS
from llmtop_tui.plain import INTERVAL_S, PlainDisplay, Role

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig
    from llmtop.control.launch import EngineHere
    from llmtop.control.spawning import RunOptions

Lines = Literal["plain", "json", "none"]
_PATIENCE_S = 5.0
"""How long the last lines may wait for a reader that does not read."""


class Silent:
    """The display that shows nothing."""

    def show(self, snapshot: Snapshot) -> None:
        """Show nothing."""

    def finish(self, snapshot: Snapshot) -> None:
        """Show nothing."""


class Outlet:
    """stdout and stderr of a run in this process: neither ever holds up the engine."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = LineWriter(1, encoding=sys.stdout.encoding or "utf-8")
        self._messages = LineWriter(2, encoding=sys.stderr.encoding or "utf-8")
        self._is_coloured = has_colour(1)

    def display(self, kind: Lines, folder: Path) -> Display:
        """Return a display for the run in `folder`."""
        if kind == "json":
            from llmtop.control.settings import settings_of  # late: only this display reads the ledger

            return JsonDisplay(self._emit, settings_object(settings_of(folder)))
        return PlainDisplay(self._say) if kind == "plain" else Silent()

    def message(self, text: str) -> None:
        """Say something on stderr."""
        self._messages.write(clean(text, limit=4096))

    def is_read(self) -> bool:
        """Return whether somebody may still read the lines."""
        return not self._out.is_gone

    def hang_up(self) -> None:
        """The terminal is gone: nothing is written any more."""
        self._out.mute()
        self._messages.mute()

    def close(self) -> None:
        """Let the last lines out."""
        self._out.drain(_PATIENCE_S)
        self._messages.drain(_PATIENCE_S)

    def _emit(self, line: str, may_drop: bool) -> None:
        self._out.write(line, may_drop=may_drop)

    def _say(self, line: str, role: Role, may_drop: bool) -> None:
        self._out.write(coloured(line, role, self._is_coloured), may_drop=may_drop)


class Reading:
    """Says how far the input is read, when that takes long. Called from any thread."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._next_at = time.monotonic() + INTERVAL_S

    def __call__(self, part: float) -> None:
        """Take the part that is read, 0 to 1."""
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + INTERVAL_S
            self._outlet.message(f"reading items, {percent(part)}")


class Signals:
    """What Ctrl-C, SIGTERM and a hang-up mean while the engine is in this process.

    The first of SIGINT and SIGTERM stops politely, the second at once, a third does not wait for
    anything. A hang-up ends the output only.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._starting = asyncio.current_task()
        self.engine: EngineHere | None = None
        self.received: list[int] = []

    def install(self) -> None:
        """Listen; a hang-up that was ignored before (nohup) stays ignored."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._outlet.hang_up)

    def _stop(self, number: int) -> None:
        self.received.append(number)
        if len(self.received) > 2:
            os._exit(128 + number)
        if self.engine is None:
            if self._starting is not None:
                self._starting.cancel()
        elif len(self.received) == 1:
            self._outlet.message("stopping: what is in flight may still land; once more ends at once")
            self.engine.stop(128 + number)
        else:
            self.engine.stop_now(128 + self.received[0])


def run_here(common: Common, configs: Sequence[RunConfig], options: RunOptions, kind: Lines) -> int:
    """Run them to their end in this process; return the exit code."""
    from llmtop.control.process import run_engine_process

    outlet = Outlet()
    try:
        return run_engine_process(_run(common, configs, options, kind, outlet))
    finally:
        outlet.close()


async def _run(
    common: Common, configs: Sequence[RunConfig], options: RunOptions, kind: Lines, outlet: Outlet
) -> int:
    from llmtop.control.launch import engine_here

    home = common.home()
    signals = Signals(outlet)
    signals.install()
    try:
        async with engine_here(home, configs, options, Reading(outlet)) as engine:
            signals.engine = engine
            for notice in engine.notices:
                outlet.message(notice)
            displays = [outlet.display(kind, home.run_folder(door.run_id)) for door in engine.doors]
            followers = [
                asyncio.create_task(follow(door, display, lambda _: True), name=f"follow {door.run_id}")
                for door, display in zip(engine.doors, displays, strict=True)
            ]
            ended = await engine.wait()
            for each in zip(engine.doors, displays, followers, strict=True):
                await _finish(*each, outlet)
            return 0 if options.exit_zero and ended == SOME_ITEMS else ended
    except asyncio.CancelledError:
        if not signals.received or signals.engine is not None:
            raise
        return 128 + signals.received[0]


async def follow_elsewhere(door: RunDoor, folder: Path, kind: Lines, *, is_live: bool) -> int:
    """Follow with lines a run whose engine lives elsewhere; Ctrl-C leaves, and changes nothing.

    A run that nobody runs is summed up.
    """
    outlet = Outlet()
    display = outlet.display(kind, folder)
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, me.cancel)
    try:
        last = (
            await follow(door, display, lambda now: outlet.is_read() and now.exit_code is None)
            if is_live
            else await door.snapshot()
        )
        display.finish(last)
    except asyncio.CancelledError:
        outlet.message(f"left; `llmtop attach {door.run_id}` comes back")
    finally:
        outlet.close()
    return 0


async def _finish(door: RunDoor, display: Display, follower: asyncio.Task[Snapshot], outlet: Outlet) -> None:
    """Print the end of one run. A display that broke is told, and changes nothing."""
    follower.cancel()
    await asyncio.wait([follower])
    if not follower.cancelled() and (broken := follower.exception()) is not None:
        outlet.message(f"llmtop: the display broke ({type(broken).__name__}: {broken}); the run did not")
    display.finish(await door.snapshot())
