"""Memory of the container against the mark, and what the guard does about it."""

from __future__ import annotations

from llmtop.snapshot import MemoryView
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, line, pad, said, spread
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import TIGHT, skeleton
from llmtop_tui.plot import bar, marked
from llmtop_tui.scene import Scene

TITLE = "Memory"


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Use of limit, bar, mark and room, who uses it, growth and guard."""
    if scene.snapshot is None:
        return skeleton(("use", "limit", "mark", "engine", "growth"), 8)[:height]
    m = scene.snapshot.memory
    role = _role(m)
    is_tight = width < TIGHT
    source = "" if is_tight else f" ({m.source})" if m.limit_bytes is not None else ", no limit found"
    mark = "mark " if is_tight else f"mark {fmt.percent(m.threshold)} = "
    used = (fmt.memory_pair(m.working_set_bytes, m.limit_bytes), "strong" if role == "plain" else role)
    growth = "-" if m.growth_bytes_per_min is None else f"{_signed(m.growth_bytes_per_min)}/min"
    return [
        spread(line(used, (source, "muted")), line((_share_text(m, looks), role)), width),
        gauge(m, width, looks),
        line(mark, (fmt.memory(m.mark_bytes), "strong"), f", room {_room(m)}"),
        line(
            "engine ",
            (fmt.memory(m.engine_rss_bytes), "strong"),
            " ui " if is_tight else "  viewer ",
            (fmt.memory(scene.viewer_rss_bytes), "strong"),
        ),
        line("" if is_tight else "growth ", (growth, "strong"), "  guard ", guard(m)),
    ][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: bar with the mark, use of limit."""
    head = line((" mem  ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    m = scene.snapshot.memory
    room = max(10, width - 50)
    mark = (
        f"  mark {fmt.percent(m.threshold)} = {fmt.memory(m.mark_bytes)}"
        if m.mark_bytes
        else "  no limit found"
    )
    pair = fmt.memory_pair(m.working_set_bytes, m.limit_bytes).replace(" of ", "/")
    return line(
        *head, *gauge(m, room, looks), " ", (pad(_share_text(m, looks), 6), _role(m)), (pair, "strong"), mark
    )


def gauge(m: MemoryView, width: int, looks: Looks) -> Line:
    """A bar up to the limit, with the guard's mark in it."""
    glyphs = looks.glyphs
    share = _share(m)
    text = bar(share, width, glyphs.full, glyphs.empty)
    filled = text.count(glyphs.full)
    if m.mark_bytes and m.limit_bytes:
        text = marked(text, m.mark_bytes / m.limit_bytes, glyphs.mark)
    role = _role(m)
    return line((text[:filled], "good" if role == "plain" else role), (text[filled:], "muted"))


def guard(m: MemoryView) -> Span:
    """What the guard does, loud when it is not idle."""
    return (said(m.guard, 30) or "idle", "plain" if m.guard in {"", "idle"} else "warn")


def _role(m: MemoryView) -> Role:
    return "plain" if m.level == "good" else m.level


def _share(m: MemoryView) -> float | None:
    if m.working_set_bytes is None or not m.limit_bytes:
        return None
    return m.working_set_bytes / m.limit_bytes


def _share_text(m: MemoryView, looks: Looks) -> str:
    glyph = {"good": "", "warn": looks.glyphs.warn + " ", "bad": looks.glyphs.bad + " "}[m.level]
    return glyph + fmt.percent(_share(m))


def _room(m: MemoryView) -> str:
    if m.mark_bytes is None or m.working_set_bytes is None:
        return fmt.UNKNOWN
    room = m.mark_bytes - m.working_set_bytes
    return fmt.memory(room) if room >= 0 else f"none, {fmt.memory(-room)} over"


def _signed(value: float) -> str:
    text = fmt.memory(abs(value))
    return text if text == fmt.UNKNOWN else f"{'-' if value < 0 else '+'}{text}"
