"""Every run of the state folder, live ones first; what to do when there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.screen import Screen

from llmtop.snapshot import RunLine
from llmtop_tui import keys
from llmtop_tui.dialogs import Dialog, Question
from llmtop_tui.ink import Line, said
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panel import LineWidget, Panel
from llmtop_tui.panels import first_run, runs
from llmtop_tui.scene import Scene
from llmtop_tui.status import StatusLine
from llmtop_tui.table import TableView

if TYPE_CHECKING:
    from llmtop.control.library import Home
    from llmtop_tui.view import ViewOptions


_OF_THE_TABLE = frozenset({"open", "filter", "sort", "copy", "resume_run"})


class RunsScreen(Screen[None]):
    """The start screen of bare `llmtop`."""

    def __init__(self, looks: Looks, on_open: Callable[[str], None], wall: Callable[[], float]) -> None:
        super().__init__()
        self.looks = looks
        self.runs: tuple[RunLine, ...] | None = None
        self._text = ""
        self._sort, self._is_inverted = runs.SORTS[0], False
        self._typed: list[str] = []
        self._files: list[str] = []
        self._on_open = on_open
        self._wall = wall
        self.title_panel = Panel(self._title, looks, id="runs-title")
        self.table: TableView[RunLine] = TableView(
            looks, self._header, self._row, lambda run: run.run_id, empty="-", id="runs-table"
        )
        self.table.on_open = self.do_open
        self.first = Panel(
            lambda *drawn: first_run.lines(drawn[1], drawn[2], drawn[3]), looks, id="first-run"
        )
        self.status = StatusLine(looks, id="status")
        self.footer = Panel(self._footer, looks, id="footer")
        self.dialog = Dialog(looks, time.monotonic, id="dialog")
        for binding in keys.bindings("runs"):
            for one in binding.make_bindings([binding]):
                self._bindings.bind(one.key, one.action, one.description, show=False)

    def compose(self) -> ComposeResult:
        yield self.title_panel
        yield self.table
        yield self.first
        yield self.status
        yield self.footer
        yield self.dialog

    def take(self, lines: Sequence[RunLine]) -> None:
        """Show these runs."""
        self.runs = tuple(lines)
        self.set_class(not self.runs, "-empty")
        self.table.empty = "no run fits the filter" if self.runs else ""
        self.table.show(runs.arrange(self.runs, self._text, self._sort, is_inverted=self._is_inverted))
        self.title_panel.redraw()
        self.first.redraw()
        self.footer.redraw()

    def show(self, scene: Scene) -> None:
        """Draw the clock."""
        self.title_panel.redraw()

    def on_resize(self) -> None:
        self.dialog.place()

    def restyle(self, looks: Looks) -> None:
        """Draw everything in other looks."""
        self.looks = looks
        for widget in self.query(LineWidget):
            widget.restyle(looks)

    def say(self, text: str, role: Role = "plain", hint: str = "") -> None:
        """Show a message in the status line."""
        self.status.say(text, role, hint)

    def ask(self, question: Question, answered: Callable[[str], None]) -> None:
        """Ask the operator."""
        self.dialog.ask(question, answered)

    def action_do(self, name: str) -> None:
        """Every key comes here."""
        if name in {"up", "down", "page_up", "page_down", "home", "end"}:
            self.table.move(name)
        elif (own := getattr(self, f"do_{name}", None)) is not None:
            own()
        else:
            self.app.action_view(name)  # type: ignore[attr-defined]

    def do_open(self) -> None:
        """`enter`: the run under the cursor."""
        run = self.table.current
        if run is not None:
            self.say(f"opening {said(run.name, 60)}")
            self._on_open(run.run_id)

    def do_filter(self) -> None:
        """`/`: narrows while it is typed."""
        self.status.read(
            "/", lambda text: self._look(text or ""), text=self._text, changed=self._look, history=self._typed
        )

    def do_sort(self) -> None:
        self._order(1)

    def do_sort_back(self) -> None:
        self._order(-1)

    def do_invert(self) -> None:
        """`I`: the order the other way round."""
        self._is_inverted = not self._is_inverted
        self._order(0)

    def _order(self, step: int) -> None:
        self._sort = runs.SORTS[(runs.SORTS.index(self._sort) + step) % len(runs.SORTS)]
        self.say(f"sort {self._sort}{', inverted' if self._is_inverted else ''}")
        if self.runs is not None:
            self.take(self.runs)

    def do_screen_8(self) -> None:
        """`C`: the run under the cursor beside the others of its items."""
        if (run := self.table.current) is not None:
            self.app.room.open(run.run_id, "8")  # type: ignore[attr-defined]

    def do_resume_run(self) -> None:
        """`r`: go on with the run under the cursor."""
        run, home = self.table.current, self._home()
        if run is None or home is None:
            self.say("no run under the cursor", "warn")
        elif run.pid is not None:
            self.do_open()
        else:
            from llmtop_tui.launching import resume

            self.app.room.launch(resume(home, run.run_id), f"resuming {said(run.name, 60)}")  # type: ignore[attr-defined]

    def do_demo(self) -> None:
        """`D`: the demo."""
        if (home := self._home()) is not None:
            from llmtop_tui.launching import start_demo

            self.app.room.launch(start_demo(home), "starting the demo")  # type: ignore[attr-defined]

    def do_new(self) -> None:
        """`n`: a run from a config file that is named."""
        self.status.read("config file: ", self._new, history=self._files)

    def _new(self, path: str | None) -> None:
        if path and (home := self._home()) is not None:
            from llmtop_tui.launching import start_config

            self.app.room.launch(start_config(home, path), f"starting {said(path, 60)}")  # type: ignore[attr-defined]

    def _home(self) -> Home | None:
        options: ViewOptions = self.app.options  # type: ignore[attr-defined]
        if options.is_read_only or options.home is None:
            self.say("this viewer only looks: nothing can be started from here", "warn")
            return None
        return options.home

    def do_copy_all(self) -> None:
        """`Y`: the ids of all runs that are shown."""
        ids = "\n".join(said(run.run_id) for run in self.table.rows)
        self.app.copy_to_clipboard(ids)
        self.say(f"copied {len(self.table.rows)} ids to the clipboard (OSC 52)")

    def do_copy(self) -> None:
        """`y`: the id of the run under the cursor."""
        run = self.table.current
        if run is not None:
            self.app.copy_to_clipboard(said(run.run_id))
            self.say(f"copied the id {said(run.run_id, 80)} to the clipboard (OSC 52)")

    def _look(self, text: str) -> None:
        self._text = text
        if self.runs is not None:
            self.take(self.runs)

    def _header(self, width: int) -> Line:
        return runs.header(width, self._sort)

    def _row(self, run: RunLine, width: int, is_current: bool) -> Line:
        return runs.draw(run, width, self._wall(), self.table.looks, is_current=is_current)

    def _title(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        return [runs.title(self.runs, self._wall(), width), ()][:height]

    def _footer(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        hidden = _OF_THE_TABLE if self.runs == () else frozenset()
        return [keys.footer("runs", width, looks, hidden=hidden)]
