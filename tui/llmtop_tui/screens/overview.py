"""Everything about one run on one screen."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from llmtop.snapshot import FlightRow
from llmtop_tui import keys
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import (
    cost,
    errors,
    finished,
    flights,
    history,
    latency,
    log,
    memory,
    narrow,
    processes,
    throughput,
    tiny,
    tuner,
)
from llmtop_tui.scene import Scene
from llmtop_tui.screens.run_screen import RunScreen, next_sort
from llmtop_tui.session import Session
from llmtop_tui.table import TableView

_BOXES = (
    ("memory", memory),
    ("throughput", throughput),
    ("latency", latency),
    ("cost", cost),
    ("processes", processes),
    ("errors", errors),
)


class OverviewScreen(RunScreen):
    """Panels above, the table of what is in flight below; tuner, errors and log at its side when wide."""

    PLACE: ClassVar[keys.Place] = "overview"
    TAB: ClassVar[str] = "1"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self.table: TableView[FlightRow] = TableView(
            looks, self._header, self._row, lambda row: row.key, empty="nothing in flight", id="table"
        )

    def compose(self) -> ComposeResult:
        looks = self.looks
        boxes = [Panel(each.lines, looks, title=each.TITLE, id=name) for name, each in _BOXES]
        left = Vertical(
            Panel(narrow.lines, looks, id="narrow"),
            Container(*boxes, id="boxes"),
            Panel(
                history.requests, looks, title=history.requests_title, note=history.requests_note, id="plot"
            ),
            Panel(history.tokens, looks, title=history.tokens_title, note=history.tokens_note, id="plot2"),
            Panel(lambda *drawn: [tuner.short(drawn[0], drawn[1], drawn[3])], looks, id="tune"),
            self.tabs,
            self.table,
            Panel(finished.lines, looks, id="summary"),
            id="left",
        )
        right = Vertical(
            Panel(tuner.lines, looks, title=tuner.TITLE, id="tuner"),
            Panel(errors.kinds, looks, title=errors.KINDS_TITLE, id="kinds"),
            Panel(log.lines, looks, title=log.TITLE, id="log"),
            id="right",
        )
        yield from self.frame([Container(left, right, id="main"), Panel(tiny.lines, looks, id="tiny")])

    def show(self, scene: Scene) -> None:
        self.set_class(finished.has_summary(scene), "-ended")
        rows = scene.snapshot.rows if scene.snapshot else ()
        self.table.empty = self._empty(bool(rows))
        self.table.show(flights.arrange(rows, self.session.view))
        super().show(scene)

    def tab_note(self, width: int) -> Line:
        view = self.session.view
        parts = [f"/{said(view.text, 30)}" if view.text else "/ no filter" if width >= 100 else ""]
        parts.append("problems only" if view.only_problems else "")
        sort = "as sent" if view.sort == "engine" else view.sort
        is_telling = width >= 100 or view.sort != "engine"
        parts.append(f"sort {sort}{' inverted' if view.is_inverted else ''}" if is_telling else "")
        parts.append("follows" if self.table.is_following else "")
        text = "   ".join(part for part in parts if part)
        is_set = bool(view.text or view.only_problems)
        return line((f"{text} ", "you" if is_set else "muted"), *self._runs_note())

    def _empty(self, has_rows: bool) -> str:
        if self.session.snapshot is None:
            return "-"
        return "no row fits the filter (esc clears it)" if has_rows else "nothing in flight"

    def _header(self, width: int) -> Line:
        return flights.header(width, self.session.view)

    def _row(self, row: FlightRow, width: int, is_current: bool) -> Line:
        snapshot = self.session.snapshot
        now = snapshot.at if snapshot else 0.0
        return flights.draw(row, width, now, self.table.looks, is_current=is_current)

    def _look(self, **changes: object) -> None:
        self.session.view = replace(self.session.view, **changes)  # type: ignore[arg-type]
        self.show(self.session.scene())

    def do_up(self) -> None:
        self.table.move("up")

    def do_down(self) -> None:
        self.table.move("down")

    def do_page_up(self) -> None:
        self.table.move("page_up")

    def do_page_down(self) -> None:
        self.table.move("page_down")

    def do_home(self) -> None:
        self.table.move("home")

    def do_end(self) -> None:
        self.table.move("end")

    def do_sort(self) -> None:
        self._look(sort=next_sort(self.session.view.sort, 1))

    def do_sort_back(self) -> None:
        self._look(sort=next_sort(self.session.view.sort, -1))

    def do_invert(self) -> None:
        self._look(is_inverted=not self.session.view.is_inverted)

    def do_problems(self) -> None:
        self._look(only_problems=not self.session.view.only_problems)

    def do_follow(self) -> None:
        is_on = self.table.toggle_follow()
        self.say("the cursor stays with its row" if is_on else "the cursor stays in its place")
        self.tabs.redraw()

    def do_filter(self) -> None:
        """`/`: narrows while it is typed; enter keeps it, esc clears it."""
        self.status.read(
            "/",
            lambda text: self._look(text=text or ""),
            text=self.session.view.text,
            changed=lambda text: self._look(text=text),
            history=self.session.filters_typed,
        )

    def do_copy(self) -> None:
        """`y`: the row under the cursor goes to the clipboard of the terminal."""
        row = self.table.current
        if row is None:
            self.say("no row to copy", "warn")
            return
        text = flights.copied(row, self.session.snapshot.at if self.session.snapshot else 0.0)
        self.app.copy_to_clipboard(text)
        self.say(f"copied row {said(row.key, 20)} to the clipboard (OSC 52), {len(text)} characters")

    def do_bare(self) -> None:
        """`#`: the table alone."""
        self.toggle_class("-bare")

    def do_back(self) -> None:
        """`esc`: clear what narrows the table; then back to the list of runs."""
        view = self.session.view
        if view.text or view.only_problems:
            self._look(text="", only_problems=False)
        elif self.has_class("-bare"):
            self.remove_class("-bare")
        elif "screen_0" not in self.hidden:
            self._switch("0")
