"""Screens over the rows of the snapshot: requests, packs and provider batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from llmtop.snapshot import FlightRow
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels import flights
from llmtop_tui.panels.flights import View
from llmtop_tui.proposals import JOB_ACTIONS, cancel_job, look_up
from llmtop_tui.scene import Scene
from llmtop_tui.screens.run_screen import next_sort
from llmtop_tui.screens.table_screen import TableScreen
from llmtop_tui.session import Session
from llmtop_tui.table import TableView


class FlightScreen(TableScreen):
    """A table of what is in flight or just finished; the view of it belongs to the session."""

    SORTS: ClassVar[tuple[str, ...]] = flights.SORTS

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self.table: TableView[FlightRow] = TableView(
            looks, self._header, self._row, lambda row: row.key, empty="nothing in flight", id="table"
        )
        self.table.on_open, self.table.on_moved = self.do_open, self.moved

    @property
    def view(self) -> View:
        """How the rows are looked at."""
        return self.session.view

    @view.setter
    def view(self, view: View) -> None:
        self.session.view = view

    def chosen(self, rows: Sequence[FlightRow]) -> Sequence[FlightRow]:
        """Return the rows of the snapshot that belong here."""
        return rows

    def show(self, scene: Scene) -> None:
        rows = self.chosen(scene.snapshot.rows) if scene.snapshot else ()
        self.table.empty = self._empty(bool(rows))
        self.table.show(flights.arrange(rows, self.view))
        super().show(scene)

    def tab_note(self, width: int) -> Line:
        view = self.view
        parts = [f"/{said(view.text, 30)}" if view.text else "/ no filter" if width >= 100 else ""]
        parts.append("problems only" if view.only_problems else "")
        sort = "as sent" if view.sort == "engine" else view.sort
        is_telling = width >= 100 or view.sort != "engine"
        parts.append(f"sort {sort}{' inverted' if view.is_inverted else ''}" if is_telling else "")
        parts.append("follows" if self.table.is_following else "")
        text = "   ".join(part for part in parts if part)
        is_set = bool(view.text or view.only_problems)
        return line((f"{text} ", "you" if is_set else "muted"), *self._runs_note())

    def copied(self, row: FlightRow) -> str:
        return flights.copied(row, self.session.snapshot.at if self.session.snapshot else 0.0)

    def _empty(self, has_rows: bool) -> str:
        if self.session.snapshot is None:
            return "-"
        return "no row fits the filter (esc clears it)" if has_rows else "nothing in flight"

    def _header(self, width: int) -> Line:
        return flights.header(width, self.view, self.layout_of)

    def _row(self, row: FlightRow, width: int, is_current: bool) -> Line:
        snapshot = self.session.snapshot
        now = snapshot.at if snapshot else 0.0
        wish = flights.wish_of(row, self.session.steering.wanted())
        return flights.draw(
            row, width, now, self.table.looks, is_current=is_current, wish=wish, layout=self.layout_of
        )

    def layout_of(self, width: int) -> list[flights.Column]:
        """Return the columns for a table of this width."""
        return flights.columns(width)

    def _look(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]
        self.show(self.session.scene())

    def do_open(self) -> None:
        """`enter`: the item of a request, or what is known of a pack or batch job, with its items."""
        row = self.table.current
        if row is None:
            self.say("nothing under the cursor", "warn")
        elif row.items <= 1 and row.item_id:
            self.open_item(row.item_id, self._neighbour)
        else:
            self.open_batch(row.key)

    def _neighbour(self, step: int) -> str | None:
        """The item of the row below or above."""
        before = self.table.cursor
        self.table.move("down" if step > 0 else "up")
        row = self.table.current
        return row.item_id if row is not None and row.item_id and self.table.cursor != before else None

    def do_sort(self) -> None:
        self._look(sort=next_sort(self.SORTS, self.view.sort, 1))

    def do_sort_back(self) -> None:
        self._look(sort=next_sort(self.SORTS, self.view.sort, -1))

    def do_invert(self) -> None:
        self._look(is_inverted=not self.view.is_inverted)

    def do_problems(self) -> None:
        self._look(only_problems=not self.view.only_problems)

    def do_filter(self) -> None:
        """`/`: narrows while it is typed; enter keeps it, esc clears it."""
        self.status.read(
            "/",
            lambda text: self._look(text=text or ""),
            text=self.view.text,
            changed=lambda text: self._look(text=text),
            history=self.session.filters_typed,
        )

    def do_next_match(self) -> None:
        self._move("down")

    def do_last_match(self) -> None:
        self._move("up")

    def do_again(self) -> None:
        """`R`: the item of the row under the cursor, where it was rejected or failed."""
        row = self.table.current
        if row is None or not row.item_id:
            self.say("this row is no single item; 3 lists the items", "warn")
        else:
            self.ask_again([row.item_id])

    def do_cancel_job(self) -> None:
        """`K`: end the job under the cursor at the provider, after a question."""
        self.steer_job(self.table.current, cancel_job)

    def do_look_up(self) -> None:
        """`l`: look at the job under the cursor now, or for it again."""
        self.steer_job(self.table.current, look_up)

    def idle_actions(self, scene: Scene) -> frozenset[str]:
        has_jobs = scene.snapshot is not None and scene.snapshot.batches.open > 0
        return frozenset() if has_jobs else JOB_ACTIONS

    def clear_view(self) -> bool:
        """Undo what narrows the table; return whether there was something."""
        view = self.view
        if not (view.text or view.only_problems):
            return False
        self._look(text="", only_problems=False)
        return True
