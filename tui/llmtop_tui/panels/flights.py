"""The table of requests, packs and provider batches: columns, cells, order, filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmtop.snapshot import FlightRow
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, end_of, pad, right, said
from llmtop_tui.looks import Looks

NOTE_FROM_WIDTH = 94
ALL_FROM_WIDTH = 78
SORTS = ("engine", "AGE", "LAT", "TRY", "ITEMS", "TOKENS", "COST", "STATE")
_PROBLEM_ROLES = frozenset({"warn", "bad"})


@dataclass(frozen=True, slots=True)
class View:
    """How the rows are looked at."""

    sort: str = "engine"
    """One of SORTS; "engine": as the engine gives them, in flight first."""
    is_inverted: bool = False
    text: str = ""
    """Part of any cell; `!` in front inverts."""
    only_problems: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    width: int
    is_right: bool
    cell: Callable[[FlightRow, float], str]


def _items(row: FlightRow, now: float) -> str:
    if row.items <= 1 and row.item_id:
        return said(row.item_id, 512)
    return f"{fmt.short(row.items_done)}/{fmt.short(row.items)}"


def _items_short(row: FlightRow, now: float) -> str:
    """As `_items`, in nine cells: `4.1k/9k`."""
    if row.items < 1000:
        return _items(row, now)
    return f"{fmt.rounded(row.items_done)}/{fmt.rounded(row.items)}"


def _age(row: FlightRow, now: float) -> str:
    return fmt.age(max(now - row.started_at, 0.0))


_LEAD = (
    _Column("BATCH", 8, False, lambda row, now: said(row.key, 20)),
    _Column("VIA", 5, False, lambda row, now: row.via),
)
_FIGURES = (
    _Column("TRY", 3, True, lambda row, now: fmt.short(row.attempt)),
    _Column("AGE", 7, True, _age),
    _Column("LAT", 7, True, lambda row, now: fmt.latency(row.latency_s)),
    _Column("TOKENS", 6, True, lambda row, now: fmt.short(row.tokens)),
    _Column("COST", 8, True, lambda row, now: fmt.money(row.cost_pusd)),
)


def columns(width: int) -> list[_Column]:
    """The columns for a table of this width: state and items grow, NOTE comes from 94 on."""
    has_note = width >= NOTE_FROM_WIDTH
    items = 11 if has_note else 9
    lead = [column for column in _LEAD if width >= ALL_FROM_WIDTH or column.name != "VIA"]
    figures = [column for column in _FIGURES if width >= ALL_FROM_WIDTH or column.name != "TOKENS"]
    fixed = 2 + sum(column.width + 1 for column in (*lead, *figures)) + items + 1
    room = max(width - fixed - 1, 6)
    state = min(24, max(room // 2, 14), room) if has_note else room
    chosen = [
        *lead,
        _Column("STATE", state, False, lambda row, now: said(row.state, 60)),
        _Column("ITEMS", items, True, _items if has_note else _items_short),
        *figures,
    ]
    if has_note and (note := room - state - 2) > 4:
        chosen.append(_Column(" NOTE", note, False, lambda row, now: " " + said(row.note)))
    return chosen


def header(width: int, view: View) -> Line:
    """Column names; the sorted one stands out."""
    spans: list[Span] = [("  ", "muted")]
    for column in columns(width):
        put = right if column.is_right else pad
        is_sorted = column.name.strip() == view.sort
        spans.append((put(column.name, column.width) + " ", "key" if is_sorted else "muted"))
    return tuple(spans)


def draw(row: FlightRow, width: int, now: float, looks: Looks, *, is_current: bool) -> Line:
    """One row; the cursor's is drawn in one style from end to end."""
    spans: list[Span] = [
        (f"{looks.glyphs.cursor} " if is_current else "  ", "you" if is_current else "plain")
    ]
    for column in columns(width):
        put = right if column.is_right else pad
        cell = column.cell(row, now)
        text = put(end_of(cell, column.width) if column.name == "ITEMS" else cell, column.width) + " "
        role = row.role if column.name == "STATE" else "muted" if column.name == "VIA" else "plain"
        spans.append((text, "cursor" if is_current else role))
    return tuple(spans)


def arrange(rows: Sequence[FlightRow], view: View) -> list[FlightRow]:
    """The rows that are asked for, in the order that is asked for."""
    kept = [row for row in rows if not view.only_problems or row.role in _PROBLEM_ROLES]
    if view.text:
        is_inverted = view.text.startswith("!")
        wanted = view.text.removeprefix("!").lower()
        kept = [row for row in kept if (wanted in _searchable(row)) != is_inverted]
    if view.sort != "engine":
        kept.sort(key=_keys()[view.sort])
    return kept[::-1] if view.is_inverted else kept


def _searchable(row: FlightRow) -> str:
    return f"{row.key} {row.via} {row.state} {row.item_id} {row.note}".lower()


def _keys() -> dict[str, Callable[[FlightRow], float | str]]:
    """Largest first, but the states by their words and the youngest first."""
    return {
        "AGE": lambda row: -row.started_at,
        "LAT": lambda row: -(row.latency_s or 0.0),
        "TRY": lambda row: -row.attempt,
        "ITEMS": lambda row: -row.items,
        "TOKENS": lambda row: -(row.tokens or 0),
        "COST": lambda row: -(row.cost_pusd or 0),
        "STATE": lambda row: row.state,
    }


def copied(row: FlightRow, now: float) -> str:
    """One row as tab-separated text."""
    cells = [said(row.key, 40), row.via, said(row.state), said(row.item_id), f"{row.items_done}/{row.items}"]
    cells += [str(row.attempt), _age(row, now), fmt.latency(row.latency_s), fmt.short(row.tokens)]
    return "\t".join([*cells, fmt.money(row.cost_pusd), said(row.note)])
