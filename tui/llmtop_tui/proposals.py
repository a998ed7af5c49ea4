"""What may be asked of the engine, with the questions that go before it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmtop.model import CommandVerb
from llmtop.snapshot import FlightRow, Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.dialogs import Question, confirm
from llmtop_tui.ink import said
from llmtop_tui.panels.words import open_jobs
from llmtop_tui.settings import NO_CAP, parse_money

JOB_ACTIONS = frozenset({"cancel_job", "look_up"})
"""Keys that ask something of one batch job."""
ASKED_FROM = 100
"""Items that are asked again without a question."""


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


def again(ids: Sequence[str], what: str = "") -> Proposal:
    """Put items back in the queue; asks when there are many: they are paid again."""
    question = None
    if len(ids) > ASKED_FROM:
        question = confirm(
            f"Ask {fmt.count(len(ids))} items again?",
            f"{what or 'They'} go back to the queue, and are sent and paid again.",
            yes="ask them again",
            no="leave them",
        )
    return Proposal("retry", {"ids": list(ids)}, (), question)


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
    jobs = open_jobs(snapshot)
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


def cancel_job(row: FlightRow) -> Proposal | str:
    """End one batch job at the provider: asks with the numbers, for what is done is paid."""
    job = row.job
    if job is None:
        return "this row is no batch job of the provider"
    name = said(row.key, 20)
    if job.over_at is not None or job.ended_at is not None:
        return f"{name} has ended: there is nothing to cancel"
    done = row.items_done
    left = max(row.items - done, 0)
    paid = "" if job.at_most_pusd is None else f", {fmt.money(job.at_most_pusd)} at most"
    saved = fmt.money(job.reserved_pusd - (job.at_most_pusd or 0)) if job.reserved_pusd else ""
    ask = confirm(
        f"Cancel batch job {name}?",
        f"{fmt.count(done)} of {fmt.count(row.items)} items are done: they are kept, and paid{paid}.",
        f"The other {fmt.count(left)} are asked again, in a later job or in realtime"
        f"{f'; {saved} is set aside for them' if saved else ''}.",
        yes="cancel it at the provider",
        no="let it go on",
    )
    return Proposal("cancel_job", {"job": str(job.number)}, ((f"job:{job.number}", "cancel"),), ask)


def look_up(row: FlightRow) -> Proposal | str:
    """Look at a batch job now; for a held one again."""
    job = row.job
    if job is None:
        return "this row is no batch job of the provider"
    if job.over_at is not None:
        return f"{said(row.key, 20)} is over: its results are here"
    return Proposal("look_up", {"job": str(job.number)}, ((f"job:{job.number}", "look"),))


def hold(snapshot: Snapshot) -> Proposal | str:
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


def cap_question(value: str, snapshot: Snapshot) -> Question | None:
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
