"""What a key asks of the run: from an action and a snapshot to a command, a question or a refusal.

Pure: the clock and the door are elsewhere. A wish is not a fact: it lives here until a snapshot
that is new enough shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llmtop.model import Acknowledgement, CommandVerb
from llmtop.snapshot import Snapshot
from llmtop_tui.dialogs import Question, confirm
from llmtop_tui.panels.words import knob
from llmtop_tui.proposals import Proposal, cap_question, hold
from llmtop_tui.settings import current, number

UNDO_DEPTH = 20
_PAUSED = frozenset({"pausing", "paused", "budget", "refused"})
RATE_KEYS = ("requests_per_second", "requests_per_minute")


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
            return hold(snapshot)
        if action.startswith("conc_"):
            return self._concurrency(action, snapshot)
        if action.startswith("rate_"):
            return self._rate(1.1 if action == "rate_up" else 1 / 1.1, snapshot)
        if action.startswith("pack_"):
            return self._pack(1 if action == "pack_up" else -1, snapshot)
        if action == "tuner":
            return self._tuner(snapshot)
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

    def _tuner(self, snapshot: Snapshot) -> Proposal:
        """Off when it is on, else on; what was set by hand goes back to it first."""
        is_on = self.wanted().get("tuner", "on" if snapshot.tuner.is_on else "off") == "on"
        if is_on and any(each.is_pinned for each in snapshot.tuner.knobs):
            return replace(self.set({"tuner": "on"}, snapshot), undo=None)
        return self.set({"tuner": "off" if is_on else "on"}, snapshot)

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

    def _pack(self, step: int, snapshot: Snapshot) -> Proposal | str:
        now = number(self.wanted().get("items_per_request") or current(snapshot, "items_per_request"))
        now = 1.0 if now is None else now  # what is not reported is not packed
        if now + step < 1:
            return "items per request is 1: it cannot be less"
        return self.set({"items_per_request": f"{now + step:.0f}"}, snapshot, is_repeatable=True)

    def _rate(self, factor: float, snapshot: Snapshot) -> Proposal | str:
        for name in RATE_KEYS:
            now = number(self.wanted().get(name) or current(snapshot, name))
            if now:
                return self.set({name: f"{float(f'{now * factor:.3g}'):g}"}, snapshot, is_repeatable=True)
        return "no request rate is set; `:set requests_per_second=2` sets one"

    def _question(self, key: str, value: str, snapshot: Snapshot) -> Question | None:
        if key == "max_cost":
            return cap_question(value, snapshot)
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
