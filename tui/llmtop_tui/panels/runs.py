"""The list of runs in the state folder: live ones first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmtop.snapshot import RunLine
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, fit, line, pad, right, said, spread
from llmtop_tui.looks import Looks
from llmtop_tui.panels.words import STATE_ROLES
from llmtop_tui.scene import ENDED_STATES

_FIXED = 64
"""Cells of all columns but name, start and model."""
MODEL_FROM_WIDTH = 110
SORTS = ("live", "RUN", "STATE", "ITEMS", "DONE", "REJ", "FAIL", "COST")
"""Columns to sort by; "live": live ones first, then the newest."""
_KEYS: dict[str, Callable[[RunLine], float | str]] = {
    "RUN": lambda run: run.name,
    "STATE": lambda run: run.state,
    "ITEMS": lambda run: -run.counts.total,
    "DONE": lambda run: -(run.counts.finished / run.counts.total if run.counts.total else 0.0),
    "REJ": lambda run: -run.counts.rejected,
    "FAIL": lambda run: -run.counts.failed,
    "COST": lambda run: -run.cost_pusd,
}


def title(runs: Sequence[RunLine] | None, now: float, width: int) -> Line:
    """How many runs, how many live."""
    if runs is None:
        return spread(
            line(" ", ("llmtop", "strong"), "  reading the state folder"), line(fmt.clock(now) + " "), width
        )
    live = sum(run.pid is not None for run in runs)
    number = f"{fmt.count(len(runs))} {'run' if len(runs) == 1 else 'runs'}, {live} live"
    return spread(
        line(" ", ("llmtop", "strong"), f"  runs in the state folder   {number}"),
        line(fmt.clock(now) + " "),
        width,
    )


def arrange(
    runs: Sequence[RunLine], text: str, sort: str = SORTS[0], *, is_inverted: bool = False
) -> list[RunLine]:
    """Live ones first, then the newest, or by a column; `text` filters by name, state, model and id."""
    wanted = text.removeprefix("!").lower()
    kept = [
        run
        for run in runs
        if not wanted
        or (wanted in f"{run.name} {run.state} {run.model} {run.run_id}".lower()) != text.startswith("!")
    ]
    kept.sort(key=lambda run: (run.pid is None, -run.created_at))
    if sort in _KEYS:
        kept.sort(key=_KEYS[sort])
    return kept[::-1] if is_inverted else kept


def header(width: int, sort: str = SORTS[0]) -> Line:
    """Column names; the sorted one stands out."""
    name, model = _widths(width)
    heads = [pad("RUN", name), pad("STATE", 10), right("ITEMS", 8), right("DONE", 7)]
    heads += [right("REJ", 6), right("FAIL", 5), right("COST", 8) + " "]
    heads += [pad("STARTED", 9), pad("MODEL", model)] if model else []
    spans: list[Span] = [("  ", "muted")]
    spans += [(f"{each} ", "key" if each.strip() == sort else "muted") for each in [*heads, "ENGINE"]]
    return tuple(spans)


def draw(run: RunLine, width: int, now: float, looks: Looks, *, is_current: bool) -> Line:
    """One run."""
    name, model = _widths(width)
    counts = run.counts
    glyph = looks.glyphs.states.get(run.state, "?")
    can_resume = run.pid is None and run.state not in ENDED_STATES - {"stopped"}
    engine = f"pid {run.pid}" if run.pid is not None else "- resume?" if can_resume else "-"
    least = ">=" if run.is_cost_at_least else ""
    spans: list[Span] = [
        (f"{looks.glyphs.cursor} " if is_current else "  ", "you"),
        (pad(said(run.name, 60), name) + " ", "strong"),
        (pad(f"{glyph} {run.state}", 10) + " ", STATE_ROLES.get(run.state, "plain")),
        (
            right(fmt.short(counts.total), 8)
            + " "
            + right(fmt.done_percent(counts.finished, counts.total), 7)
            + " ",
            "plain",
        ),
        (right(fmt.short(counts.rejected), 6) + " ", "plain"),
        (right(fmt.short(counts.failed), 5) + " ", "bad" if counts.failed else "plain"),
        (right(least + fmt.money(run.cost_pusd), 8) + "  ", "plain"),
    ]
    if model:
        spans.append((pad(_started(run.created_at, now), 9) + " ", "muted"))
        spans.append((pad(said(run.model, 60), model) + " ", "muted"))
    spans.append((engine, "good" if run.pid is not None else "muted"))
    return (
        fit(tuple((text, "cursor") for text, _ in spans), width, role="cursor")
        if is_current
        else tuple(spans)
    )


def _widths(width: int) -> tuple[int, int]:
    """Cells for name and model; a narrow list leaves the model out."""
    if width < MODEL_FROM_WIDTH:
        return max(min(width - _FIXED, 24), 8), 0
    room = width - _FIXED - 12
    name = min(room // 2, 24)
    return name, min(room - name, 40)


def _started(at: float, now: float) -> str:
    seconds = now - at
    return fmt.clock(at, has_seconds=False) if 0 <= seconds < 43200 else f"{fmt.clock_span(seconds)}"
