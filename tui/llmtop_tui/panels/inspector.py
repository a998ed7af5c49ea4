"""The inspector of the wide overview: one item in short, prompt, answer and filters below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.listing import ItemDetail
from llmtop.snapshot import FilterView, FlightRow
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, fit, line, pad, right, said, wrap
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels import item

_MOST_CHARACTERS = 4_000
"""Of a text of which a few lines are shown."""
_NAME = 16


def title(row: FlightRow | None) -> Line:
    """What is looked at: a request, a pack, a batch job, and what it came to."""
    if row is None:
        return line(("Inspector", "strong"))
    many = f"  {fmt.short(row.items)} items" if row.items > 1 else ""
    return line(("Inspector", "strong"), f"  {said(row.key, 20)}{many}  ", (said(row.state, 40), row.role))


def lines(
    detail: ItemDetail | None,
    chain: Sequence[FilterView],
    width: int,
    height: int,
    looks: Looks,
    *,
    fault: str = "",
    has_keys: bool = True,
) -> list[Line]:
    """Head, then prompt, answer, filters and outcome, each with a fair part of the room."""
    if detail is None:
        return [line((fault or "-", "warn" if fault else "muted"))]
    head = _head(detail, width)
    tail = [*_filters(detail, chain, width), _outcome(detail, chain, has_keys=has_keys)]
    room = height - len(head) - len(tail) - 2
    if room < 2:
        tail = tail[-1:]
        room = max(height - len(head) - 3, 2)
    asked_text, role = item.question(detail)
    prompt = _few(asked_text, width)
    answer = _few(item.reply(detail), width) or [line((_no_answer(detail), "muted"))]
    asked = min(len(prompt), max(room // 2, room - len(answer), 1))
    body = [*head, _rule(f"prompt{f', {role}' if role else ''}", width, looks), *_cut(prompt, asked)]
    body += [_rule("answer", width, looks), *_cut(answer, max(room - asked, 1))]
    body += [()] * (height - len(body) - len(tail))
    return [*body, *tail][:height]


def _head(detail: ItemDetail, width: int) -> list[Line]:
    row = detail.row
    last = detail.attempts[-1] if detail.attempts else None
    model = said((detail.result or {}).get("model") or "", 40)
    status = "" if last is None or last.http_status is None else str(last.http_status)
    took = "" if row.latency_ms is None else fmt.latency(row.latency_ms / 1000)
    first = "   ".join(part for part in (f"attempt {row.attempts}", model, status, took) if part)
    usage = f"tokens {fmt.count(row.input_tokens)} in  {fmt.count(row.output_tokens)} out"
    return [
        line((said(row.id, max(width - 10, 20)), "strong"), f"   {first}"),
        line((usage, "plain"), "   cost ", (fmt.money(row.cost_pusd), "strong")),
    ]


def _rule(name: str, width: int, looks: Looks) -> Line:
    across = looks.glyphs.across
    return line(
        (f"{across * 2} ", "muted"), (name, "strong"), (f" {across * max(width - len(name) - 4, 0)}", "muted")
    )


def _no_answer(detail: ItemDetail) -> str:
    error = said(detail.row.error_message or "", 400)
    return error or {"in_flight": "on its way", "pending": "waits"}.get(detail.row.state, "nothing came")


def _few(text: str, width: int) -> list[Line]:
    """The start of a text, folded, without its empty lines."""
    body: list[Line] = []
    for each in text[:_MOST_CHARACTERS].split("\n"):
        if not each.strip():
            continue
        body += [line(piece) for piece in wrap(each, max(width, 10))]
    return body


def _cut(body: Sequence[Line], height: int) -> list[Line]:
    """`height` lines at most; the last one says how many are missing."""
    if len(body) <= height:
        return list(body)
    return [*body[: height - 1], line((f"... {fmt.count(len(body) - height + 1)} more lines", "muted"))]


def _filters(detail: ItemDetail, chain: Sequence[FilterView], width: int) -> list[Line]:
    """Every filter of the run with what it did to this answer; without a chain those that left a trace."""
    if detail.result is None:
        return []
    traces = [each for each in detail.result.get("filters") or () if isinstance(each, Mapping)]
    if not traces and not chain:
        return []
    rows = [_trace(each.place, each.name, _of(traces, each), detail) for each in chain] or [
        _trace(each.get("place"), str(each.get("use", "?")), each, detail) for each in traces
    ]
    return [fit(each, width) for each in rows]


def _of(traces: Sequence[Mapping[str, Any]], each: FilterView) -> Mapping[str, Any] | None:
    return next((trace for trace in traces if trace.get("place") == each.place), None)


def _trace(place: object, name: str, trace: Mapping[str, Any] | None, detail: ItemDetail) -> Line:
    what, role = _did(trace, place, detail)
    number = right(said(place, 4), 2) if place is not None else "  "
    return line((f"{number} ", "muted"), (pad(said(name, 24), _NAME), "strong"), (what, role))


def _did(trace: Mapping[str, Any] | None, place: object, detail: ItemDetail) -> tuple[str, Role]:
    stopped_at = _stopped_at(detail)
    if trace is None:
        is_behind = stopped_at is not None and isinstance(place, int) and place > stopped_at
        return ("not reached" if is_behind else "0 hits", "muted")
    rest = {name: value for name, value in trace.items() if name not in {"use", "place", "hits"}}
    words = "  ".join(said(value, 120) for value in rest.values())
    if place == stopped_at:
        return (f"STOP: {words}", "warn")
    return (words or f"{said(trace.get('hits', 0), 9)} hits", "plain")


def _stopped_at(detail: ItemDetail) -> int | None:
    """The place of the filter that rejected the answer: the last one that left a trace."""
    if detail.row.state != "rejected" or detail.result is None:
        return None
    places = [
        each["place"]
        for each in detail.result.get("filters") or ()
        if isinstance(each, Mapping) and isinstance(each.get("place"), int)
    ]
    return max(places, default=None)


def _outcome(detail: ItemDetail, chain: Sequence[FilterView], *, has_keys: bool) -> Line:
    """What it came to, and the keys that go on from here where the cursor stands on it."""
    place = _stopped_at(detail)
    by = next((each.name for each in chain if each.place == place), None)
    word = line((f"REJECTED by {said(by, 24)}", "warn")) if by else item.outcome(detail)
    again = ", R asks again" if detail.row.state in {"rejected", "failed"} else ""
    return line(*word, (f"   enter shows all{again}" if has_keys else "", "muted"))
