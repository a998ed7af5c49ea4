"""Packs and provider batch jobs over the whole width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from llmtop.snapshot import FlightRow
from llmtop_tui.key_table import Place
from llmtop_tui.panel import Panel
from llmtop_tui.panels import batches
from llmtop_tui.panels.flights import Column, View
from llmtop_tui.screens.flight_screen import FlightScreen


class BatchesScreen(FlightScreen):
    """The rows of the snapshot, provider jobs first, with the columns of jobs."""

    PLACE: ClassVar[Place] = "batches"
    TAB: ClassVar[str] = "2"
    SORTS: ClassVar[tuple[str, ...]] = batches.SORTS

    @property
    def view(self) -> View:
        return self.session.batch_view

    @view.setter
    def view(self, view: View) -> None:
        self.session.batch_view = view

    def compose(self) -> ComposeResult:
        counts = Panel(batches.summary, self.looks, id="counts")
        counts.styles.height = batches.SUMMARY_LINES
        yield from self.frame([self.tabs, counts, self.table])

    def layout_of(self, width: int) -> list[Column]:
        return batches.columns(width)

    def chosen(self, rows: Sequence[FlightRow]) -> Sequence[FlightRow]:
        return sorted(rows, key=lambda row: row.via != "batch")

    def do_back(self) -> None:
        if not self.clear_view():
            self._switch("1")
