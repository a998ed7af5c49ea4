"""How long requests, waiting and provider batches take."""

from __future__ import annotations

from llmtop.snapshot import LatencyView, Percentiles
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, pad, right
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import TIGHT, skeleton
from llmtop_tui.scene import Scene

TITLE = "Latency"
_WIDEST = 9


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Percentiles of three durations, and the engine's loop lag."""
    if scene.snapshot is None:
        return skeleton(("", "request", "waiting", "batch", "loop lag"), 9)[:height]
    v = scene.snapshot.latency
    label = 7 if width < TIGHT else 8
    column = max(min((width - label) // 3, _WIDEST), 6)
    head = "".join(right(name, column) for name in ("p50", "p95", "p99"))
    return [
        line((f"{'':<{label}}{head}", "muted")),
        _row("request", v.request, column, _role(v)),
        _row("waiting", v.waiting, column),
        _row("batch", v.batch, column),
        line("loop lag p99 ", (fmt.latency(v.loop_lag_p99_s), "strong"), *_usual(v, width)),
    ][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: request percentiles, waiting, batch."""
    head = line((" lat  ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    v = scene.snapshot.latency
    return line(
        *head,
        "p50 ",
        (f"{fmt.latency(v.request.p50):<7}", "strong"),
        "p95 ",
        (f"{fmt.latency(v.request.p95):<7}", _role(v)),
        "p99 ",
        (f"{fmt.latency(v.request.p99):<8}", "strong"),
        "waiting p95 ",
        (f"{fmt.latency(v.waiting.p95):<8}", "strong"),
        "batch p50 ",
        (fmt.latency(v.batch.p50), "strong"),
    )


def _row(label: str, v: Percentiles, column: int, role: Role = "strong") -> Line:
    cells = [right(fmt.latency(value), column) for value in (v.p50, v.p95, v.p99)]
    return line(
        pad(label, 7 if column < 9 else 8), (cells[0], "strong"), (cells[1], role), (cells[2], "strong")
    )


def _role(v: LatencyView) -> Role:
    """Twice the usual p95 is a warning."""
    usual, now = v.request_p95_10min_s, v.request.p95
    return "warn" if usual and now is not None and now > 2 * usual else "strong"


def _usual(v: LatencyView, width: int) -> Line:
    if v.request_p95_10min_s is None or width < TIGHT:
        return ()
    return line("  10min p95 ", (fmt.latency(v.request_p95_10min_s), "strong"))
