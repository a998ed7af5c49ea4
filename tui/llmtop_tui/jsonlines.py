"""`--display json`: one JSON object a line, by `interface.md` section 5. It reads snapshots only.

Each object has `event`, `at` (UTC) and `run_id`. Text stays as it came: non-ASCII and control
characters are written as JSON escapes, so a line is safe on a terminal too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from llmtop.model import Decision
from llmtop.snapshot import RunState, Snapshot
from llmtop_tui.figures import usd_exact, utc
from llmtop_tui.lines import ENDED

Emit = Callable[[str, bool], None]
"""Takes a line, and whether it may be left out on a slow line."""

INTERVAL_S = 1.0
_PAUSED: frozenset[RunState] = frozenset({"paused", "budget", "refused"})
_GOING: frozenset[RunState] = frozenset({"running", "held", "waiting"})


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write JSON in ASCII: faithful, and nothing in it that a terminal obeys."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent, default=str)


def counts_of(snapshot: Snapshot) -> dict[str, int]:
    """Return the counts by status."""
    counts = snapshot.counts
    return {
        "done": counts.done,
        "rejected": counts.rejected,
        "failed": counts.failed,
        "pending": counts.pending,
    }


def knobs_of(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Return the settings that are steered live, as they are now, each with its origin."""
    return {
        knob.name: {"value": knob.value, "origin": knob.origin, "pinned": knob.is_pinned}
        for knob in snapshot.tuner.knobs
    }


def progress_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the figures of a `progress` event."""
    flow, cost = snapshot.throughput, snapshot.cost
    return {
        "state": snapshot.state,
        "counts": counts_of(snapshot),
        "requests_per_s": _figure(flow.requests_per_s, 3),
        "items_per_s": _figure(flow.items_per_s, 3),
        "tokens_per_s": _figure(flow.input_tokens_per_s + flow.output_tokens_per_s, 1),
        "in_flight": flow.in_flight,
        "concurrency": flow.concurrency,
        "cost_usd": usd_exact(cost.spent_pusd if cost.is_price_known or cost.spent_pusd else None),
        "cost_is_at_least": cost.is_at_least,
        "eta_s": _figure(snapshot.eta_s, 1),
        "limited_by": snapshot.held.cause,
    }


def finished_of(snapshot: Snapshot) -> dict[str, Any]:
    """Return the figures of a `run_finished` event."""
    flow, cost = snapshot.throughput, snapshot.cost
    return {
        "status": snapshot.state,
        "detail": snapshot.state_detail,
        "exit_code": snapshot.exit_code,
        "counts": counts_of(snapshot),
        "cost_usd": usd_exact(cost.spent_pusd if cost.is_price_known or cost.spent_pusd else None),
        "cost_is_at_least": cost.is_at_least,
        "maybe_billed": cost.maybe_billed,
        "elapsed_s": _figure(snapshot.elapsed_s, 3),
        "requests": flow.requests,
        "retries": flow.retries,
        "throttled_429": flow.throttled_429,
        "output": snapshot.output_path or None,
    }


class JsonDisplay:
    """Turns one run's snapshots into events. `clock` is monotonic; it sleeps nowhere."""

    def __init__(
        self,
        emit: Emit,
        settings: Mapping[str, Mapping[str, Any]],
        *,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settings`: what the run was started with, each with its origin."""
        self._emit = emit
        self._settings = settings
        self._interval_s = interval_s
        self._clock = clock
        self._is_started = False
        self._is_paused = False
        self._seen: dict[Decision, None] = {}
        self._next_at = 0.0

    def __repr__(self) -> str:
        return f"JsonDisplay(started={self._is_started}, paused={self._is_paused})"

    def show(self, snapshot: Snapshot) -> None:
        """Emit what is new: the start, decisions and commands, pauses, progress once a second."""
        if snapshot.state == "starting":
            return
        if not self._is_started:
            self._is_started = True
            self._event("run_started", snapshot, _start_of(snapshot, self._settings))
        self._tell_decisions(snapshot)
        self._tell_pauses(snapshot)
        now = self._clock()
        if now >= self._next_at and snapshot.state not in ENDED:
            self._next_at = now + self._interval_s * 0.9  # the snapshots' own beat may come early
            self._event("progress", snapshot, progress_of(snapshot), may_drop=True)

    def finish(self, snapshot: Snapshot) -> None:
        """Emit what is left, then the end."""
        if not self._is_started:
            self._is_started = True
            self._event("run_started", snapshot, _start_of(snapshot, self._settings))
        self._tell_decisions(snapshot)
        self._tell_pauses(snapshot)
        self._event("run_finished", snapshot, finished_of(snapshot))

    def _tell_decisions(self, snapshot: Snapshot) -> None:
        for decision in snapshot.tuner.decisions:
            if decision in self._seen:
                continue
            event = "command" if "@" in decision.by else "decision"
            self._event(event, snapshot, {"decided_at": utc(decision.at), **decision_of(decision)})
        self._seen = dict.fromkeys(snapshot.tuner.decisions)

    def _tell_pauses(self, snapshot: Snapshot) -> None:
        if snapshot.state in _PAUSED and not self._is_paused:
            self._is_paused = True
            self._event("paused", snapshot, {"state": snapshot.state, "detail": snapshot.state_detail})
        elif snapshot.state in _GOING and self._is_paused:
            self._is_paused = False
            self._event("resumed", snapshot, {"state": snapshot.state})

    def _event(
        self, event: str, snapshot: Snapshot, fields: dict[str, Any], *, may_drop: bool = False
    ) -> None:
        line = {"event": event, "at": utc(snapshot.at), "run_id": snapshot.run_id, **fields}
        self._emit(dumps(line), may_drop)


def _figure(value: float | None, digits: int) -> float | None:
    """Round; what is no number is unknown, for JSON knows no NaN."""
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _start_of(snapshot: Snapshot, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "items": snapshot.counts.total,
        "name": snapshot.name,
        "provider": snapshot.provider,
        "model": snapshot.model,
        "counts": counts_of(snapshot),
        "output": snapshot.output_path or None,
        "settings": settings,
        "live": knobs_of(snapshot),
    }


def decision_of(decision: Decision) -> dict[str, str]:
    return {
        "what": decision.what,
        "old": decision.old,
        "new": decision.new,
        "why": decision.why,
        "by": decision.by,
    }
