"""Errors and waits: the counts in a box, every kind in a table, a history of refusals."""

from __future__ import annotations

from llmtop.snapshot import ErrorKind, ErrorsView, Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, Span, line, pad, right, said, wrap
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import skeleton
from llmtop_tui.plot import plot
from llmtop_tui.scene import Scene

TITLE = "Errors and waits"
KINDS_TITLE = "Errors by kind"
_FAULTS = frozenset({"5xx", "timeout", "connection"})
_MANY_429 = 0.01


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Refusals and cooldown; faults; unusable answers; items rejected and failed."""
    if scene.snapshot is None:
        return skeleton(("429", "5xx", "parse", "rejected", "failed"), 9)[:height]
    s = scene.snapshot
    e, counts = s.errors, s.counts
    return [
        line(*_number("429", e.status_429, _role_429(s), 7), "cooldown ", (fmt.age(e.cooldown_s), "strong"),
             "  ", *_number("retries", s.throughput.retries, "strong", 0)),
        line(*_number("5xx", e.status_5xx, "strong", 7), *_number("timeout", e.timeouts, "strong", 5),
             *_number("connection", e.connections, "strong", 0)),
        line(*_number("parse", e.parse, "strong", 5), *_number("missing", e.missing, "strong", 5),
             *_number("refusal", e.refusals, "strong", 0)),
        line(*_number("rejected", counts.rejected, "strong", 6), *_detail(e, "filtered")),
        line(*_number("failed", counts.failed, "bad" if counts.failed else "strong", 6),
             *_number("possibly billed", s.cost.maybe_billed, "strong", 0)),
    ][:height]  # fmt: skip


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: counts by kind, rejected and failed."""
    head = line((" err  ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    s = scene.snapshot
    e, counts = s.errors, s.counts
    other = e.connections + e.missing + e.refusals
    return line(
        *head,
        *_number("429", e.status_429, _role_429(s), 5), *_number("5xx", e.status_5xx, "strong", 4),
        *_number("timeout", e.timeouts, "strong", 4), *_number("parse", e.parse, "strong", 4),
        *_number("other", other, "strong", 4),
        (looks.glyphs.down + " ", "muted"), *_number("rejected", counts.rejected, "strong", 5),
        *_number("failed", counts.failed, "bad" if counts.failed else "strong", 0),
    )  # fmt: skip


def kinds(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """A table of every kind of trouble, most recent columns first cut where it is narrow."""
    if scene.snapshot is None:
        return skeleton(("kinds",), 9)[:height]
    head = line((pad("KIND", 17) + right("COUNT", 7) + right("/MIN", 6) + right("LAST", 10) + "  COST, LAST MESSAGE", "muted"))
    body = [_kind(each, width, looks) for each in scene.snapshot.errors.kinds]
    return [head, *(body or [line(("none so far", "good"))])][:height]


def screen(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """The whole screen: warnings, kinds, a history by minute."""
    if scene.snapshot is None:
        return skeleton(("warnings", "kinds", "history"), 10)[:height]
    s = scene.snapshot
    body: list[Line] = [line(("WARNINGS", "muted"))]
    for text in s.warnings:
        for number, part in enumerate(wrap(said(text, 400), width - 3)):
            body.append(line((f"{looks.glyphs.warn if number == 0 else ' '} {part}", "warn")))
    if not s.warnings:
        body.append(line(("none", "good")))
    body += [EMPTY, *kinds(scene, width, max(height - len(body) - 5, 2), looks), EMPTY]
    body += _history(s.errors, width, looks)
    return body[:height]


def _history(e: ErrorsView, width: int, looks: Looks) -> list[Line]:
    room = min(60, width - 20)
    rows = []
    for name, values in (("429", e.history_429), ("5xx", e.history_5xx)):
        drawn = plot([float(value) for value in values], room, 1, looks.glyphs.name)[0]
        most = fmt.short(max(values, default=0))
        rows.append(line((f"{name}, 60 min ", "muted"), (drawn, "warn"), (f" max {most}/min", "muted")))
    return rows


def _kind(kind: ErrorKind, width: int, looks: Looks) -> Line:
    is_bad = "failed" in kind.cost
    cost, message = said(kind.cost, 30), said(kind.last_message)
    spans: list[Span] = [
        (pad(said(kind.name, 17), 17), "bad" if is_bad else "strong"),
        (right(fmt.short(kind.count), 7), "strong"),
        (right(fmt.three(kind.per_min) if kind.per_min < 10 else fmt.short(kind.per_min), 6), "plain"),
        (right(fmt.clock(kind.last_at), 10), "plain"),
        (f"  {cost}", "plain"),
        (f"  {message}" if message else "", "muted"),
    ]
    return tuple(spans)


def _number(label: str, value: int, role: Role, gap: int) -> Line:
    """`label value` and blanks up to a fixed width of the value."""
    return line(f"{label} ", (f"{fmt.short(value):<{gap}}", role if value else "plain"), "  " if gap else "")


def _detail(e: ErrorsView, name: str) -> Line:
    message = next((kind.last_message for kind in e.kinds if kind.name == name), "")
    return line((said(message, 30), "muted")) if message else EMPTY


def _role_429(s: Snapshot) -> Role:
    requests = s.throughput.requests
    return "warn" if requests and s.errors.status_429 / requests > _MANY_429 else "strong"
