"""`llmtop compare`: runs over the same items, side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import complete_run
from llmtop_tui.cli.printing import Column, cells, put, put_json, table, terminal_width
from llmtop_tui.comparison import blocks_of, names_of, rows_of
from llmtop_tui.figures import usd_exact

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun

RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Two runs or more: id, name, unique prefix of an id, or latest.",
        autocompletion=complete_run,
        show_default=False,
    ),
]


def compare(
    common: Common,
    runs: RunsArgument,
    as_csv: Annotated[bool, option("--csv", help="CSV on stdout, one row a run.")] = False,
) -> None:
    """Put runs over the same items side by side.

    What came of them, how fast, and at what price; live runs as they stand.
    The last lines say how often short or structured outputs are those of the first run.
    """
    from llmtop.control.compare import compare as compared

    if as_csv and common.is_json:
        raise UsageError("--csv", "contradicts --json", "Keep one of them")
    found = compared(common.home(), runs)
    if common.is_json:
        put_json([_as_object(run) for run in found])
    elif as_csv:
        _put_csv(found)
    else:
        for line in lines(found, terminal_width()):
            put(line)


def lines(runs: Sequence[ComparedRun], width: int | None) -> list[str]:
    """Lay the runs out as columns, in blocks that fit the width."""
    names, rows = names_of(runs), rows_of(runs)
    made: list[str] = []
    for block in blocks_of(names, rows, width, cells):
        heads = [Column(""), *(Column(names[at], "right", least=8) for at in block)]
        shown = [[head, *(texts[at] for at in block)] for head, texts in rows]
        made += ([""] if made else []) + table(heads, shown, width)
    return made


def _as_object(run: ComparedRun) -> dict[str, Any]:
    agreement = run.agreement
    return {
        "run_id": run.run_id,
        "name": run.name,
        "model": run.model,
        "state": run.state,
        "items": run.counts.total,
        "counts": {
            "done": run.counts.done,
            "rejected": run.counts.rejected,
            "failed": run.counts.failed,
            "pending": run.counts.pending,
        },
        "rejected_by": dict(run.rejected_by),
        "asked_again_by": dict(run.asked_again_by),
        "failed_by": dict(run.failed_by),
        "elapsed_s": run.elapsed_s,
        "items_per_s": run.items_per_s,
        "latency_p50_ms": run.latency_p50_ms,
        "latency_p95_ms": run.latency_p95_ms,
        "requests": run.requests,
        "cache_hits": run.cache_hits,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost_usd": usd_exact(run.cost_pusd),
        "cost_is_at_least": run.is_cost_at_least,
        "cost_per_1000_usd": usd_exact(run.cost_per_1000_pusd),
        "whole_items": run.whole_items,
        "cost_whole_usd": usd_exact(run.cost_whole_pusd),
        "agreement": None
        if agreement is None
        else {"equal": agreement.equal, "compared": agreement.compared, "share": agreement.share},
    }


def _put_csv(runs: Sequence[ComparedRun]) -> None:
    """One row a run; rules and kinds of error as `name:count`, cells safe for a spreadsheet."""
    from llmtop.control.export import guarded

    rows = [_flat(_as_object(run)) for run in runs]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([guarded(cell) for cell in row.values()])
    put(buffer.getvalue().rstrip("\n"))


def _flat(found: dict[str, Any]) -> dict[str, str]:
    counts, agreement = found["counts"], found["agreement"] or {}
    flat = {name: value for name, value in found.items() if name not in ("counts", "agreement")}
    flat |= {**counts, "agreement": agreement.get("share"), "agreement_compared": agreement.get("compared")}
    for name in ("rejected_by", "asked_again_by", "failed_by"):
        flat[name] = " ".join(f"{kind}:{number}" for kind, number in found[name].items())
    return {name: "" if value is None else str(value) for name, value in flat.items()}
