"""The ways out of a viewer: leaving, stopping the run gently or at once, a terminal that goes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from llmtop.errors import LlmtopError
from llmtop.model import Command
from llmtop_tui.dialogs import Question
from llmtop_tui.proposals import Proposal
from llmtop_tui.scene import ENDED_STATES
from llmtop_tui.session import Session

if TYPE_CHECKING:
    from llmtop_tui.app import DashboardApp

_STOP_PATIENCE_S = 11.0
_LEAVE_OR_STOP = Question(
    "The run is not finished",
    ("The engine runs in a process of its own; it does not need this screen.",),
    (
        ("enter", "leave it running; `llmtop attach` comes back", "leave"),
        ("s", "stop it: calls in flight land and are saved", "stop"),
        ("escape", "stay here", "no"),
    ),
)


class Departure:
    """What ctrl+c, SIGTERM and `q` mean, by whose run it is and how often it was asked."""

    def __init__(self, app: DashboardApp) -> None:
        self._app = app
        self._stops = 0

    def interrupted(self) -> None:
        """ctrl+c, SIGTERM or SIGINT: stop the run gently, then at once; a mere viewer leaves."""
        app, session = self._app, self._app.session
        beginning = app.options.beginning
        if beginning is not None and not beginning.ready.done():
            beginning.call_off()
            app.leave("called_off")
            return
        if session is None or not app.is_owner(session) or is_over(session):
            app.leave(session.end_reason() if session is not None else "left")
            return
        self._stops += 1
        session.is_stopping_here = True
        if self._stops == 1:
            app.say("stopping: calls in flight land and are saved; ctrl+c again stops at once", "warn")
            session.perform(Proposal("stop", None, (("state", "stop"),)))
            asyncio.get_running_loop().call_later(_STOP_PATIENCE_S, app.leave, "stopped")
        elif self._stops == 2:
            app.spawn(self._stop_now(session))
        else:
            app.leave("stopped")

    def quit(self) -> None:
        """`q`: leave; asks where the run was started from here and is not over."""
        app, session = self._app, self._app.session
        ask = getattr(app.screen, "ask", None)
        if session is None or not app.is_owner(session) or is_over(session) or ask is None:
            app.leave(session.end_reason() if session is not None else "left")
        else:
            ask(_LEAVE_OR_STOP, self._answered)

    def _answered(self, answer: str) -> None:
        if answer == "leave":
            self._app.leave("left")
        elif answer == "stop":
            self.interrupted()

    async def _stop_now(self, session: Session) -> None:
        self._app.say("stopping at once", "warn")
        with contextlib.suppress(LlmtopError, OSError, EOFError, TimeoutError):
            await asyncio.wait_for(session.door.command(Command("stop_now", self._app.options.origin)), 1.0)
        asyncio.get_running_loop().call_later(1.0, self._app.leave, "stopped")


def is_over(session: Session) -> bool:
    """Whether there is nothing to stop any more."""
    return session.link in {"gone", "ended"} or (
        session.snapshot is not None and session.snapshot.state in ENDED_STATES
    )
