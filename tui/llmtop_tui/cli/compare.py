"""`llmtop compare`: runs over the same items, side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtop.cleaning import clean
from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import complete_run
from llmtop_tui.cli.printing import Column, cells, put, put_json, table, terminal_width
from llmtop_tui.figures import usd_exact
from llmtop_tui.format import UNKNOWN, count, latency, money, percent, short, three

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

_HEAD_CELLS = 22
_RULES_SHOWN = 12


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
    names = _names(runs)
    rows = _rows(runs)
    made: list[str] = []
    for block in _blocks(names, rows, width):
        heads = [Column(""), *(Column(names[at], "right", least=8) for at in block)]
        shown = [[head, *(texts[at] for at in block)] for head, texts in rows]
        made += ([""] if made else []) + table(heads, shown, width)
    return made


def _names(runs: Sequence[ComparedRun]) -> list[str]:
    names = [clean(run.name) for run in runs]
    told_apart = [
        clean(run.run_id) if names.count(name) > 1 else name for run, name in zip(runs, names, strict=True)
    ]
    return [_end_of(name) for name in told_apart]


def _end_of(name: str) -> str:
    """Cut a name to its end, where variants and ids differ."""
    return name if len(name) <= _HEAD_CELLS else f"~{name[1 - _HEAD_CELLS :]}"


def _blocks(
    names: Sequence[str], rows: Sequence[tuple[str, list[str]]], width: int | None
) -> list[list[int]]:
    """Spread the columns over blocks, each as wide as the terminal at the most."""
    head = max(cells(text) for text, _ in rows)
    blocks: list[list[int]] = []
    used = 0
    for at, name in enumerate(names):
        needed = 2 + max(cells(name), *(cells(texts[at]) for _, texts in rows))
        if not blocks or (width is not None and used + needed > width):
            blocks.append([])
            used = head
        blocks[-1].append(at)
        used += needed
    return blocks


def _rows(runs: Sequence[ComparedRun]) -> list[tuple[str, list[str]]]:
    def row(head: str, cell: Callable[[ComparedRun], str]) -> tuple[str, list[str]]:
        return head, [cell(run) for run in runs]

    made = [
        row("model", lambda run: clean(run.model, limit=_HEAD_CELLS) or UNKNOWN),
        row("state", lambda run: run.state),
        row("items", lambda run: count(run.counts.total)),
        row("done", lambda run: count(run.counts.done)),
        row("rejected", lambda run: count(run.counts.rejected)),
        *_kinds([run.rejected_by for run in runs]),
        row("failed", lambda run: count(run.counts.failed)),
        *_kinds([run.failed_by for run in runs]),
        row("pending", lambda run: count(run.counts.pending)),
        row("items/s", lambda run: three(run.items_per_s)),
        row("latency p50", lambda run: latency(_seconds(run.latency_p50_ms))),
        row("latency p95", lambda run: latency(_seconds(run.latency_p95_ms))),
        row("requests", lambda run: count(run.requests)),
        row("from the cache", lambda run: count(run.cache_hits)),
        row("input tokens", lambda run: short(run.input_tokens)),
        row("output tokens", lambda run: short(run.output_tokens)),
        row("cost", lambda run: _at_least(run) + money(run.cost_pusd)),
        row(
            "cost of 1,000 items",
            lambda run: _at_least(run, run.cost_per_1000_pusd) + money(run.cost_per_1000_pusd),
        ),
        row("whole input", lambda run: count(run.whole_items)),
        row(
            "cost of the whole", lambda run: _at_least(run, run.cost_whole_pusd) + money(run.cost_whole_pusd)
        ),
    ]
    if any(run.agreement and run.agreement.compared for run in runs):
        made.append(row("same as the first", _agreement))
    return [line for line in made if line[0] not in ("pending", "from the cache") or set(line[1]) != {"0"}]


def _kinds(found: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """One row for each rule or kind of error that any of the runs met."""
    totals: dict[str, int] = {}
    for counts in found:
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
    names = sorted(totals, key=lambda name: (-totals[name], name))[:_RULES_SHOWN]
    return [
        (f"  {clean(name, limit=_HEAD_CELLS)}", [count(counts.get(name, 0)) for counts in found])
        for name in names
    ]


def _agreement(run: ComparedRun) -> str:
    if run.agreement is None:
        return "the first"
    return f"{percent(run.agreement.share, 1)} of {count(run.agreement.compared)}"


def _at_least(run: ComparedRun, amount: int | None = 0) -> str:
    return ">=" if run.is_cost_at_least and amount is not None else ""


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


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
    for name in ("rejected_by", "failed_by"):
        flat[name] = " ".join(f"{kind}:{number}" for kind, number in found[name].items())
    return {name: "" if value is None else str(value) for name, value in flat.items()}
