"""The chain of filters with its hit counters."""

from __future__ import annotations

from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, pad, right, said
from llmtop_tui.looks import Looks
from llmtop_tui.scene import Scene

TITLE = "Filters"


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """One row a filter, in the order of the chain: hits, answers changed, answers rejected."""
    if scene.snapshot is None:
        return [line(("FILTERS", "muted")), line(("-", "muted"))][:height]
    head = pad("FILTER", 22) + right("HITS", 9) + right("CHANGED", 9) + right("REJECTED", 10)
    body: list[Line] = [line((head, "muted"))]
    body += [
        line(
            (pad(said(each.name, 40), 22), "strong"),
            right(fmt.short(each.hits), 9),
            right(fmt.short(each.changed), 9),
            (right(fmt.short(each.rejected), 10), "warn" if each.rejected else "plain"),
        )
        for each in scene.snapshot.filters
    ]
    if not scene.snapshot.filters:
        body.append(line(("no filters in this run", "muted")))
    return body[:height]
