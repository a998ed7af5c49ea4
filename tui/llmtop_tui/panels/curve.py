"""Items a second against concurrency: the evidence that the tuner goes by, the newest point marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, right
from llmtop_tui.looks import Looks

ROWS = 5
_LABEL = 7


def lines(points: Sequence[tuple[float, float]], width: int, looks: Looks) -> list[Line]:
    """A scatter from zero up; `points` are (concurrency, items a second), oldest first."""
    known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    title = line(("ITEMS/S AGAINST CONCURRENCY, LAST 20 MIN", "muted"))
    if not known:
        return [title, line(("no point yet", "muted"))]
    columns = max(min(width - _LABEL - 3, 60), 8)
    low, high = min(x for x, _ in known), max(x for x, _ in known)
    most = max(max(y for _, y in known), 0.0)
    cells = [[" "] * columns for _ in range(ROWS)]
    for x, y in known[:-1]:
        _put(cells, x, y, low, high, most, looks.glyphs.dot if looks.is_ascii else "·")
    _put(cells, *known[-1], low, high, most, looks.glyphs.good)
    body = [title]
    for number, row in enumerate(cells):
        label = fmt.three(most * (ROWS - number) / ROWS)
        body.append(line((right(label, _LABEL) + f" {looks.glyphs.down}", "muted"), ("".join(row), "good")))
    ends = fmt.short(low), fmt.short(high)
    gap = max(columns - len(ends[0]) - len(ends[1]), 1)
    axis = " " * (_LABEL + 2) + ends[0] + looks.glyphs.across * gap + ends[1]
    body.append(line((axis, "muted")))
    return body


def _put(cells: list[list[str]], x: float, y: float, low: float, high: float, most: float, mark: str) -> None:
    columns = len(cells[0])
    column = 0 if high <= low else round((x - low) / (high - low) * (columns - 1))
    level = 0 if most <= 0 else min(int(max(y, 0.0) / most * ROWS), ROWS - 1)
    cells[ROWS - 1 - level][column] = mark
