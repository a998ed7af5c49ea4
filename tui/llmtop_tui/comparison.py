"""Runs side by side in words: one row a figure, one column a run. For the command and for the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from llmtop.cleaning import clean
from llmtop_tui.format import UNKNOWN, count, latency, money, percent, short, three

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun

_HEAD_CELLS = 22
_RULES_SHOWN = 12
_GAP = 2
_ONLY_WHERE_SOME = frozenset({"asked again", "pending", "from the cache"})

Row = tuple[str, list[str]]
"""What a row says, and a cell a run."""


def names_of(runs: Sequence[ComparedRun]) -> list[str]:
    """Return what each run is called: its id where two have one name; cut to the end, where they differ."""
    names = [clean(run.name) for run in runs]
    told_apart = [
        clean(run.run_id) if names.count(name) > 1 else name for run, name in zip(runs, names, strict=True)
    ]
    return [name if len(name) <= _HEAD_CELLS else f"~{name[1 - _HEAD_CELLS :]}" for name in told_apart]


def blocks_of(
    names: Sequence[str], rows: Sequence[Row], width: int | None, cells: Callable[[str], int]
) -> list[list[int]]:
    """Spread the columns over blocks, each as wide as the terminal at the most; `cells`: a text's width."""
    head = max(cells(text) for text, _ in rows)
    blocks: list[list[int]] = []
    used = 0
    for at, name in enumerate(names):
        needed = _GAP + max(cells(name), *(cells(texts[at]) for _, texts in rows))
        if not blocks or (width is not None and used + needed > width):
            blocks.append([])
            used = head
        blocks[-1].append(at)
        used += needed
    return blocks


def rows_of(runs: Sequence[ComparedRun]) -> list[Row]:
    """Return the rows that say something of these runs."""

    def row(head: str, cell: Callable[[ComparedRun], str]) -> Row:
        return head, [cell(run) for run in runs]

    made = [
        row("model", lambda run: clean(run.model, limit=_HEAD_CELLS) or UNKNOWN),
        row("state", lambda run: run.state),
        row("items", lambda run: count(run.counts.total)),
        row("done", lambda run: count(run.counts.done)),
        row("rejected", lambda run: count(run.counts.rejected)),
        *_kinds([run.rejected_by for run in runs]),
        row("asked again", lambda run: count(sum(run.asked_again_by.values()))),
        *_kinds([run.asked_again_by for run in runs]),
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
    return [line for line in made if line[0] not in _ONLY_WHERE_SOME or set(line[1]) != {"0"}]


def _kinds(found: Sequence[Mapping[str, int]]) -> list[Row]:
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
