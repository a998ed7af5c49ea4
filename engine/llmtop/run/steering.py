"""What an operator may ask of a live run, each command all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from llmtop.errors import LlmtopError
from llmtop.model import Acknowledgement, Change, Command, CommandVerb, Decision, ItemStatus
from llmtop.policy.limiter import Cause
from llmtop.run.knobs import KNOBS, BadKnob, read_knob

if TYPE_CHECKING:
    from llmtop.run.run import Run


async def steer(run: Run, command: Command) -> Acknowledgement:
    """Do it, or refuse it with the reason; a refusal changes nothing."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        return _no(f"unknown command {command.verb!r}")
    try:
        return await verb(run, command)
    except LlmtopError as error:
        return _no(str(error))


async def _pause(run: Run, command: Command) -> Acknowledgement:
    if run.standing.phase != "running":
        return _no(f"{run.name} is not running")
    if run.standing.is_paused and command.verb == "pause":
        return _no("already paused")
    in_flight = len(run.parts.submitter.flights)
    run.standing.is_paused = True
    run.parts.line.block(Cause.PAUSE)
    if command.verb == "hold":
        run.parts.submitter.abort()
        words = f"hold: {in_flight} in flight put back"
    else:
        words = f"pause: {in_flight} in flight land"
    _state_changed(run, command, "running", "paused", words)
    return _yes(words, Change("state", "running", "paused"))


async def _resume(run: Run, command: Command) -> Acknowledgement:
    standing = run.standing
    if standing.phase == "ended":
        if not run.counts.pending:
            return _no(f"{run.name} is finished: nothing is left to do")
        standing.is_paused = False
        run.restart()
        _state_changed(run, command, standing.end, "running", "resume")
        return _yes("resume", Change("state", standing.end, "running"))
    if not standing.is_paused and standing.halt is None:
        return _no("not paused")
    old = "paused" if standing.halt is None else standing.halt.reason
    standing.is_paused = False
    run.unhalt()
    _state_changed(run, command, old, "running", "resume")
    return _yes("resume", Change("state", old, "running"))


async def _cancel(run: Run, command: Command) -> Acknowledgement:
    if run.standing.phase == "ended":
        return _no(f"{run.name} has ended: {run.standing.end}")
    in_flight = len(run.parts.submitter.flights)
    run.standing.is_cancelled = True
    run.parts.submitter.stop()
    run.parts.submitter.abort()
    words = f"cancel: {run.counts.finished:,} results kept, {in_flight} in flight broken off"
    _state_changed(run, command, "running", "cancelled", words)
    return _yes(words, Change("state", "running", "cancelled"))


async def _stop(run: Run, command: Command) -> Acknowledgement:
    if run.standing.phase == "ended":
        return _no(f"{run.name} has ended: {run.standing.end}")
    in_flight = len(run.parts.submitter.flights)
    if command.verb == "stop":
        run.stop()
        return _yes(f"stop: {in_flight} in flight land", Change("state", "running", "stopping"))
    run.stop_now()
    return _yes(f"stop now: {in_flight} in flight put back", Change("state", "running", "stopped"))


async def _retry(run: Run, command: Command) -> Acknowledgement:
    values = command.values or {}
    ids = values.get("ids")
    statuses: list[ItemStatus] = [status for status in ("failed", "rejected") if values.get(status)]
    if not statuses and not ids:
        return _no("say what to ask again: --failed, --rejected or --item ID")
    wanted = statuses or ["done", "failed", "rejected"]
    if command.is_dry_run:
        return _yes(f"retry {', '.join(ids or statuses)}")
    taken = await asyncio.wrap_future(run.ledger.requeue_soon(wanted, ids))
    if taken.total:
        run.put_back(taken)
    return _yes(
        f"retry: {taken.total:,} items back in the queue", Change("pending", "", str(run.counts.pending))
    )


async def _set(run: Run, command: Command) -> Acknowledgement:
    """Change settings: every value is checked before the first is applied."""
    values: Mapping[str, Any] = command.values or {}
    if not values:
        return _no(f"say what to set: {', '.join(KNOBS)}")
    faults: list[str] = []
    planned: list[tuple[Change, Callable[[], None]]] = []
    for key, text in values.items():
        try:
            planned.append(read_knob(run, key, str(text), command.origin))
        except BadKnob as fault:
            faults.append(str(fault))
    if faults:
        return _no("; ".join(faults))
    changes = tuple(change for change, _ in planned)
    if not command.is_dry_run:
        for _, apply in planned:
            apply()
    said = ", ".join(f"{change.key} {change.old} -> {change.new}" for change in changes)
    return _yes(("would set " if command.is_dry_run else "set ") + said, *changes)


_VERBS: dict[CommandVerb, Callable[[Run, Command], Awaitable[Acknowledgement]]] = {
    "pause": _pause,
    "hold": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "stop": _stop,
    "stop_now": _stop,
    "retry": _retry,
    "set": _set,
}


def _state_changed(run: Run, command: Command, old: str, new: str, why: str) -> None:
    run.decided(Decision(run.wall(), "state", old, new, why, command.origin))
    run.save()


def _yes(message: str, *changes: Change) -> Acknowledgement:
    return Acknowledgement(True, message, changes)


def _no(message: str) -> Acknowledgement:
    return Acknowledgement(False, message)
