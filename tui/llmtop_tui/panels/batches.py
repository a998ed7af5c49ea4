"""The screen of provider batch jobs and packs: its columns, its order, and the lines above its table."""

from __future__ import annotations

from llmtop.snapshot import BatchesView, FlightRow
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Part, line, said
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.flights import (
    AGE,
    COST,
    KEY,
    LAT,
    TOKENS,
    TRY,
    VIA,
    Column,
    items,
    items_short,
    left,
    saved_pusd,
    state,
)
from llmtop_tui.scene import Scene

SORTS = ("engine", "AGE", "ITEMS", "FAIL", "/MIN", "ETA", "COST", "FULL", "SAVED", "LEFT", "STATE")
SUMMARY_LINES = 2
_NORMAL, _WIDE, _LEAST = 100, 160, 76
_STATE_LEAST, _STATE_MOST = 11, 20


def _left(row: FlightRow, now: float) -> str:
    """`exp 21h` until a job expires, `kept 28d` until its results are gone at the provider."""
    if row.job is None:
        return fmt.UNKNOWN
    word, at = left(row.job)
    if at is None or (row.job.over_at is not None and at <= now):
        return fmt.UNKNOWN
    return f"{word} {fmt.span(at - now)}"


def _left_role(row: FlightRow) -> Role:
    return "plain" if row.job is None else row.job.time_role


def _failed(row: FlightRow, now: float) -> str:
    return fmt.rounded(row.job.failed if row.job is not None else None)


def _failed_role(row: FlightRow) -> Role:
    return "warn" if row.job is not None and row.job.failed else "plain"


def _note(row: FlightRow, now: float) -> str:
    """What went wrong; of a job in order only its next look, for the rest has columns of its own."""
    job = row.job
    if job is None or job.next_look_at is None or row.role in {"warn", "bad"}:
        return f" {said(row.note)}"
    return f" look {fmt.span(job.next_look_at - now)}"


_FAIL = Column("FAIL", 4, True, _failed, _failed_role)
_PER_MIN = Column("/MIN", 5, True, lambda row, now: fmt.three(row.job.per_min if row.job else None))
_ETA = Column("ETA", 7, True, lambda row, now: fmt.clock_span(row.job.eta_s if row.job else None))
_FULL = Column("FULL", 8, True, lambda row, now: fmt.money(row.job.full_pusd if row.job else None))
_SAVED = Column("SAVED", 8, True, lambda row, now: fmt.money(saved_pusd(row)))
_LEFT = Column("LEFT", 8, True, _left, _left_role)
_NAME = Column("BATCH", 6, False, KEY.cell)


def columns(width: int) -> list[Column]:
    """Counts, pace, time left, cost; from 100 on full price and saved, from 160 on all of a pack too."""
    is_normal, is_wide = width >= _NORMAL, width >= _WIDE
    figures = [_FAIL, AGE, _PER_MIN, _ETA, COST, _LEFT]
    if is_wide:
        figures = [_FAIL, TRY, AGE, LAT, _PER_MIN, _ETA, TOKENS, COST, _FULL, _SAVED, _LEFT]
    elif is_normal:
        figures = [_FAIL, TRY, AGE, _PER_MIN, _ETA, COST, _FULL, _SAVED, _LEFT]
    elif width < _LEAST:
        figures = [AGE, _ETA, COST]
    lead = [KEY, VIA] if is_wide else [_NAME]
    counts = Column("ITEMS", 11, True, items) if is_normal else Column("ITEMS", 9, True, items_short)
    fixed = 2 + sum(column.width + 1 for column in (*lead, counts, *figures))
    room = max(width - fixed - 1, 4)
    if not is_normal:
        return [*lead, state(room), counts, *figures]
    states = min(max(room // 2, _STATE_LEAST), _STATE_MOST)
    chosen = [*lead, state(states), counts, *figures]
    note = Column(" NOTE", room - states - 1, False, _note)
    return [*chosen, note] if note.width > 5 else chosen


def summary(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Two lines: how many there are and how far they are; what they cost against the full price."""
    if scene.snapshot is None:
        return [line(("  -", "muted"))]
    v, rows = scene.snapshot.batches, scene.snapshot.rows
    singles = sum(row.via != "batch" and row.items <= 1 for row in rows)
    packs = sum(row.via != "batch" for row in rows) - singles
    return [_counts(v, packs, singles, width), _money(v, scene, width)][:height]


def _counts(v: BatchesView, packs: int, singles: int, width: int) -> Line:
    parts: list[Part] = ["  ", (f"{fmt.count(v.open)} open", "strong")]
    if v.held:
        parts += [", ", (f"{fmt.count(v.held)} held", "bad")]
    parts.append(f", {fmt.count(v.over)} over")
    if v.open:
        parts += ["   ", (fmt.count(v.items_done), "strong"), f" of {fmt.count(v.items)} items"]
    others = f"{fmt.count(packs)} packs   {fmt.count(singles)} requests"
    parts.append((f"   {others}{' in flight or just finished' if width >= _NORMAL else ''}", "muted"))
    return line(*parts)


def _money(v: BatchesView, scene: Scene, width: int) -> Line:
    """Of the jobs: spent, at the full price, saved; how long jobs take."""
    parts: list[Part] = ["  cost ", (fmt.money(v.spent_pusd), "strong")]
    if not v.spent_pusd and v.open:
        reserved = scene.snapshot.cost.reserved_pusd if scene.snapshot is not None else None
        parts = [f"  cost is known once results are here; set aside {fmt.money(reserved or None)}"]
    elif v.full_pusd is None:
        parts.append(("   no batch price is known", "muted"))
    else:
        parts += [" of ", fmt.money(v.full_pusd), " at full price, saved "]
        parts.append((fmt.money(v.full_pusd - v.spent_pusd), "good"))
    took = scene.snapshot.latency.batch if scene.snapshot is not None else None
    if took is not None and took.p50 is not None:
        parts += ["   a job takes ", (fmt.latency(took.p50), "strong")]
        parts.append(f", p95 {fmt.latency(took.p95)}" if width >= _NORMAL else "")
    return line(*parts)
