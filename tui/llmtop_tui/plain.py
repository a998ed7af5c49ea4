"""The plain display: sentences in a fixed order, one line every few seconds and at each change of state.

For pipes, logs, dumb terminals and screen readers: no cursor movement, no box characters, no
spinner. It reads snapshots only. Colour is the caller's: each line comes with its role.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Literal

from llmtop.cleaning import clean
from llmtop.snapshot import RunState, Snapshot
from llmtop_tui.figures import usd
from llmtop_tui.format import age, clock, count, done_percent
from llmtop_tui.lines import ENDED

Role = Literal["plain", "good", "warn", "bad"]
Say = Callable[[str, Role, bool], None]
"""Takes a line, what it means, and whether it may be left out on a slow line."""

INTERVAL_S = 5.0
_FIGURES = re.compile(r"\d[\d.,]*")

_STATE_WORDS: dict[RunState, str] = {
    "held": "held back",
    "budget": "budget reached",
    "refused": "refused by the provider",
    "waiting": "waiting for a batch",
}


def progress_line(snapshot: Snapshot) -> str:
    """Return one sentence: state, items, bad ones, rate, in flight, cost, time left, what holds it back."""
    counts, flow = snapshot.counts, snapshot.throughput
    parts = [
        f"{clock(snapshot.at)} {clean(snapshot.name, limit=40)} {state_words(snapshot)}",
        f"{count(counts.finished)} of {count(counts.total)} items",
        done_percent(counts.finished, counts.total),
        f"rejected {count(counts.rejected)}",
        f"failed {count(counts.failed)}",
        f"{flow.items_per_s:.1f} items/s",
        f"in flight {flow.in_flight} of {flow.concurrency}",
        f"429 {count(flow.throttled_429)}",
        f"cost {cost_words(snapshot)}",
        f"left {age(snapshot.eta_s)}",
    ]
    if snapshot.state == "waiting" and snapshot.state_detail:
        parts.append(clean(snapshot.state_detail, limit=200))
    if snapshot.held.cause is not None:
        detail = clean(snapshot.held.detail, limit=60)
        parts.append(f"held by {clean(snapshot.held.cause)}{f' ({detail})' if detail else ''}")
    return ", ".join(parts)


def state_line(snapshot: Snapshot) -> str:
    """Return the sentence for a change of state."""
    detail = clean(snapshot.state_detail, limit=200)
    head = f"{clock(snapshot.at)} {clean(snapshot.name, limit=40)} is now {state_words(snapshot)}"
    return f"{head}: {detail}" if detail else head


def state_words(snapshot: Snapshot) -> str:
    """Return the state as a person says it."""
    return _STATE_WORDS.get(snapshot.state, snapshot.state)


def cost_words(snapshot: Snapshot) -> str:
    """Return what was spent, of what cap; `unknown` where there is no price."""
    cost = snapshot.cost
    if not cost.is_price_known and cost.spent_pusd == 0:
        spent = "unknown"
    else:
        spent = usd(cost.spent_pusd, is_at_least=cost.is_at_least)
    return spent if cost.cap_pusd is None else f"{spent} of {usd(cost.cap_pusd)}"


def summary(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the lines at the end of a run: what it came to, what it cost, where it is, what to do next."""
    counts, flow = snapshot.counts, snapshot.throughput
    detail = clean(snapshot.state_detail, limit=300)
    lines = [
        f"run {clean(snapshot.run_id)} {state_words(snapshot)}{f': {detail}' if detail else ''}",
        f"  items      {count(counts.total)}: done {count(counts.done)}, rejected {count(counts.rejected)}, "
        f"failed {count(counts.failed)}, pending {count(counts.pending)}",
        f"  cost       {cost_words(snapshot)}{_cost_notes(snapshot)}",
        f"  elapsed    {age(snapshot.elapsed_s)}",
        f"  requests   {count(flow.requests)}, retries {count(flow.retries)}, "
        f"429s {count(flow.throttled_429)}",
    ]
    lines += [f"  checks     {words}" for words in check_words(snapshot)]
    for kind in snapshot.errors.kinds[:5]:
        message = clean(kind.last_message, limit=120)
        said = f": {message}" if message else ""
        lines.append(f"  error      {clean(kind.name)} {count(kind.count)}{said}")
    if snapshot.output_path:
        lines.append(f"  output     {clean(snapshot.output_path, limit=4096)}")
    lines += [f"  next       {step}" for step in next_steps(snapshot)]
    return tuple(lines)


def check_words(snapshot: Snapshot) -> tuple[str, ...]:
    """Return how packed answers compare with lone ones, in one line; nothing where none was checked."""
    checked, agreed = snapshot.packs.checked, snapshot.packs.agreed
    if not checked:
        return ()
    return (
        f"{count(agreed)} of {count(checked)} packed answers ({agreed / checked:.0%}) "
        "are the same when asked alone",
    )


def _cost_notes(snapshot: Snapshot) -> str:
    cost = snapshot.cost
    notes = []
    if cost.is_at_least:
        notes.append("a lower bound: some usage or price was unknown or estimated")
    if cost.maybe_billed:
        notes.append(f"{count(cost.maybe_billed)} requests possibly billed besides")
    return f" ({'; '.join(notes)})" if notes else ""


def next_steps(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the commands that make sense now."""
    run, counts = clean(snapshot.run_id), snapshot.counts
    steps = []
    if counts.failed:
        steps.append(f"llmtop items {run} --status failed, then llmtop retry {run} --failed")
    if counts.rejected:
        steps.append(f"llmtop items {run} --status rejected")
    if snapshot.state == "budget":
        steps.append(f"llmtop set {run} max_cost=USD raises the cap of a live run; or mend budget.max_cost")
    if snapshot.state == "refused":
        steps.append("mend what the provider refuses, then the same command goes on")
    elif counts.pending and snapshot.state != "cancelled":
        steps.append("the same command goes on with what is left")
    if not snapshot.output_path and counts.finished:
        steps.append(f"llmtop export {run} -o results.jsonl")
    return tuple(steps)


def role_of(snapshot: Snapshot) -> Role:
    """Return `good`, `warn` or `bad`: what the state means, for whoever has colours."""
    if snapshot.state in ("failed", "refused", "cancelled"):
        return "bad"
    if snapshot.state in ("held", "paused", "pausing", "budget", "stopping", "stopped"):
        return "warn"
    return "warn" if snapshot.counts.failed or snapshot.counts.rejected else "good"


class PlainDisplay:
    """Decides which snapshots of a run become lines. `clock` is monotonic; it sleeps nowhere."""

    def __init__(
        self, say: Say, *, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._interval_s = interval_s
        self._clock = clock
        self._state: RunState | None = None
        self._warned: set[str] = set()
        self._next_at = 0.0

    def __repr__(self) -> str:
        return f"PlainDisplay(state={self._state}, every {self._interval_s:g} s)"

    def show(self, snapshot: Snapshot) -> None:
        """Print what is due: a change of state at once, warnings once, progress every interval."""
        for warning in snapshot.warnings:
            kind = _FIGURES.sub("#", warning)  # the same warning with another number is not news
            if kind not in self._warned:
                self._warned.add(kind)
                self._say(f"{clock(snapshot.at)} warning: {clean(warning, limit=300)}", "warn", False)
        now = self._clock()
        if snapshot.state != self._state:
            self._state = snapshot.state
            self._say(state_line(snapshot), role_of(snapshot), False)
            self._next_at = now + self._interval_s
        elif now >= self._next_at and snapshot.state not in ENDED:
            self._say(progress_line(snapshot), "plain", True)
            self._next_at = now + self._interval_s

    def finish(self, snapshot: Snapshot) -> None:
        """Print the summary."""
        first, *rest = summary(snapshot)
        self._say(first, role_of(snapshot), False)
        for line in rest:
            self._say(line, "plain", False)
