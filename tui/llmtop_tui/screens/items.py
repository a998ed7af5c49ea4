"""Every item of the run, paged from its ledger: in flight first, then waiting, rejected, failed, done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult

from llmtop.errors import LlmtopError
from llmtop.listing import ItemRow
from llmtop.model import RunCounts
from llmtop_tui import item_pages
from llmtop_tui.ink import Line, line, said
from llmtop_tui.item_pages import ItemPages, ItemView
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import items
from llmtop_tui.scene import Scene
from llmtop_tui.screens.table_screen import TableScreen
from llmtop_tui.session import Session
from llmtop_tui.table import TableView

_REFRESH_S = 2.0
_NEAR = 40
"""Rows from the edge of what is loaded at which the next page is asked for."""
_SORTS = ("input", *item_pages.SORTS)


class ItemsScreen(TableScreen):
    """A window over the ledger; the keys that move load what comes next."""

    PLACE: ClassVar[Place] = "items"
    TAB: ClassVar[str] = "3"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self.table: TableView[ItemRow] = TableView(
            looks, self._header, self._row, lambda row: row.id, empty="reading the ledger", id="table"
        )
        self.table.on_open, self.table.on_moved = self.do_open, self.moved
        self.pages = self._new_pages()
        self._is_busy = False
        self._loaded_at = 0.0
        self._looked_at = 0

    @property
    def item_view(self) -> ItemView:
        """Which items are looked at: kept in the session, for whoever comes back."""
        return self.session.item_view

    @item_view.setter
    def item_view(self, view: ItemView) -> None:
        self.session.item_view = view

    def compose(self) -> ComposeResult:
        yield from self.frame([self.tabs, Panel(self._summary, self.looks, id="counts"), self.table])

    def on_mount(self) -> None:
        super().on_mount()
        self.load("start")

    def show(self, scene: Scene) -> None:
        super().show(scene)
        is_due = self.session.clock() - self._loaded_at >= _REFRESH_S
        if scene.is_live and is_due:
            self.refresh_items()

    def refresh_items(self) -> None:
        """Read the first page again, where the cursor is on it and nothing is being read or searched."""
        is_at_top = self.pages.is_first and self.table.cursor < item_pages.PAGE // 2
        if is_at_top and not self._is_busy and not self.pages.view.text:
            self.load("refresh")

    @work(exclusive=True, exit_on_error=False)
    async def load(self, what: str) -> None:
        """Read pages: start, refresh, forward, back or end."""
        self._is_busy, self._looked_at = True, 0
        try:
            await self._load(what)
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            self.table.empty = "the items cannot be read"
            self.say(f"cannot read the items: {said(error)}", "warn")
        finally:
            self._is_busy = False
            self._loaded_at = self.session.clock()
        self._draw()

    async def _load(self, what: str) -> None:
        pages, table = self.pages, self.table
        if what in {"start", "refresh"}:
            await pages.start()
            table.cursor = 0 if what == "start" else table.cursor
        elif what == "end":
            await pages.end()
            table.cursor = len(pages.rows)
        elif what == "forward":
            table.cursor -= await pages.forward()
        else:
            table.cursor += await pages.back()
        table.empty = "no item fits (esc shows all)" if pages.view.is_narrowed else "no items"

    def moved(self) -> None:
        """Ask for the next page before the cursor is at the edge."""
        below = len(self.table.rows) - self.table.cursor
        if below < _NEAR and not self.pages.is_last:
            self.load("forward")
        elif self.table.cursor < _NEAR and not self.pages.is_first:
            self.load("back")
        self._draw_summary()

    def do_home(self) -> None:
        self.load("start")

    def do_end(self) -> None:
        """`G`: the last item, wherever it is."""
        self.load("end")

    def do_open(self) -> None:
        """`enter`: everything about the item."""
        row = self.table.current
        if row is not None:
            self.open_item(row.id, self._neighbour)

    def _neighbour(self, step: int) -> str | None:
        before = self.table.current
        self._move("down" if step > 0 else "up")
        row = self.table.current
        return row.id if row is not None and row != before else None

    def do_filter(self) -> None:
        """`/`: a search in ids and outputs; enter begins it."""
        self.status.read("/", self._search, text=self.pages.view.text, history=self.session.filters_typed)

    def _search(self, text: str | None) -> None:
        if text is not None and text.startswith("!"):
            self.say("`!` is for tables in memory; here `/` searches ids and outputs", "warn")
        elif text is not None:
            self.look(text=text)

    def do_next_match(self) -> None:
        self._move("down")

    def do_last_match(self) -> None:
        self._move("up")

    def do_problems(self) -> None:
        """`e`: rejected and failed ones only."""
        self.look(only_problems=not self.pages.view.only_problems, state=None)

    def do_next_panel(self) -> None:
        self._turn_state(1)

    def do_last_panel(self) -> None:
        self._turn_state(-1)

    def _turn_state(self, step: int) -> None:
        states = (None, *item_pages.ORDER)
        at = (states.index(self.pages.view.state) + step) % len(states)
        self.look(state=states[at], only_problems=False)

    def do_sort(self) -> None:
        self._sort(1)

    def do_sort_back(self) -> None:
        self._sort(-1)

    def _sort(self, step: int) -> None:
        sort = _SORTS[(_SORTS.index(self.pages.view.sort) + step) % len(_SORTS)]
        self._order(sort=sort)

    def do_invert(self) -> None:
        self._order(is_inverted=not self.pages.view.is_inverted)

    def _order(self, **changes: object) -> None:
        if not self.pages.is_whole:
            self.say(
                "a list that goes on in the ledger has input order; narrow it (/ or tab), then sort", "warn"
            )
            return
        self.pages.view = self.item_view = replace(self.pages.view, **changes)  # type: ignore[arg-type]
        self._draw()

    def do_again(self) -> None:
        """`R`: the item under the cursor; on a list of rejected or failed ones after `e`: only that one."""
        row = self.table.current
        if row is None or row.state not in {"rejected", "failed"}:
            self.say("only a rejected or failed item is asked again", "warn")
            return
        self.pages.forget_waiting()
        self.ask_again([row.id])

    def do_back(self) -> None:
        """`esc`: back to the screen that opened these items, else all items again, then the overview."""
        view = self.item_view
        if view.back_to:
            self.item_view = ItemView()
            self._switch(view.back_to)
        elif view.is_narrowed:
            self.look(state=None, only_problems=False, text="", error_type=None, of_row=None)
        else:
            self._switch("1")

    def look(self, **changes: object) -> None:
        """Look at other items."""
        self.item_view = replace(self.item_view, **changes)  # type: ignore[arg-type]
        self.pages = self._new_pages()
        self.table.empty = "reading the ledger"
        self.table.cursor = 0
        self._draw()
        self.load("start")

    def copied(self, row: ItemRow) -> str:
        return items.copied(row)

    def rows(self) -> Sequence[ItemRow]:
        return self.pages.rows

    def _new_pages(self) -> ItemPages:
        return ItemPages(self.session.door.items, self.item_view, self._stepped)

    def _stepped(self, steps: int) -> None:
        self._looked_at = steps
        if steps and steps % 5 == 0:
            self.say(f"searching, {steps * 5000:,} items so far; esc stops")

    def _draw(self) -> None:
        self.table.show(self.pages.rows)
        self._draw_summary()
        self.tabs.redraw()

    def _draw_summary(self) -> None:
        self.query_one("#counts", Panel).redraw()

    def tab_note(self, width: int) -> Line:
        view: ItemView = self.pages.view
        parts = [
            f"/{said(view.text, 30)}" if view.text else "",
            f"sort {view.sort}{' inverted' if view.is_inverted else ''}"
            if view.sort != "input" or view.is_inverted
            else "",
            "follows" if self.table.is_following else "",
        ]
        parts.append("problems only" if view.only_problems else "")
        text = "   ".join(part for part in parts if part)
        return line((f"{text} ", "you"), *self._runs_note())

    def _summary(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        more = "" if self.pages.is_last else "+"
        place = f"row {self.table.cursor + 1} of {len(self.table.rows)}{more}" if self.table.rows else ""
        if not self.pages.is_first:
            place = f"... {place}"
        return [items.summary(self.counts_of(scene), self.flying_of(scene), self.said_view(), place, width)]

    def said_view(self) -> ItemView:
        """Return what the line above the table says of the view."""
        return self.pages.view

    def flying_of(self, scene: Scene) -> int:
        """Return how many items are in flight."""
        return scene.snapshot.throughput.in_flight if scene.snapshot is not None else 0

    def counts_of(self, scene: Scene) -> RunCounts | None:
        """Return how many items there are of each state; None: not known yet."""
        return scene.snapshot.counts if scene.snapshot is not None else None

    def _header(self, width: int) -> Line:
        return items.header(width, self.pages.view)

    def _row(self, row: ItemRow, width: int, is_current: bool) -> Line:
        return items.draw(row, width, self.table.looks, is_current=is_current)
