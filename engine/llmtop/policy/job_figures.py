"""A batch job for people: the word for where it stands, its pace, what is left, its row in a table.

Pure. Moments in epoch seconds, durations in seconds, money in pico-dollars; None: not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llmtop.batch_jobs import TERMINAL, BatchRecord
from llmtop.snapshot import BatchesView, FlightRow, JobView

_LOOKS = 20
_EXPIRY_WARNS_S = 2 * 3600.0
_RETENTION_WARNS_S = 2 * 86400.0
_RETENTION_IS_BAD_S = 86400.0
_WORDS = {
    "intent": "creating",
    "in_progress": "in progress",
    "completed": "fetching",
    "released": "given back",
}

Role = Literal["plain", "good", "warn", "bad"]
TimeRole = Literal["plain", "warn", "bad"]


@dataclass(slots=True)
class Pace:
    """Requests a second of one job, by what its last looks saw. Mutable: told at every look."""

    _seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_LOOKS))

    def saw(self, at: float, lines: int | None) -> None:
        """Take in how many requests were done; a count that goes back begins anew."""
        if lines is None:
            return
        if self._seen and lines < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, lines))

    def per_s(self, created_at: float) -> float | None:
        """Requests a second over the last looks, or since the creation; None before the first one."""
        if not self._seen or not self._seen[-1][1]:
            return None
        last_at, last = self._seen[-1]
        first_at, first = self._seen[0] if len(self._seen) > 1 else (created_at, 0)
        return (last - first) / (last_at - first_at) if last_at > first_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What only the process that follows a job knows of it."""

    per_s: float | None = None
    next_look_at: float | None = None
    note: str = ""
    """What went wrong lately."""
    is_cancel_wanted: bool = False


def state_words(state: str) -> str:
    """A job's state as a person says it."""
    return _WORDS.get(state, state)


def per_s_of(record: BatchRecord, at: float) -> float | None:
    """Requests a second over the life of a job, where nobody has followed it."""
    since = record.created_at
    lines = record.requests if record.done is None and record.ended_at is not None else _handled(record)
    until = record.ended_at or record.polled_at or at
    return lines / (until - since) if since is not None and lines and until > since else None


def latency_of(record: BatchRecord) -> float | None:
    """From the creation of a job until its results were here; None where it did not come to that."""
    if record.created_at is None or record.ended_at is None or record.state != "retrieved":
        return None
    return None if record.over_at is None else max(0.0, record.over_at - record.created_at)


def batch_factor_of(prices: Mapping[str, Any]) -> float | None:
    """Batch price over realtime price, of the record that a run keeps of its prices."""
    factor = prices.get("batch_factor")
    return factor if isinstance(factor, float) else None


def full_price(cost_pusd: int, batch_factor: float | None) -> int | None:
    """What the same would have cost in realtime; `batch_factor`: batch price over realtime price."""
    return None if not batch_factor else round(cost_pusd / batch_factor)


def job_row(
    record: BatchRecord, at: float, batch_factor: float | None, seen: Seen | None = None
) -> FlightRow:
    """Return the row of a job. `seen` None: nobody follows it."""
    per_s = per_s_of(record, at) if seen is None or seen.per_s is None or record.ended_at else seen.per_s
    is_fetched = record.retrieved > 0
    view = JobView(
        number=record.number,
        tag=record.tag,
        batch_id=record.batch_id,
        requests=record.requests,
        retrieved=record.retrieved,
        failed=record.failed,
        per_min=None if per_s is None else per_s * 60 * record.items / max(1, record.requests),
        eta_s=_eta_s(record, at, per_s),
        full_pusd=full_price(record.cost_pusd, batch_factor) if is_fetched else None,
        at_most_pusd=None if is_fetched else _at_most(record),
        reserved_pusd=record.reserved_pusd,
        intended_at=record.intended_at,
        uploaded_at=record.uploaded_at,
        created_at=record.created_at,
        looked_at=record.polled_at,
        next_look_at=None if seen is None else seen.next_look_at,
        ended_at=record.ended_at,
        over_at=record.over_at,
        expires_at=record.expires_at,
        results_until=record.results_until,
        time_role=_time_role(record, at),
    )
    started_at = record.created_at or record.intended_at
    return FlightRow(
        key=row_key(record),
        via="batch",
        state=_state(record, seen),
        item_id="",
        items_done=_done(record),
        items=record.items,
        attempt=1,
        started_at=started_at,
        latency_s=None if record.over_at is None else max(0.0, record.over_at - started_at),
        tokens=record.tokens,
        cost_pusd=record.cost_pusd if is_fetched else None,
        note=_note(record, view, at, seen),
        role=_role(record, view.time_role, seen),
        job=view,
    )


def batches_view(rows: Sequence[FlightRow], spent_pusd: int, batch_factor: float | None) -> BatchesView:
    """Return all jobs together; `rows` has each of them."""
    jobs = [(row, row.job) for row in rows if row.job is not None]
    waited_for = [(row, job) for row, job in jobs if job.over_at is None]
    looks = [job.next_look_at for _, job in waited_for if job.next_look_at is not None]
    return BatchesView(
        open=len(waited_for),
        held=sum(row.state == "held" for row, _ in waited_for),
        over=len(jobs) - len(waited_for),
        items=sum(row.items for row, _ in waited_for),
        items_done=sum(row.items_done for row, _ in waited_for),
        next_look_at=min(looks, default=None),
        spent_pusd=spent_pusd,
        full_pusd=full_price(spent_pusd, batch_factor),
    )


def waiting_words(view: BatchesView, at: float) -> str:
    """What a run waits for that has nothing else to do."""
    jobs = "1 job" if view.open == 1 else f"{view.open:,} jobs"
    words = f"{jobs}, {view.items_done:,} of {view.items:,} items done"
    if view.next_look_at is None:
        return words
    return f"{words}, next look in {_short_span(view.next_look_at - at)}"


def eta_s(rows: Sequence[FlightRow]) -> float | None:
    """Until the last line of the open jobs; None where one of them does not tell."""
    etas = [row.job.eta_s for row in rows if row.job is not None and row.job.over_at is None]
    known = [each for each in etas if each is not None]
    return max(known) if known and len(known) == len(etas) else None


def _done(record: BatchRecord) -> int:
    """Items that are done, packs by their share; while results are being fetched: those that are here."""
    is_fetching = record.ended_at is not None and not record.is_over
    if record.done is None:
        return record.retrieved if record.retrieved or record.is_over else 0
    return record.retrieved if is_fetching else record.done * record.items // max(1, record.requests)


def _handled(record: BatchRecord) -> int:
    return (record.done or 0) + (record.failed or 0)


def _eta_s(record: BatchRecord, at: float, per_s: float | None) -> float | None:
    if record.is_over or record.ended_at is not None or record.state == "cancelling" or not per_s:
        return None
    left_s = max(0, record.requests - _handled(record)) / per_s
    return max(0.0, left_s - (at - (record.polled_at or at)))


def _at_most(record: BatchRecord) -> int | None:
    """The share of what was set aside that is for lines which are done."""
    if record.is_over or not record.reserved_pusd or not record.requests or not record.done:
        return None
    return record.reserved_pusd * min(record.done, record.requests) // record.requests


def _state(record: BatchRecord, seen: Seen | None) -> str:
    is_open = record.ended_at is None and not record.is_over
    if is_open and seen is not None and seen.is_cancel_wanted and record.state != "cancelling":
        return "cancel asked"
    return state_words(record.state)


def _time_role(record: BatchRecord, at: float) -> TimeRole:
    """Of a job that is not over: expiry under two hours, results kept for less than two days."""
    if record.is_over:
        return "plain"
    if record.ended_at is None:
        is_late = record.expires_at is not None and record.expires_at - at < _EXPIRY_WARNS_S
        return "warn" if is_late else "plain"
    kept_s = _RETENTION_WARNS_S if record.results_until is None else record.results_until - at
    return "bad" if kept_s < _RETENTION_IS_BAD_S else "warn" if kept_s < _RETENTION_WARNS_S else "plain"


def _role(record: BatchRecord, time_role: TimeRole, seen: Seen | None) -> Role:
    if record.state == "held" or (record.state == "failed" and not record.is_over):
        return "bad"
    if record.is_over:
        return "good" if record.state == "retrieved" else "plain"
    if time_role != "plain":
        return time_role
    is_broken = record.state in TERMINAL - {"completed"}
    return "warn" if seen is None or seen.note or seen.is_cancel_wanted or is_broken else "plain"


def row_key(record: BatchRecord) -> str:
    """Return what a job is called in tables."""
    return f"b{record.number:04d}"


def _note(record: BatchRecord, view: JobView, at: float, seen: Seen | None) -> str:
    if record.is_over:
        undone = record.items - (record.items if record.done is None else _done(record))
        return record.error or (f"{undone:,} items were not done in it" if undone > 0 else "")
    if seen is None:
        return record.error or "nobody follows it: `llmtop run` goes on with it"
    if seen.note or record.state == "held":
        return seen.note or record.error or ""
    words = [f"{record.failed:,} failed" if record.failed else ""]
    if view.next_look_at is not None:
        words.append(f"look {_short_span(view.next_look_at - at)}")
    if view.eta_s is not None:
        words.append(f"eta {_short_span(view.eta_s)}")
    if record.ended_at is None and record.expires_at is not None:
        words.append(f"exp {_short_span(record.expires_at - at)}")
    elif record.ended_at is not None and record.results_until is not None:
        words.append(f"kept {_short_span(record.results_until - at)}")
    return ", ".join(word for word in words if word)


def _short_span(seconds: float) -> str:
    """A span in at most four characters where it is a usual one: `41s`, `52m`, `21h`, `28d`."""
    if seconds < 99.5:
        return f"{max(seconds, 0):.0f}s"
    if seconds < 5970:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f}d"
