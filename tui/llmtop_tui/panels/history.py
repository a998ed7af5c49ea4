"""Throughput of the last minutes, drawn from zero."""

from __future__ import annotations

from collections.abc import Sequence

from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, right
from llmtop_tui.looks import Looks
from llmtop_tui.plot import plot
from llmtop_tui.scene import Scene


def requests(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Requests a second."""
    return _rows(scene.snapshot.throughput.history_requests if scene.snapshot else (), width, height, looks)


def tokens(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Tokens a second."""
    return _rows(scene.snapshot.throughput.history_tokens if scene.snapshot else (), width, height, looks)


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line with its maximum."""
    values = scene.snapshot.throughput.history_requests if scene.snapshot else ()
    room = max(width - 6 - 11, 10)
    label = right(f"max {fmt.three(max(values, default=None))}", 10)
    if not looks.has_plot:
        return line((f"      {label.strip()} req/s", "muted"))
    return line("      ", (plot(values, room, 1, looks.glyphs.name)[0], "good"), (f" {label}", "muted"))


def requests_title(scene: Scene, looks: Looks) -> Line:
    """Frame title: name, what it is now."""
    now = scene.snapshot.throughput.requests_per_s if scene.snapshot else None
    return line(("req/s ", "strong"), (fmt.three(now), "good"))


def tokens_title(scene: Scene, looks: Looks) -> Line:
    """Frame title: name, what it is now."""
    t = scene.snapshot.throughput if scene.snapshot else None
    now = t.input_tokens_per_s + t.output_tokens_per_s if t else None
    return line(("tok/s ", "strong"), (fmt.three(now), "good"))


def requests_note(scene: Scene, looks: Looks) -> Line:
    """Right of the title: the span and its maximum."""
    return _note(scene.snapshot.throughput.history_requests if scene.snapshot else ())


def tokens_note(scene: Scene, looks: Looks) -> Line:
    """Right of the title: the span and its maximum."""
    return _note(scene.snapshot.throughput.history_tokens if scene.snapshot else ())


def _note(values: Sequence[float]) -> Line:
    if not values:
        return ()
    return line((f"last {fmt.clock_span(len(values))}  max {fmt.three(max(values))}", "muted"))


def _rows(values: Sequence[float], width: int, height: int, looks: Looks) -> list[Line]:
    if not looks.has_plot:
        return [line(("plot off", "muted"))][:height]
    return [line((row, "good")) for row in plot(values, width, height, looks.glyphs.name)]
