"""The list of items: columns, rows, the line that says which of them are shown."""

from __future__ import annotations

from llmtop.listing import ItemRow
from llmtop.model import RunCounts
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, end_of, fit, line, pad, right, said
from llmtop_tui.item_pages import ItemView
from llmtop_tui.looks import Looks, Role

STATE_WORDS = {
    "in_flight": "in flight",
    "pending": "waiting",
    "rejected": "rejected",
    "failed": "failed",
    "done": "done",
}
_ROLES: dict[str, Role] = {"in_flight": "good", "pending": "muted", "rejected": "warn", "failed": "bad"}
_FIGURES = (("TRY", 3), ("LAT", 7), ("TOKENS", 7), ("COST", 8))
_FIXED = 2 + 10 + sum(width + 1 for _, width in _FIGURES)


def _widths(width: int) -> tuple[int, int]:
    """Cells of the id and of the note."""
    room = max(width - _FIXED, 10)
    name = max(min(room // 2, 28), 8)
    return name, max(room - name - 2, 0)


def header(width: int, view: ItemView) -> Line:
    """Column names; the sorted one stands out."""
    name, note = _widths(width)
    spans: list[Span] = [(f"  {pad('ITEM', name)} {pad('STATE', 9)} ", "muted")]
    spans += [(right(head, size) + " ", "key" if head == view.sort else "muted") for head, size in _FIGURES]
    spans.append((" " + pad("OUTPUT OR ERROR", note), "muted"))
    return tuple(spans)


def note_of(row: ItemRow) -> str:
    """What the item came to, in one line."""
    if row.error_type is not None:
        return said(f"{row.error_type}: {row.error_message or ''}")
    return said(row.preview)


def draw(row: ItemRow, width: int, looks: Looks, *, is_current: bool) -> Line:
    """One item; the cursor's is drawn in one style from end to end."""
    name, note = _widths(width)
    tokens = None if row.input_tokens is None else row.input_tokens + (row.output_tokens or 0)
    figures = (
        fmt.short(row.attempts),
        fmt.latency(None if row.latency_ms is None else row.latency_ms / 1000),
        fmt.short(tokens),
        fmt.money(row.cost_pusd),
    )
    spans: list[Span] = [
        (f"{looks.glyphs.cursor} " if is_current else "  ", "you"),
        (pad(end_of(said(row.id, 512), name), name) + " ", "strong"),
        (pad(STATE_WORDS[row.state], 9) + " ", _ROLES.get(row.state, "plain")),
    ]
    spans += [(right(value, size) + " ", "plain") for value, (_, size) in zip(figures, _FIGURES, strict=True)]
    spans.append((" " + pad(note_of(row), note), "muted" if row.error_type is None else "plain"))
    if is_current:
        return fit(tuple((text, "cursor") for text, _ in spans), width, role="cursor")
    return tuple(spans)


def summary(counts: RunCounts | None, in_flight: int, view: ItemView, place: str, width: int) -> Line:
    """How many items of each state there are, the chosen one bright, and where the cursor stands."""
    if counts is None:
        return line(("  -", "muted"))
    waiting = max(counts.pending - in_flight, 0)
    numbers = (
        ("in_flight", in_flight),
        ("pending", waiting),
        ("rejected", counts.rejected),
        ("failed", counts.failed),
        ("done", counts.done),
    )
    spans: list[Span] = [("  ", "plain")]
    is_by_state = view.state or view.only_problems or view.error_type
    chosen = view.states if is_by_state else ()
    for state, number in numbers:
        role: Role = "you" if state in chosen else "plain"
        word = STATE_WORDS[state] if width >= 70 else STATE_WORDS[state].split(" ")[-1]
        spans.append((f"{word} {fmt.count(number)}", role))
        spans.append(("   " if width >= 90 else "  ", "plain"))
    if view.error_type is not None:
        spans.append((f"{said(view.error_type, 20)} only   ", "you"))
    if view.of_row is not None:
        spans.append((f"of {said(view.of_row, 20)}   ", "you"))
    spans.append((place, "muted"))
    return tuple(spans)


def copied(row: ItemRow) -> str:
    """One row as tab-separated text."""
    latency = "" if row.latency_ms is None else str(row.latency_ms)
    cost = fmt.money(row.cost_pusd)
    return "\t".join((said(row.id, 512), row.state, str(row.attempts), latency, cost, note_of(row)))
