"""Errors and waits: the counts in a box, every kind in a table, a history of refusals."""

from __future__ import annotations

from llmtop.snapshot import ErrorKind, ErrorsView, Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, Span, fit, line, pad, right, said, wrap
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels import filters
from llmtop_tui.panels.words import TIGHT, skeleton
from llmtop_tui.plot import plot
from llmtop_tui.scene import Scene

TITLE = "Errors and waits"
KINDS_TITLE = "Errors by kind"
_FAULTS = frozenset({"5xx", "timeout", "connection"})
_MANY_429 = 0.01
_COST, _WIDE = 15, 90
"""Cells of the cost of a kind, where the table has as many columns."""


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Refusals and cooldown; faults; unusable answers; items rejected and failed."""
    if scene.snapshot is None:
        return skeleton(("429", "5xx", "parse", "rejected", "failed"), 9)[:height]
    s = scene.snapshot
    e, counts = s.errors, s.counts
    return [
        _row(
            ("429", e.status_429, _role_429(s)),
            ("retry" if width < TIGHT else "retries", s.throughput.retries, "strong"),
            width,
        )
        + line(
            "cool " if width < TIGHT else "cooldown ",
            (f"{e.cooldown_s:.0f}s", "warn" if e.cooldown_s > 0 else "plain"),
        ),
        _row(("5xx", e.status_5xx, "strong"), ("timeout", e.timeouts, "strong"), width)
        + _number("conn" if width < TIGHT else "connection", e.connections, "strong"),
        _row(("parse", e.parse, "strong"), ("missing", e.missing, "strong"), width)
        + _number("refusal", e.refusals, "strong"),
        line(*_number("rejected", counts.rejected, "strong"), "  ", *_by_rule(s)),
        line(
            *_number("failed", counts.failed, "bad"),
            "  possibly billed ",
            (fmt.short(s.cost.maybe_billed), "plain"),
        ),
    ][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: counts by kind, rejected and failed."""
    head = line((" err  ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    s = scene.snapshot
    e, counts = s.errors, s.counts
    other = e.connections + e.missing + e.refusals
    if width < 76:
        rest = e.timeouts + e.parse + other
        return line(
            *head,
            *_padded("429", e.status_429, _role_429(s), 9),
            *_padded("5xx", e.status_5xx, "strong", 9),
            *_padded("other", rest, "strong", 11),
            (looks.glyphs.down + " ", "muted"),
            *_number("rej", counts.rejected, "strong"),
            "  ",
            *_number("failed", counts.failed, "bad"),
        )
    return line(
        *head,
        *_padded("429", e.status_429, _role_429(s), 9),
        *_padded("5xx", e.status_5xx, "strong", 8),
        *_padded("timeout", e.timeouts, "strong", 12),
        *_padded("parse", e.parse, "strong", 10),
        *_padded("other", other, "strong", 9),
        (looks.glyphs.down + " ", "muted"),
        *_number("rejected", counts.rejected, "strong"),
        "  ",
        *_number("failed", counts.failed, "bad"),
    )


def kinds(scene: Scene, width: int, height: int, looks: Looks, cursor: int | None = None) -> list[Line]:
    """A table of every kind of trouble, most recent columns first cut where it is narrow."""
    if scene.snapshot is None:
        return skeleton(("kinds",), 9)[:height]
    head = line(
        (
            pad("KIND", 17)
            + right("COUNT", 7)
            + right("/MIN", 6)
            + right("LAST", 10)
            + "  "
            + (pad("COST", _COST) + "  LAST MESSAGE" if width >= _WIDE else "COST, LAST MESSAGE"),
            "muted",
        )
    )
    every = scene.snapshot.errors.kinds
    current = None if cursor is None else min(cursor, len(every) - 1)
    body = [_kind(each, width, is_current=index == current) for index, each in enumerate(every)]
    return [head, *(body or [line(("none so far", "good"))])][:height]


def screen(scene: Scene, width: int, height: int, looks: Looks, cursor: int = 0) -> list[Line]:
    """The whole screen: warnings, kinds with a cursor, filters, a history by minute."""
    if scene.snapshot is None:
        return skeleton(("warnings", "kinds", "history"), 10)[:height]
    s = scene.snapshot
    body = [*_warnings(s, width, looks.glyphs.warn)]
    body += [EMPTY, *kinds(scene, width, max(height - len(body) - 5, 2), looks, cursor), EMPTY]
    body += [*filters.lines(scene, width, 40, looks), EMPTY]
    body += _history(s.errors, width, looks)
    return body[:height]


def line_of_kind(scene: Scene, width: int, cursor: int) -> int:
    """Where on the whole screen a kind stands, from 0."""
    return len(_warnings(scene.snapshot, width, "!")) + 2 + cursor if scene.snapshot else 0


def _warnings(s: Snapshot, width: int, glyph: str) -> list[Line]:
    body: list[Line] = [line(("WARNINGS", "muted"))]
    for text in s.warnings:
        for number, part in enumerate(wrap(said(text, 400), width - 3)):
            body.append(line((f"{glyph if number == 0 else ' '} {part}", "warn")))
    return body if s.warnings else [*body, line(("none", "good"))]


def _history(e: ErrorsView, width: int, looks: Looks) -> list[Line]:
    room = min(30 if looks.glyphs.name == "utf8" else 60, width - 20)
    rows = []
    for name, values in (("429", e.history_429), ("5xx", e.history_5xx)):
        drawn = plot([float(value) for value in values], room, 1, looks.glyphs.name)[0]
        most = fmt.short(max(values, default=0))
        rows.append(line((f"{name}, 60 min ", "muted"), (drawn, "warn"), (f" max {most}/min", "muted")))
    return rows


def _kind(kind: ErrorKind, width: int, *, is_current: bool) -> Line:
    is_bad = "failed" in kind.cost
    cost, message = said(kind.cost, 30), said(kind.last_message)
    spans: list[Span] = [
        (pad(said(kind.name, 17), 17), "bad" if is_bad else "strong"),
        (right(fmt.short(kind.count), 7), "strong"),
        (right(_per_min(kind.per_min), 6), "plain"),
        (right(fmt.clock(kind.last_at), 10), "plain"),
        (f"  {pad(cost, _COST) if width >= _WIDE else cost}", "plain"),
        (f"  {message}" if message else "", "muted"),
    ]
    if is_current:
        return fit(tuple((text, "cursor") for text, _ in spans), width, role="cursor")
    return tuple(spans)


def _per_min(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 10 else fmt.short(value)


def _number(label: str, value: int, role: Role) -> Line:
    """`label value`; the role is for what is not 0."""
    return line(f"{label} ", (fmt.short(value), role if value else "plain"))


def _padded(label: str, value: int, role: Role, width: int) -> Line:
    return (*fit(_number(label, value, role), width - 1), (" ", "plain"))


def _row(first: tuple[str, int, Role], second: tuple[str, int, Role], width: int) -> Line:
    """Two numbers in columns, with room for a third."""
    return _padded(*first, 8 if width < TIGHT else 10) + _padded(*second, 10 if width < TIGHT else 12)


def _by_rule(s: Snapshot) -> Line:
    """Which filters rejected how many, the most first; without filters the last message of a rejection."""
    rules = sorted((each for each in s.filters if each.rejected), key=lambda each: -each.rejected)
    if not rules:
        return _detail(s.errors, "filtered")
    words = [f"{said(each.name, 20)} {fmt.short(each.rejected)}" for each in rules]
    return line(("  ".join(words), "muted"))


def _detail(e: ErrorsView, name: str) -> Line:
    message = next((kind.last_message for kind in e.kinds if kind.name == name), "")
    return line((said(message, 30), "muted")) if message else EMPTY


def _role_429(s: Snapshot) -> Role:
    requests = s.throughput.requests
    return "warn" if requests and s.errors.status_429 / requests > _MANY_429 else "strong"
