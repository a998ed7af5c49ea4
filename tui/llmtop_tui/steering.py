"""What a key asks of the run: from an action and a snapshot to a command, a question or a refusal.

Pure: the clock and the door are elsewhere. A wish is not a fact: it lives here until a snapshot
that is new enough shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmtop.model import Acknowledgement, CommandVerb
from llmtop.snapshot import Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.dialogs import Question, confirm
from llmtop_tui.ink import said
from llmtop_tui.panels.words import knob
from llmtop_tui.settings import NO_CAP, current, number, parse_money

UNDO_DEPTH = 20
_PAUSED = frozenset({"pausing", "paused", "budget", "refused"})
RATE_KEYS = ("requests_per_second", "requests_per_minute")


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something to ask of the engine, perhaps after a question."""

    verb: CommandVerb
    values: Mapping[str, Any] | None = None
    shown: tuple[tuple[str, str], ...] = ()
    """(setting or "state", wanted value) to show until it is confirmed."""
    question: Question | None = None
    undo: Proposal | None = None
    is_repeatable: bool = False
    """Whether presses within 0.3 s become one command."""


@dataclass(slots=True)
class _Wish:
    value: str
    since: float
    version: int | None = None


@dataclass(slots=True)
class Steering:
    """The operator's wishes for one run, and how to take the last ones back."""

    origin: str
    is_read_only: bool = False
    wishes: dict[str, _Wish] = field(default_factory=dict)
    undos: list[Proposal] = field(default_factory=list)
    _declared: dict[str, float] = field(default_factory=dict)

    def wanted(self) -> dict[str, str]:
        """Wishes that are not confirmed yet."""
        return {key: wish.value for key, wish in self.wishes.items()}

    def see(self, snapshot: Snapshot) -> None:
        """Drop the wishes that this snapshot shows; remember the declared rates."""
        for key, wish in list(self.wishes.items()):
            if wish.version is not None and snapshot.version >= wish.version:
                del self.wishes[key]
        for name in RATE_KEYS:
            value = number(getattr(knob(snapshot, name), "value", None))
            if value is not None:
                self._declared.setdefault(name, value)

    def wish(self, proposal: Proposal, now: float) -> None:
        """Show what is asked for as a wish."""
        for key, value in proposal.shown:
            self.wishes[key] = _Wish(value, now)

    def settle(self, proposal: Proposal, ack: Acknowledgement, snapshot: Snapshot | None) -> None:
        """Take in the engine's answer: a wish waits for its version, a refused one is dropped."""
        for key, value in proposal.shown:
            wish = self.wishes.get(key)
            if wish is None or wish.value != value:
                continue
            if not ack.is_ok or (snapshot is not None and snapshot.version >= ack.version):
                del self.wishes[key]
            else:
                wish.version = ack.version
        if ack.is_ok and proposal.undo is not None:
            self.undos.append(proposal.undo)
            del self.undos[:-UNDO_DEPTH]

    def oldest_wish_s(self, now: float) -> float:
        """How long the oldest unconfirmed wish has waited."""
        return max((now - wish.since for wish in self.wishes.values()), default=0.0)

    def propose(self, action: str, snapshot: Snapshot) -> Proposal | str:
        """What an action of the key table asks for; a text says why it cannot."""
        if action == "pause":
            return self._pause(snapshot)
        if action == "hold":
            return _hold(snapshot)
        if action.startswith("conc_"):
            return self._concurrency(action, snapshot)
        if action.startswith("rate_"):
            return self._rate(1.1 if action == "rate_up" else 1 / 1.1, snapshot)
        if action == "tuner":
            is_on = self.wanted().get("tuner", "on" if snapshot.tuner.is_on else "off") == "on"
            return self.set({"tuner": "off" if is_on else "on"}, snapshot)
        if action == "undo":
            return self.undos.pop() if self.undos else "nothing to undo in this viewer"
        return f"{action}: no such action"

    def set(self, values: Mapping[str, str], snapshot: Snapshot, *, is_repeatable: bool = False) -> Proposal:
        """Change settings, with the way back; asks where more may be spent."""
        old = {key: current(snapshot, key) for key in values}
        undo = None
        if all(value is not None for value in old.values()):
            undo = Proposal("set", old, tuple((key, str(value)) for key, value in old.items()))
        question = next(
            (q for key, value in values.items() if (q := self._question(key, value, snapshot))), None
        )
        return Proposal("set", dict(values), tuple(values.items()), question, undo, is_repeatable)

    def _pause(self, snapshot: Snapshot) -> Proposal:
        wanted = self.wanted().get("state")
        is_paused = wanted == "pause" or (wanted != "resume" and snapshot.state in _PAUSED)
        verb: CommandVerb = "resume" if is_paused else "pause"
        back: CommandVerb = "pause" if is_paused else "resume"
        return Proposal(verb, None, (("state", verb),), undo=Proposal(back, None, (("state", back),)))

    def _concurrency(self, action: str, snapshot: Snapshot) -> Proposal | str:
        now = number(self.wanted().get("concurrency") or current(snapshot, "concurrency"))
        if now is None:
            return "concurrency is not known yet"
        steps = {"conc_up": now + 1, "conc_down": now - 1, "conc_double": now * 2, "conc_halve": now // 2}
        wanted = max(1.0, steps[action])
        each = knob(snapshot, "concurrency")
        low, high = (number(each.low), number(each.high)) if each else (None, None)
        if low == high:
            low = high = None  # fixed in the config: the tuner leaves it alone, a hand may move it
        if high is not None and wanted > high:
            wanted = high
        if low is not None and wanted < low:
            wanted = low
        if wanted == now:
            return (
                f"concurrency is at its limit: {now:g} (allowed {each.low or 1}-{each.high})"
                if each
                else "concurrency is at its limit"
            )
        return self.set({"concurrency": f"{wanted:.0f}"}, snapshot, is_repeatable=True)

    def _rate(self, factor: float, snapshot: Snapshot) -> Proposal | str:
        for name in RATE_KEYS:
            now = number(self.wanted().get(name) or current(snapshot, name))
            if now:
                return self.set({name: f"{float(f'{now * factor:.3g}'):g}"}, snapshot, is_repeatable=True)
        return "no request rate is set; `:set requests_per_second=2` sets one"

    def _question(self, key: str, value: str, snapshot: Snapshot) -> Question | None:
        if key == "max_cost":
            return _cap_question(value, snapshot)
        limit = self._limit(key, snapshot)
        wanted = number(value)
        if key in RATE_KEYS and limit is not None and wanted is not None and wanted > limit * 1.0001:
            return confirm(
                "Rate above the declared limit?",
                f"{key}: {limit:g} is declared, {value} is asked for.",
                "The provider may answer 429 and slow the run down.",
                yes="go above it",
                no=f"stay at {current(snapshot, key) or limit}",
            )
        return None

    def _limit(self, key: str, snapshot: Snapshot) -> float | None:
        each = knob(snapshot, key)
        high = number(each.high) if each else None
        return high if high is not None else self._declared.get(key)


def ending(choice: str, snapshot: Snapshot) -> Proposal:
    """A way to end the run, with its question: drain, now or cancel."""
    flying = fmt.count(snapshot.throughput.in_flight)
    left = fmt.count(snapshot.counts.pending)
    if choice == "drain":
        body = (f"{flying} calls in flight land and are saved, {left} items stay for later.",)
        ask = confirm("Stop this run?", *body, yes="stop it", no="go on")
        return Proposal("stop", None, (("state", "stop"),), ask)
    if choice == "now":
        body = (f"{flying} calls in flight are given up and may be billed; {left} items stay for later.",)
        ask = confirm("Stop at once?", *body, yes="stop at once", no="go on")
        return Proposal("stop_now", None, (("state", "stop now"),), ask)
    return Proposal("cancel", None, (("state", "cancel"),), _cancel_question(snapshot))


def _cancel_question(snapshot: Snapshot) -> Question:
    left = fmt.count(snapshot.counts.pending)
    jobs = open_batches(snapshot)
    body = (f"What is finished is kept; {left} items without a result are given up for good.",)
    if not jobs:
        return confirm("Cancel this run for good?", *body, yes="cancel it", no="go on")
    name = said(snapshot.name, 60)
    batches = f"{jobs} open provider batch{'es' if jobs > 1 else ''} will be cancelled at the provider."
    ask = f"Type the run's name to do it: {name}"
    return Question(
        "Cancel this run and its batches?",
        (*body, batches, ask),
        entry="",
        is_right=lambda text: "" if text.strip() == name else "that is not its name",
    )


def open_batches(snapshot: Snapshot) -> int:
    """Provider batches that are not over."""
    over = ("ended", "done", "failed", "expired", "cancel")
    return sum(row.via == "batch" and not row.state.startswith(over) for row in snapshot.rows)


def _hold(snapshot: Snapshot) -> Proposal | str:
    if snapshot.state == "paused":
        return "the run is paused already"
    flying = fmt.count(snapshot.throughput.in_flight)
    ask = confirm(
        "Pause at once?",
        f"{flying} calls in flight are given up and go back to the queue.",
        "The provider may bill them.",
        yes="pause at once",
        no="go on",
    )
    return Proposal("hold", None, (("state", "hold"),), ask, Proposal("resume", None, (("state", "resume"),)))


def _cap_question(value: str, snapshot: Snapshot) -> Question | None:
    """Ask where the cap is raised or removed; lowering it needs no question."""
    cap = snapshot.cost.cap_pusd
    wanted = None if value == NO_CAP else parse_money(value)
    if cap is None or (wanted is not None and wanted <= cap):
        return None
    spent, end = fmt.money(snapshot.cost.spent_pusd), fmt.money(snapshot.cost.projected_pusd)
    title = "Raise the budget?" if wanted is not None else "Remove the budget?"
    to = fmt.money(wanted) if wanted is not None else "no cap at all"
    return confirm(
        title,
        f"{fmt.money(cap)} -> {to}; spent {spent}, at end {end}",
        "More money may be spent from now on.",
        yes="raise" if wanted is not None else "remove",
        no=f"keep {fmt.money(cap)}",
    )


def budget_entry(snapshot: Snapshot) -> Question:
    """Ask for a new cap."""
    cost = snapshot.cost
    cap = fmt.money(cost.cap_pusd) if cost.cap_pusd is not None else "none"
    return Question(
        "Budget of this run",
        (
            f"cap {cap}   spent {fmt.money(cost.spent_pusd)}   reserved {fmt.money(cost.reserved_pusd)}",
            f"New cap in US dollars, or `{NO_CAP}`:",
        ),
        entry="",
        is_right=_money_fault,
    )


def _money_fault(text: str) -> str:
    text = text.strip()
    return (
        ""
        if text == NO_CAP or parse_money(text) is not None
        else f"not an amount: write 8 or 8.50, or {NO_CAP}"
    )
