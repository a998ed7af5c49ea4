"""What the list of runs leads to: a run that is opened, started or gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from llmtop.control.protocol import RunDoor
from llmtop.errors import LlmtopError
from llmtop.snapshot import RunLine
from llmtop_tui.ink import said
from llmtop_tui.screens.runs import RunsScreen
from llmtop_tui.session import Session

if TYPE_CHECKING:
    from llmtop_tui.app import DashboardApp

OpenRun = Callable[[str], Awaitable[RunDoor]]
_SLOW_S = 2.0


class RunsRoom:
    """Opens runs from the list; one at a time."""

    def __init__(self, app: DashboardApp, open_run: OpenRun | None) -> None:
        self._app = app
        self._open_run = open_run

    def open(self, run_id: str, screen: str = "1") -> None:
        """Show a run of the list, on one of its screens."""
        if self._open_run is not None:
            self._app.spawn(self._opened(self._open_run, run_id, screen))

    def launch(self, work: Awaitable[str], what: str) -> None:
        """Start or resume a run, and show it."""
        self._app.spawn(self._launched(work, what))

    async def follow(self, list_runs: Callable[[], Awaitable[tuple[RunLine, ...]]]) -> None:
        """Keep the list as it is in the state folder while it is on top."""
        app = self._app
        while True:
            screen = app.screen_stack[1] if len(app.screen_stack) > 1 else None
            if app.session is None and isinstance(screen, RunsScreen):
                try:
                    screen.take(await list_runs())
                except (LlmtopError, OSError, EOFError, TimeoutError) as error:
                    screen.say(f"cannot read the runs: {said(error)}", "warn")
            await asyncio.sleep(_SLOW_S if app.is_slow else 1.0)

    async def _opened(self, open_run: OpenRun, run_id: str, screen: str) -> None:
        app = self._app
        try:
            door = await open_run(run_id)
        except (LlmtopError, OSError, EOFError, TimeoutError) as error:
            app.say(f"cannot open it: {said(error)}", "warn")
            return
        if app.session is not None:
            await door.close()
            return
        app.session = session = Session(door, app.options)
        await app.push_screen(app.overview())
        app.say("")
        app.connect(session)
        if screen != "1":
            app.open_tab(screen)

    async def _launched(self, work: Awaitable[str], what: str) -> None:
        app = self._app
        app.say(f"{what} ...")
        try:
            run_id = await work
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            app.say(f"{what}: {said(error, 300)}", "warn")
            return
        app.say(f"{what}: {said(run_id, 80)}")
        if app.session is None:
            self.open(run_id)
        else:
            app.session.restart()
