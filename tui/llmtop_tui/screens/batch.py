"""One batch job or pack: what is known of it, and its items from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import ComposeResult

from llmtop.errors import LlmtopError
from llmtop.listing import ItemState
from llmtop.model import RunCounts
from llmtop.snapshot import FlightRow
from llmtop_tui.ink import Line, line, said
from llmtop_tui.item_pages import ItemView
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import batch
from llmtop_tui.panels.batch import Facts
from llmtop_tui.proposals import JOB_ACTIONS, cancel_job, look_up
from llmtop_tui.scene import Scene
from llmtop_tui.screens.items import ItemsScreen
from llmtop_tui.session import Session

_REFRESH_S = 2.0
_FRAME_LINES = 6
"""Title, tabs, counts, status and footer."""
_TABLE_LINES = 7
"""Six rows of items and their header, at least."""


class BatchScreen(ItemsScreen):
    """Facts above, items below; on top of the screen that it was opened from."""

    PLACE: ClassVar[Place] = "batch"
    TAB: ClassVar[str] = "2"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str], key: str) -> None:
        self._key = key
        self._facts = Facts(_row_of(session, key))
        self._view = ItemView(of_row=key)
        super().__init__(session, looks, hidden)
        self.facts = Panel(self._draw_facts, looks, id="facts")
        self._read_at = -_REFRESH_S
        self._read: tuple[object, ...] = ()

    @property
    def item_view(self) -> ItemView:
        return self._view

    @item_view.setter
    def item_view(self, view: ItemView) -> None:
        self._view = view

    def compose(self) -> ComposeResult:
        counts = Panel(self._summary, self.looks, id="counts")
        yield from self.frame([self.tabs, self.facts, counts, self.table])

    def show(self, scene: Scene) -> None:
        row = _row_of(self.session, self._key)
        self._facts = replace(self._facts, row=row or self._facts.row, is_there=row is not None)
        self._fit()
        super().show(scene)
        is_due = self.session.clock() - self._read_at >= _REFRESH_S
        if is_due and _signs(self._facts.row) != self._read:
            self.read_facts()
            self.refresh_items()

    @work(exclusive=True, exit_on_error=False, group="facts")
    async def read_facts(self) -> None:
        """Read from the ledger what the snapshot does not hold: errors of a job, attempts of a pack."""
        row, door = self._facts.row, self.session.door
        if row is None:
            return
        self._read_at, self._read = self.session.clock(), _signs(row)
        try:
            if row.job is not None:
                self._facts = replace(self._facts, detail=await door.job(row.job.number))
            elif row.item_id and (item := await door.item(row.item_id)) is not None:
                self._facts = replace(self._facts, attempts=item.attempts)
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            self.say(f"cannot read what its lines came to: {said(error)}", "warn")
        self._fit()
        self.facts.redraw()
        self._draw_summary()

    def _fit(self) -> None:
        """Give the facts the lines they need, and leave six rows of items."""
        scene = self.session.scene()
        most = max(self.size.height - _FRAME_LINES - _TABLE_LINES, 1)
        self.facts.styles.height = len(batch.lines(self._facts, scene, self.size.width - 2, most, self.looks))

    def on_resize(self) -> None:
        super().on_resize()
        self._fit()

    def _draw_facts(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        drawn = batch.lines(self._facts, scene, width - 2, height, looks)
        return [((" ", "plain"), *each) for each in drawn]

    def counts_of(self, scene: Scene) -> RunCounts | None:
        if self._facts.detail is not None:
            return self._facts.detail.counts
        if not self.pages.is_whole or self._is_narrowed:
            return RunCounts(self._facts.row.items) if self._facts.row is not None else None
        states: list[ItemState] = [row.state for row in self.pages.rows]
        return RunCounts(len(states), states.count("done"), states.count("rejected"), states.count("failed"))

    def said_view(self) -> ItemView:
        return replace(self.pages.view, of_row=None)  # the tabs say of what

    def flying_of(self, scene: Scene) -> int:
        return sum(row.state == "in_flight" for row in self.pages.rows)

    def tab_note(self, width: int) -> Line:
        return line((f"{said(self._key, 20)}  ", "strong"), ("esc", "key"), " back ")

    def idle_actions(self, scene: Scene) -> frozenset[str]:
        row = self._facts.row
        has_open_job = row is not None and row.job is not None and row.job.over_at is None
        return frozenset() if has_open_job else JOB_ACTIONS

    def do_cancel_job(self) -> None:
        """`K`: end the job at the provider, after a question."""
        self.steer_job(self._facts.row, cancel_job)

    def do_look_up(self) -> None:
        """`l`: look at it now, or for it again."""
        self.steer_job(self._facts.row, look_up)

    def do_back(self) -> None:
        """`esc`: all of its items again, then where it was opened from."""
        if self._is_narrowed:
            self.look(state=None, only_problems=False, text="", error_type=None)
        else:
            self.app.pop_screen()
            self.app.call_after_refresh(self.app.redraw)  # type: ignore[attr-defined]

    @property
    def _is_narrowed(self) -> bool:
        """Whether something hides items of it."""
        return replace(self._view, of_row=None).is_narrowed

    def _switch(self, number: str) -> None:
        """Another screen takes the place of the one below, the one of the same name too."""
        self.app.open_tab(number)  # type: ignore[attr-defined]


def _row_of(session: Session, key: str) -> FlightRow | None:
    rows = session.snapshot.rows if session.snapshot is not None else ()
    return next((row for row in rows if row.key == key), None)


def _signs(row: FlightRow | None) -> tuple[object, ...]:
    """What changes when there is something new to read of it."""
    if row is None:
        return ()
    looked = row.job and (row.job.retrieved, row.job.looked_at, row.job.over_at)
    return (row.key, row.state, row.items_done, row.attempt, looked)
