"""One batch job or pack in words: its life, its work, its money, its errors. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmtop.listing import AttemptRow, JobDetail, JobOutcome
from llmtop.snapshot import FlightRow, JobView
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, cells, line, pad, said, width_of
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.flights import cost as cost_of
from llmtop_tui.panels.flights import saved_pusd, wish_of
from llmtop_tui.plot import bar
from llmtop_tui.scene import Scene

_LABEL = 8
_BAR = 30
_NO_ERRORS = frozenset({"open", "answered", "released"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a batch beside its row; None: not read yet, or there is none."""

    row: FlightRow | None
    is_there: bool = True
    """Whether the row is in the newest snapshot; if not, it is the last that was seen."""
    detail: JobDetail | None = None
    attempts: tuple[AttemptRow, ...] = ()
    """Of a pack: the sends of its first item."""


def lines(facts: Facts, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """All that is known, `height` lines at most: errors give way first, then notes."""
    row = facts.row
    if row is None or scene.snapshot is None:
        return [line(("no such row any more: esc goes back", "muted"))][:height]
    now = scene.snapshot.at
    head = [_head(row, scene, width, looks)]
    if row.job is not None:
        head += _job(row, row.job, now, width)
        last = _errors(facts.detail, now, looks)
    else:
        head += _pack(row, now, width)
        last = [_attempt(each, now) for each in facts.attempts[::-1]]
    if row.note and (row.job is None or row.job.over_at is not None or row.role in {"warn", "bad"}):
        head.append(_labelled("note", [line((said(row.note, 300), _role_of_note(row)))], width)[0])
    if not facts.is_there:
        head.append(line(("it is over, and this is the last that was seen of it", "muted")))
    room = max(height - len(head), 0)
    if len(last) > room:
        last = [*last[: room - 1], line((f"{'':<{_LABEL}}{len(last) - room + 1} more", "muted"))][:room]
    return [*head, *last][:height]


def _head(row: FlightRow, scene: Scene, width: int, looks: Looks) -> Line:
    """Key, state and wish, how far, a bar."""
    spans: list[Span] = [(said(row.key, 20), "strong"), ("  ", "plain"), (said(row.state, 60), row.role)]
    if wanted := wish_of(row, scene.wishes):
        spans.append((f" {looks.glyphs.you} {said(wanted, 20)}", "you"))
    done = f"  {fmt.count(row.items_done)} of {fmt.count(row.items)} items  "
    spans += [(done, "plain"), (fmt.done_percent(row.items_done, row.items), "strong")]
    room = min(width - width_of(tuple(spans)) - 4, _BAR)
    if room >= 8 and row.items > 0:
        drawn = bar(row.items_done / row.items, room, looks.glyphs.full, looks.glyphs.empty)
        filled = drawn.count(looks.glyphs.full)
        spans += [("  ", "plain"), (drawn[:filled], "good"), (drawn[filled:], "muted")]
    return tuple(spans)


def _job(row: FlightRow, job: JobView, now: float, width: int) -> list[Line]:
    life = [
        _pair("intent", fmt.moment(job.intended_at, now)),
        _pair("uploaded", fmt.moment(job.uploaded_at, now)),
        _pair("created", fmt.moment(job.created_at, now)),
        _pair("ended", fmt.moment(job.ended_at, now)),
        _pair("fetched", fmt.moment(job.over_at, now)),
    ]
    work = [
        _pair("items/min", fmt.three(job.per_min)),
        _pair("eta", fmt.clock_span(job.eta_s)),
        _pair("failed", fmt.count(job.failed), "warn" if job.failed else "strong"),
        _pair("fetched", fmt.count(job.retrieved)),
    ]
    if job.requests not in (0, row.items):
        work.append(_pair("in packs:", f"{fmt.count(job.requests)} requests"))
    names = [_pair("", said(job.batch_id or "not known yet", 200)), _pair("tag", said(job.tag, 100))]
    return [
        *_labelled("id", names, width),
        *_labelled("life", life, width),
        *_labelled("work", work, width),
        *_labelled("looks", _looks(job, now), width),
        *_labelled("cost", _money(row, job), width),
    ]


def _looks(job: JobView, now: float) -> list[Line]:
    """When it is looked at, when it expires, how long its results are kept."""
    parts = []
    if job.next_look_at is not None and job.ended_at is None:
        parts.append(_pair("next in", fmt.span(job.next_look_at - now)))
    parts.append(_pair("last", fmt.moment(job.looked_at, now)))
    if job.ended_at is None:
        parts.append(_countdown("expires in", job.expires_at, now, _when(job.time_role)))
    if job.results_until is not None or job.ended_at is not None:
        parts.append(_countdown("results kept", job.results_until, now, _when(job.time_role)))
    return parts


def _when(role: Role) -> Role:
    return "strong" if role == "plain" else role


def _countdown(label: str, at: float | None, now: float, role: Role) -> Line:
    if at is None:
        return _pair(label, fmt.UNKNOWN)
    return (*_pair(label, fmt.span(at - now), role), (f" ({fmt.moment(at, now)})", "muted"))


def _money(row: FlightRow, job: JobView) -> list[Line]:
    return [
        _pair("so far", cost_of(row, 0.0)),
        _pair("full price", fmt.money(job.full_pusd)),
        _pair("saved", fmt.money(saved_pusd(row)), "good"),
        _pair("set aside", fmt.money(job.reserved_pusd or None)),
    ]


def _pack(row: FlightRow, now: float, width: int) -> list[Line]:
    figures = [
        _pair("attempt", fmt.count(row.attempt)),
        _pair("sent", fmt.moment(row.started_at, now)),
        _pair("ago", fmt.age(max(now - row.started_at, 0.0))),
        _pair("latency", fmt.latency(row.latency_s)),
        _pair("tokens", fmt.count(row.tokens)),
        _pair("cost", fmt.money(row.cost_pusd)),
    ]
    return _labelled("request", figures, width)


def _attempt(each: AttemptRow, now: float) -> Line:
    """One send, newest first."""
    status = str(each.http_status or "-")
    outcome = said(each.error_type or each.outcome or "open", 20)
    took = fmt.latency(None if each.latency_ms is None else each.latency_ms / 1000)
    message = f"  {said(each.error_message, 200)}" if each.error_message else ""
    return line(
        (pad(f"try {each.number}", _LABEL), "muted"),
        f"{fmt.moment(each.started_at, now)}  {status:>3}  ",
        (pad(outcome, 16), "warn" if each.error_type else "plain"),
        f" {took:>7}{message}",
    )


def _errors(detail: JobDetail | None, now: float, looks: Looks) -> list[Line]:
    """What its items came to: errors with their last message, then what was given back."""
    if detail is None:
        return []
    troubles = [_error(each, now, looks) for each in detail.outcomes if each.name not in _NO_ERRORS]
    given = [each for each in detail.outcomes if each.name == "released"]
    label: Span = (pad("given", _LABEL), "muted")
    return troubles + [line(label, f"{fmt.count(each.count)} items back, unasked") for each in given]


def _error(each: JobOutcome, now: float, looks: Looks) -> Line:
    return line(
        (pad("error", _LABEL), "muted"),
        (pad(f"{looks.glyphs.warn} {said(each.name, 24)}", 20), "warn"),
        (f"{fmt.count(each.count):>7}", "strong"),
        (f"  {fmt.moment(each.last_at, now)}  ", "muted"),
        said(each.last_message, 300),
    )


def _role_of_note(row: FlightRow) -> Role:
    return row.role if row.role in {"warn", "bad"} else "plain"


def _pair(label: str, value: str, role: Role = "strong") -> Line:
    return line((f"{label} " if label else "", "plain"), (value, role if value != fmt.UNKNOWN else "muted"))


def _labelled(label: str, parts: Sequence[Line], width: int) -> list[Line]:
    """Parts behind a label, on as many lines as they need."""
    rows: list[list[Span]] = [[(pad(label, _LABEL), "muted")]]
    used = _LABEL
    for part in parts:
        size = width_of(part)
        if used > _LABEL and used + size > width:
            rows.append([(pad("", _LABEL), "muted")])
            used = _LABEL
        gap = "   " if used > _LABEL else ""
        rows[-1] += [(gap, "plain"), *part] if gap else list(part)
        used += size + cells(gap)
    return [tuple(row) for row in rows]
