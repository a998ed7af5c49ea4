"""Everything about one run on one screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from llmtop_tui.key_table import Place
from llmtop_tui.panel import Panel
from llmtop_tui.panels import (
    cost,
    errors,
    finished,
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
from llmtop_tui.screens.flight_screen import FlightScreen

_BOXES = (
    ("memory", memory),
    ("throughput", throughput),
    ("latency", latency),
    ("cost", cost),
    ("processes", processes),
    ("errors", errors),
)


class OverviewScreen(FlightScreen):
    """Panels above, the table of what is in flight below; tuner, errors and log at its side when wide."""

    PLACE: ClassVar[Place] = "overview"
    TAB: ClassVar[str] = "1"

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
        super().show(scene)

    def do_bare(self) -> None:
        """`#`: the table alone."""
        self.toggle_class("-bare")

    def do_back(self) -> None:
        """`esc`: clear what narrows the table; then back to the list of runs."""
        if self.clear_view():
            return
        if self.has_class("-bare"):
            self.remove_class("-bare")
        elif "screen_0" not in self.hidden:
            self._switch("0")
