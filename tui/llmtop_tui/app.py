"""The dashboard: one app over one run (`watch`) or over the list of runs (`browse`).

It holds doors and draws snapshots; no engine, no ledger, no network of its own. The first frame is
painted before anything is awaited. Whatever happens here, the engine does not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import BindingType

from llmtop.control.protocol import RunDoor
from llmtop.errors import LlmtopError
from llmtop.snapshot import RunLine, Snapshot
from llmtop_tui import display, notices
from llmtop_tui.departure import Departure
from llmtop_tui.driver import TerminalDriver, run_guarded
from llmtop_tui.ink import said
from llmtop_tui.looks import Role, choose
from llmtop_tui.navigator import Navigator
from llmtop_tui.runs_room import OpenRun, RunsRoom
from llmtop_tui.scene import Scene
from llmtop_tui.screens.runs import RunsScreen
from llmtop_tui.session import Session
from llmtop_tui.view import EndReason, ViewEnd, ViewOptions

if TYPE_CHECKING:
    from llmtop_tui.beginning import Beginning

__all__ = ["ViewEnd", "ViewOptions", "browse", "watch"]

ListRuns = Callable[[], Awaitable[tuple[RunLine, ...]]]

SLOW_INTERVAL_S = 2.0


class DashboardApp(Navigator):
    """Timer, screens and the ways out. One session at a time."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        options: ViewOptions,
        session: Session | None = None,
        list_runs: ListRuns | None = None,
        open_run: OpenRun | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(driver_class=TerminalDriver, ansi_color=True)
        self.theme = "ansi-dark"  # its one use: no colours of Textual's own; panels draw in theirs
        self.animation_level = "none"
        self.options = options
        self.looks = choose(options.glyphs, options.theme, is_slow=options.is_slow)
        self.session = session
        self.reason: EndReason = "left"
        self.is_slow = options.is_slow
        self.has_mouse = options.has_mouse
        self._own_door = session.door if session is not None else None
        self._list_runs = list_runs
        self.has_list = list_runs is not None
        self._wall = wall
        self.departure = Departure(self)
        self.room = RunsRoom(self, open_run)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._has_said_slow = False
        self._window_title = ""
        self.no_start: Exception | None = None
        """Why the engine could not begin."""
        self.has_notices = options.notices
        self.every_s = display.RATES_S[0]
        """Seconds between two drawings."""

    def on_mount(self) -> None:
        """Show the first frame; everything that waits comes after it."""
        loop = asyncio.get_running_loop()
        for number, action in (
            (signal.SIGHUP, self.terminal_gone),
            (signal.SIGTERM, self.departure.interrupted),
            (signal.SIGINT, self.departure.interrupted),
        ):
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, action)
        self.push_screen(self.overview() if self.session else self.list_screen())
        self.call_after_refresh(self._begin)

    def list_screen(self) -> RunsScreen:
        """The list of runs."""
        return RunsScreen(self.looks, self.room.open, self._wall)

    def is_owner(self, session: Session) -> bool:
        """Whether the run was started for this viewer: to stop, and not only to leave."""
        beginning = self.options.beginning
        own = {*self.options.started, *(beginning.run_ids if beginning is not None else ())}
        if self._own_door is not None:
            own.add(self._own_door.run_id)
        return self.options.is_run_owner and session.door.run_id in own

    def _begin(self) -> None:
        if self.options.beginning is not None:
            self.spawn(self._until_begun(self.options.beginning))
        if self.session is not None:
            self.connect(self.session)
        if self._list_runs is not None:
            self.spawn(self.room.follow(self._list_runs))
        self._arm()

    async def _until_begun(self, beginning: Beginning) -> None:
        """Show how far the engine is; when it cannot begin, end with what it says."""
        beginning.on_progress = self.redraw
        try:
            ready = await asyncio.shield(beginning.ready)
        except (LlmtopError, OSError, ValueError) as error:
            self.no_start = error
            self.leave("left")
        else:
            for notice in ready.notices:
                if self.session is not None:
                    self.session.note(notice)

    def connect(self, session: Session) -> None:
        """Follow a run, and hear what happens to it."""
        session.on_redraw = self.redraw
        session.on_say = self.say
        session.on_landed = self.leave
        session.on_news = self._tell_terminal
        session.start()

    def _tell_terminal(self, before: Snapshot | None, now: Snapshot) -> None:
        """The window's title, and the bell when a run needs a look."""
        driver = self._driver
        if not self.has_notices or not isinstance(driver, TerminalDriver):
            return
        name = notices.title(now)
        if name != self._window_title:
            driver.tell(name if self._window_title else notices.SAVE_TITLE + name)
            self._window_title = name
        if text := notices.news(before, now):
            driver.tell(notices.notification(text))

    def _arm(self) -> None:
        """One timer, at whole seconds."""
        step = max(self.every_s, SLOW_INTERVAL_S if self.is_slow else 0.0)
        wait = step - time.time() % step
        self._timer = asyncio.get_running_loop().call_later(wait + 0.005, self._tick)

    def _tick(self) -> None:
        self._arm()
        if self.session is not None:
            self.session.tick()
        if not self._has_said_slow and getattr(self._driver, "is_slow", False):
            self._has_said_slow = True
            self.say("slow link: `ssh -C` or f2 then s", "warn", "")
        self.redraw()

    def redraw(self) -> None:
        """Draw the newest state on the screen on top."""
        if not self.is_running or (self.session is not None and self.session.is_frozen):
            return
        screen = self.screen
        scene = self.session.scene() if self.session is not None else Scene(now=self._wall())
        show = getattr(screen, "show", None)
        if show is not None and screen.is_attached:
            show(scene)

    def say(self, text: str, role: Role = "plain", hint: str = "") -> None:
        """Show a message in the status line of the screen on top."""
        say = getattr(self.screen, "say", None)
        if say is not None:
            say(text, role, hint)

    def action_view(self, name: str) -> None:
        """Keys that concern the viewer as a whole."""
        actions: dict[str, Callable[[], None]] = {
            "help": self.open_help,
            "detach": lambda: self.leave("detached"),
            "quit": self.departure.quit,
            "interrupt": self.departure.interrupted,
            "palette": self._palette,
            "mouse": self._toggle_mouse,
            "repaint": self._repaint,
            "display": lambda: display.ask(self),
            "suspend": self._suspend,
        }
        action = actions.get(name)
        if action is not None:
            action()

    def leave(self, reason: EndReason) -> None:
        """End the viewer."""
        self.reason = reason
        if self._window_title and isinstance(self._driver, TerminalDriver):
            self._driver.tell(notices.RESTORE_TITLE)
        self.exit()

    def terminal_gone(self) -> None:
        """Nobody sees this any more: end, and write nothing."""
        self.leave("hangup")

    def _palette(self) -> None:
        from llmtop_tui.palette import open_palette  # not needed for the first paint

        open_palette(self)

    def _toggle_mouse(self) -> None:
        self.has_mouse = not self.has_mouse
        if isinstance(self._driver, TerminalDriver):
            self._driver.set_mouse(self.has_mouse)
        self.say(
            "mouse on: click selects, wheel scrolls; m switches it off" if self.has_mouse else "mouse off"
        )

    def _repaint(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.repaint()
        self.refresh(repaint=True, layout=True)

    def _suspend(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self._driver.suspend()

    def spawn(self, work: Any) -> None:
        """Start something that ends with this app; what it raises is its own affair."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """End what this app started; called after it has run."""
        if self._timer is not None:
            self._timer.cancel()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):
                asyncio.get_running_loop().remove_signal_handler(number)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.session is not None:
            self.session.on_redraw = _nothing  # the screen is gone; what is said now is said to nobody
            self.session.on_say = _nothing
            await self.session.close()


def _nothing(*_: object) -> None:
    """Nobody is left to see it."""


async def watch(
    door: RunDoor,
    options: ViewOptions,
    list_runs: ListRuns | None = None,
    open_run: OpenRun | None = None,
) -> ViewEnd:
    """Show and steer one run until the operator leaves, the stop asked for is done, or the terminal goes.

    With `list_runs` and `open_run` the key `0` leads to the list of runs.

    Raises LlmtopError when the screen itself failed (the run goes on all the same), and what the engine
    could not begin for.
    """
    app = DashboardApp(options, Session(door, options), list_runs, open_run)
    await _run(app, options)
    if app.no_start is not None:
        raise app.no_start
    return ViewEnd(app.reason, app.session.snapshot if app.session is not None else None)


async def browse(list_runs: ListRuns, open_run: OpenRun, options: ViewOptions) -> int:
    """Show the list of runs, and any of them on enter; returns the exit code."""
    app = DashboardApp(options, list_runs=list_runs, open_run=open_run)
    await _run(app, options)
    return 129 if app.reason == "hangup" else 0


async def _run(app: DashboardApp, options: ViewOptions) -> None:
    try:
        await run_guarded(app, mouse=options.has_mouse)
    finally:
        await app.finish()
    if app.failure is not None:
        what = f"failed: {type(app.failure).__name__}: {said(app.failure)}"
        raise LlmtopError("dashboard", what, "the run goes on: `llmtop attach` shows it") from app.failure
