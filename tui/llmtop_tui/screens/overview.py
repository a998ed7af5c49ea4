"""Everything about one run on one screen."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from llmtop.snapshot import FlightRow
from llmtop_tui.ink import Line
from llmtop_tui.inspection import Inspection
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import (
    cost,
    errors,
    filters,
    finished,
    history,
    inspector,
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
from llmtop_tui.screens.flight_screen import FlightScreen
from llmtop_tui.session import Session

_BOXES = (
    ("memory", memory),
    ("throughput", throughput),
    ("latency", latency),
    ("cost", cost),
    ("processes", processes),
    ("errors", errors),
)
_OF_THE_TABLE = frozenset({"open", "filter", "sort", "copy", "problems", "again", "next_match"})
_FILTER_LINES = 10
"""Of the box of filters, its frame included."""


class OverviewScreen(FlightScreen):
    """Panels above, the table of what is in flight below; what is worth a look beside it when wide."""

    PLACE: ClassVar[Place] = "overview"
    TAB: ClassVar[str] = "1"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._inspection = Inspection()
        self.filters = Panel(filters.lines, looks, title=filters.TITLE, id="filters")
        self.inspector = Panel(
            self._inspected, looks, title=lambda *_: inspector.title(self._inspection.row), id="inspector"
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
            self.inspector,
            Panel(tuner.lines, looks, title=tuner.TITLE, id="tuner"),
            self.filters,
            Panel(errors.kinds, looks, title=errors.KINDS_TITLE, id="kinds"),
            Panel(log.lines, looks, title=log.TITLE, id="log"),
            id="right",
        )
        yield from self.frame([Container(left, right, id="main"), Panel(tiny.lines, looks, id="tiny")])

    def show(self, scene: Scene) -> None:
        self.set_class(finished.has_summary(scene), "-ended")
        chain = scene.snapshot.filters if scene.snapshot else ()
        self.set_class(bool(chain), "-filtered")
        self.filters.styles.height = min(len(chain) + 3, _FILTER_LINES)
        super().show(scene)
        self.look_closer()

    def moved(self) -> None:
        """The inspector follows the cursor."""
        self.look_closer()

    def look_closer(self) -> None:
        """Read what the inspector is to show, where there is an inspector and something new."""
        if not self.inspector.region:
            return
        row = self._inspection.next_row(
            self.table.rows,
            self.table.current,
            self.session.clock(),
            is_chosen=self._is_chosen(),
            is_slow=self.has_class("-slow"),
        )
        if row is not None:
            self.inspect(row)

    @work(exclusive=True, exit_on_error=False, group="inspector")
    async def inspect(self, row: FlightRow) -> None:
        """Read a row's item and show it."""
        await self._inspection.read(self.session.door, row, is_chosen=self._is_chosen())
        self.inspector.redraw()

    def _is_chosen(self) -> bool:
        """Whether the cursor was put on its row: at the top rows come and go below it."""
        return self.table.cursor > 0 or self.table.is_following

    def _inspected(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        chain = scene.snapshot.filters if scene.snapshot else ()
        shown = self._inspection
        return inspector.lines(
            shown.detail, chain, width, height, looks, fault=shown.fault, has_keys=shown.is_chosen
        )

    def idle_actions(self, scene: Scene) -> frozenset[str]:
        """Without a table there is nothing to open, filter or sort."""
        idle = super().idle_actions(scene)
        return idle | _OF_THE_TABLE if finished.has_summary(scene) else idle

    def tab_note(self, width: int) -> Line:
        return self._runs_note() if finished.has_summary(self.session.scene()) else super().tab_note(width)

    def do_bare(self) -> None:
        """`#`: the table alone."""
        self.toggle_class("-bare")

    def do_back(self) -> None:
        """`esc`: clear what narrows the table; then back to the list of runs."""
        if self.clear_view():
            return
        if self.has_class("-bare"):
            self.remove_class("-bare")
        elif self.app.is_over_list:  # type: ignore[attr-defined]
            self._switch("0")
