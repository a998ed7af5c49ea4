"""Packs and provider batch jobs over the whole width; what is known of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from llmtop.snapshot import FlightRow
from llmtop_tui.ink import Line
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import batches
from llmtop_tui.scene import Scene
from llmtop_tui.screens.flight_screen import FlightScreen
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session


class BatchesScreen(FlightScreen):
    """The rows of the snapshot, provider jobs first."""

    PLACE: ClassVar[Place] = "batches"
    TAB: ClassVar[str] = "2"

    def compose(self) -> ComposeResult:
        yield from self.frame([self.tabs, Panel(batches.summary, self.looks, id="counts"), self.table])

    def chosen(self, rows: Sequence[FlightRow]) -> Sequence[FlightRow]:
        return sorted(rows, key=lambda row: row.via != "batch")

    def do_back(self) -> None:
        if not self.clear_view():
            self._switch("1")


class BatchScreen(PanelScreen):
    """One pack or batch: all that the snapshot says of it, as long as it is there."""

    TAB: ClassVar[str] = ""

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str], key: str) -> None:
        super().__init__(session, looks, hidden)
        self._key = key
        self._last: FlightRow | None = None

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        rows = scene.snapshot.rows if scene.snapshot else ()
        found = next((row for row in rows if row.key == self._key), None)
        is_there = found is not None
        self._last = found or self._last
        return batches.detail(self._last, scene, is_there=is_there)

    def do_open(self) -> None:
        """`enter`: its item, where it is one."""
        if self._last is not None and self._last.item_id:
            self.open_item(self._last.item_id)

    def do_back(self) -> None:
        self.app.pop_screen()
