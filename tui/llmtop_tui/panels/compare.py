"""Runs over the same items, side by side: the table of `llmtop compare`, in the room that there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmtop_tui.comparison import blocks_of, names_of, rows_of
from llmtop_tui.ink import EMPTY, Line, cells, line, pad, right

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun

_GAP = 2


def lines(runs: Sequence[ComparedRun], width: int) -> list[Line]:
    """One row a figure, one column a run; runs that do not fit stand below."""
    names, rows = names_of(runs), rows_of(runs)
    side = max(cells(head) for head, _ in rows)
    made: list[Line] = []
    for block in blocks_of(names, rows, width, cells):
        widths = {at: _GAP + max(cells(names[at]), *(cells(texts[at]) for _, texts in rows)) for at in block}
        made += [EMPTY] if made else []
        made.append(line(pad("", side), *((right(names[at], widths[at]), "strong") for at in block)))
        made += [
            line((pad(head, side), "muted"), *(right(texts[at], widths[at]) for at in block))
            for head, texts in rows
        ]
    return made
