"""The chain of filters with its hit counters."""

from __future__ import annotations

from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, pad, right, said
from llmtop_tui.looks import Looks
from llmtop_tui.scene import Scene

TITLE = "Filters"
_WITH_AGAIN = 57
"""Cells for the column of answers whose items were asked again."""


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """One row a filter, in the order of the chain: hits, answers changed, rejected, and asked again."""
    if scene.snapshot is None:
        return [line(("FILTERS", "muted")), line(("-", "muted"))][:height]
    head = pad("FILTER", 22) + right("HITS", 9) + right("CHANGED", 9) + right("REJECTED", 10)
    has_room = width >= _WITH_AGAIN
    head += right("AGAIN", 7) if has_room else ""
    body: list[Line] = [line((head, "muted"))]
    body += [
        line(
            (pad(said(each.name, 40), 22), "strong"),
            right(fmt.short(each.hits), 9),
            right(fmt.short(each.changed), 9),
            (right(fmt.short(each.rejected), 10), "warn" if each.rejected else "plain"),
            right(fmt.short(each.asked_again), 7) if has_room else "",
        )
        for each in scene.snapshot.filters
    ]
    if not scene.snapshot.filters:
        body.append(line(("no filters in this run", "muted")))
    return body[:height]
