"""Screens over the rows of the snapshot: requests, packs and provider batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmtop.snapshot import FlightRow
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels import flights
from llmtop_tui.scene import Scene
from llmtop_tui.screens.run_screen import next_sort
from llmtop_tui.screens.table_screen import TableScreen
from llmtop_tui.session import Session
from llmtop_tui.table import TableView


class FlightScreen(TableScreen):
    """A table of what is in flight or just finished; the view of it belongs to the session."""

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self.table: TableView[FlightRow] = TableView(
            looks, self._header, self._row, lambda row: row.key, empty="nothing in flight", id="table"
        )
        self.table.on_open, self.table.on_moved = self.do_open, self.moved

    def chosen(self, rows: Sequence[FlightRow]) -> Sequence[FlightRow]:
        """Return the rows of the snapshot that belong here."""
        return rows

    def show(self, scene: Scene) -> None:
        rows = self.chosen(scene.snapshot.rows) if scene.snapshot else ()
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

    def copied(self, row: FlightRow) -> str:
        return flights.copied(row, self.session.snapshot.at if self.session.snapshot else 0.0)

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

    def do_open(self) -> None:
        """`enter`: the item of a request, the items of a pack, or what is known of a batch job."""
        row = self.table.current
        if row is None:
            self.say("nothing under the cursor", "warn")
        elif row.items <= 1 and row.item_id:
            self.open_item(row.item_id, self._neighbour)
        elif row.via == "rt":
            self.open_items_of(row.key)
        else:
            self.open_batch(row.key)

    def _neighbour(self, step: int) -> str | None:
        """The item of the row below or above."""
        before = self.table.cursor
        self.table.move("down" if step > 0 else "up")
        row = self.table.current
        return row.item_id if row is not None and row.item_id and self.table.cursor != before else None

    def do_sort(self) -> None:
        self._look(sort=next_sort(self.session.view.sort, 1))

    def do_sort_back(self) -> None:
        self._look(sort=next_sort(self.session.view.sort, -1))

    def do_invert(self) -> None:
        self._look(is_inverted=not self.session.view.is_inverted)

    def do_problems(self) -> None:
        self._look(only_problems=not self.session.view.only_problems)

    def do_filter(self) -> None:
        """`/`: narrows while it is typed; enter keeps it, esc clears it."""
        self.status.read(
            "/",
            lambda text: self._look(text=text or ""),
            text=self.session.view.text,
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

    def clear_view(self) -> bool:
        """Undo what narrows the table; return whether there was something."""
        view = self.session.view
        if not (view.text or view.only_problems):
            return False
        self._look(text="", only_problems=False)
        return True
