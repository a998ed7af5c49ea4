"""The table of requests, packs and provider batches: columns, cells, order, filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llmtop.snapshot import FlightRow, JobView
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, cells, end_of, pad, right, said
from llmtop_tui.looks import Looks, Role

NOTE_FROM_WIDTH = 94
ALL_FROM_WIDTH = 78
SORTS = ("engine", "AGE", "LAT", "TRY", "ITEMS", "TOKENS", "COST", "STATE")
_PROBLEM_ROLES = frozenset({"warn", "bad"})
_FAR = 1e18


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
class Column:
    """One column: `cell(row, now)` is its text, `role(row)` what it means."""

    name: str
    width: int
    is_right: bool
    cell: Callable[[FlightRow, float], str]
    role: Callable[[FlightRow], Role] = lambda row: "plain"


Layout = Callable[[int], list[Column]]
"""The columns for a table of this width."""


def items(row: FlightRow, now: float) -> str:
    if row.items <= 1 and row.item_id:
        return said(row.item_id, 512)
    return f"{fmt.short(row.items_done)}/{fmt.short(row.items)}"


def items_short(row: FlightRow, now: float) -> str:
    """As `items`, in nine cells: `4.1k/9k`."""
    if row.items < 1000:
        return items(row, now)
    return f"{fmt.rounded(row.items_done)}/{fmt.rounded(row.items)}"


def age(row: FlightRow, now: float) -> str:
    """How long ago it was sent."""
    return fmt.age(max(now - row.started_at, 0.0))


def cost(row: FlightRow, now: float) -> str:
    """What it cost; `<$0.11` while that is only known as a bound."""
    if row.cost_pusd is None and row.job is not None and row.job.at_most_pusd is not None:
        return f"<{fmt.money(row.job.at_most_pusd)}"
    return fmt.money(row.cost_pusd)


def state_role(row: FlightRow) -> Role:
    """What its state means."""
    return row.role


KEY = Column("BATCH", 8, False, lambda row, now: said(row.key, 20))
VIA = Column("VIA", 5, False, lambda row, now: row.via, lambda row: "muted")
TRY = Column("TRY", 3, True, lambda row, now: fmt.short(row.attempt))
AGE = Column("AGE", 7, True, age)
LAT = Column("LAT", 7, True, lambda row, now: fmt.latency(row.latency_s))
TOKENS = Column("TOKENS", 6, True, lambda row, now: fmt.short(row.tokens))
COST = Column("COST", 8, True, cost)
_LEAD = (KEY, VIA)
_FIGURES = (TRY, AGE, LAT, TOKENS, COST)


def state(width: int) -> Column:
    """The column of states in so many cells."""
    return Column("STATE", width, False, lambda row, now: said(row.state, 60), state_role)


def note(width: int) -> Column:
    """The column of notes in so many cells."""
    return Column(" NOTE", width, False, lambda row, now: " " + said(row.note))


def columns(width: int) -> list[Column]:
    """The columns for a table of this width: state and items grow, NOTE comes from 94 on."""
    has_note = width >= NOTE_FROM_WIDTH
    items_width = 11 if has_note else 9
    lead = [column for column in _LEAD if width >= ALL_FROM_WIDTH or column.name != "VIA"]
    figures = [column for column in _FIGURES if width >= ALL_FROM_WIDTH or column.name != "TOKENS"]
    fixed = 2 + sum(column.width + 1 for column in (*lead, *figures)) + items_width + 1
    room = max(width - fixed - 1, 6)
    state_width = min(24, max(room // 2, 14), room) if has_note else room
    chosen = [
        *lead,
        state(state_width),
        Column("ITEMS", items_width, True, items if has_note else items_short),
        *figures,
    ]
    if has_note and (left := room - state_width - 2) > 4:
        chosen.append(note(left))
    return chosen


def header(width: int, view: View, layout: Layout = columns) -> Line:
    """Column names; the sorted one stands out."""
    spans: list[Span] = [("  ", "muted")]
    for column in layout(width):
        put = right if column.is_right else pad
        is_sorted = column.name.strip() == view.sort
        spans.append((put(column.name, column.width) + " ", "key" if is_sorted else "muted"))
    return tuple(spans)


def draw(
    row: FlightRow,
    width: int,
    now: float,
    looks: Looks,
    *,
    is_current: bool,
    wish: str = "",
    layout: Layout = columns,
) -> Line:
    """One row; the cursor's is drawn in one style from end to end. `wish`: what was asked of its job."""
    spans: list[Span] = [
        (f"{looks.glyphs.cursor} " if is_current else "  ", "you" if is_current else "plain")
    ]
    for column in layout(width):
        put = right if column.is_right else pad
        cell, role = column.cell(row, now), column.role(row)
        if column.name == "STATE" and wish:
            wished = f"{looks.glyphs.you} {said(wish, 20)}"
            both = f"{cell} {wished}"
            cell, role = (both if cells(both) <= column.width else wished), "you"
        text = put(end_of(cell, column.width) if column.name == "ITEMS" else cell, column.width) + " "
        spans.append((text, "cursor" if is_current else role))
    return tuple(spans)


def wish_of(row: FlightRow, wishes: Mapping[str, str]) -> str:
    """What was asked of a row's job and is not confirmed yet."""
    return "" if row.job is None else wishes.get(f"job:{row.job.number}", "")


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
    job = f"{row.job.batch_id or ''} {row.job.tag}" if row.job is not None else ""
    return f"{row.key} {row.via} {row.state} {row.item_id} {row.note} {job}".lower()


def _keys() -> dict[str, Callable[[FlightRow], float | str]]:
    """Largest first, but the states by their words and the youngest first."""
    return {
        "AGE": lambda row: -row.started_at,
        "LAT": lambda row: -(row.latency_s or 0.0),
        "TRY": lambda row: -row.attempt,
        "ITEMS": lambda row: -row.items,
        "TOKENS": lambda row: -(row.tokens or 0),
        "COST": lambda row: -(row.cost_pusd or (row.job.at_most_pusd if row.job else None) or 0),
        "STATE": lambda row: row.state,
        "FAIL": lambda row: -((row.job.failed if row.job else None) or 0),
        "/MIN": lambda row: -((row.job.per_min if row.job else None) or 0.0),
        "ETA": lambda row: _first(row.job.eta_s if row.job else None),
        "FULL": lambda row: -((row.job.full_pusd if row.job else None) or 0),
        "SAVED": lambda row: -(saved_pusd(row) or 0),
        "LEFT": lambda row: _first(left(row.job)[1] if row.job else None),
    }


def _first(value: float | None) -> float:
    """The smallest first, what is not known last."""
    return _FAR if value is None else value


def saved_pusd(row: FlightRow) -> int | None:
    """What a job cost less than in realtime, so far."""
    if row.job is None or row.job.full_pusd is None or row.cost_pusd is None:
        return None
    return row.job.full_pusd - row.cost_pusd


def left(job: JobView) -> tuple[str, float | None]:
    """What runs out, and when: `exp` until a job expires, `kept` until its results are gone."""
    return ("exp", job.expires_at) if job.ended_at is None else ("kept", job.results_until)


def copied(row: FlightRow, now: float) -> str:
    """One row as tab-separated text."""
    parts = [said(row.key, 40), row.via, said(row.state), said(row.item_id), f"{row.items_done}/{row.items}"]
    parts += [str(row.attempt), age(row, now), fmt.latency(row.latency_s), fmt.short(row.tokens)]
    return "\t".join([*parts, cost(row, now), said(row.note)])
