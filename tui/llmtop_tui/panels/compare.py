"""Runs over the same items, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, line, pad, right, said

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun

_NAME = 16


def lines(runs: Sequence[ComparedRun], width: int) -> list[Line]:
    """One row a run, then what each rejected and failed by rule."""
    heads = (
        ("DONE", 7),
        ("REJ", 6),
        ("FAIL", 6),
        ("ITEMS/S", 8),
        ("P50", 7),
        ("P95", 7),
        ("$/1000", 9),
        ("SAME", 6),
    )
    head = pad("RUN", _NAME) + "".join(" " + right(name, size) for name, size in heads) + "  MODEL"
    body: list[Line] = [line((head, "muted"))]
    for run in runs:
        counts, total = run.counts, run.counts.total
        agreement = run.agreement.share if run.agreement is not None else None
        cells = (
            fmt.done_percent(counts.done, total),
            fmt.short(counts.rejected),
            fmt.short(counts.failed),
            fmt.three(run.items_per_s),
            fmt.latency(None if run.latency_p50_ms is None else run.latency_p50_ms / 1000),
            fmt.latency(None if run.latency_p95_ms is None else run.latency_p95_ms / 1000),
            (">=" if run.is_cost_at_least else "") + fmt.money(run.cost_per_1000_pusd),
            fmt.percent(agreement),
        )
        figures = "".join(" " + right(text, size) for text, (_, size) in zip(cells, heads, strict=True))
        body.append(
            line((pad(said(run.name, 60), _NAME), "strong"), figures, (f"  {said(run.model, 60)}", "muted"))
        )
    for run in runs:
        rules = [*run.rejected_by.items(), *run.failed_by.items()]
        if rules:
            words = ", ".join(f"{said(name, 40)} {fmt.count(number)}" for name, number in rules[:12])
            body += [EMPTY, line((f"{said(run.name, 60)}  ", "strong"), words)]
    body += [
        EMPTY,
        line(("SAME: outputs equal to the first run's, where they are labels or values", "muted")),
    ]
    return body
