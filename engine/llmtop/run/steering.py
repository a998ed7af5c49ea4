"""What an operator may ask of a live run, each command all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from llmtop.adapters.ledger import retry_choice
from llmtop.errors import LlmtopError
from llmtop.model import Acknowledgement, Change, Command, CommandVerb, Decision
from llmtop.policy.job_figures import state_words
from llmtop.policy.limiter import Cause
from llmtop.run.knobs import KNOBS, BadKnob, read_knob
from llmtop.submit.realtime import RealtimeSubmitter

if TYPE_CHECKING:
    from llmtop.run.run import Run

_PATIENCE_S = 5.0
"""How long a cancelled run waits for its batch jobs to end; whoever asked for it waits too."""


async def steer(run: Run, command: Command) -> Acknowledgement:
    """Do it, or refuse it with the reason; a refusal changes nothing."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        return _no(f"unknown command {command.verb[:40]!r}")
    if command.is_dry_run and command.verb not in ("set", "retry"):
        return _no(f"{command.verb} has no dry run")
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
    if standing.fault is not None:
        return _no(f"{run.name} cannot go on here ({standing.fault}); start it again")
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
    in_flight, old = len(run.parts.submitter.flights), _word(run)
    run.standing.is_cancelled = True
    submitter = run.parts.submitter
    patience_s = min(run.config.execution.stop_grace, _PATIENCE_S)
    jobs, left = 0, 0
    if not isinstance(submitter, RealtimeSubmitter):
        jobs, left = await submitter.end_all(patience_s)
    submitter.stop()
    submitter.abort()
    words = f"cancel: {run.counts.finished:,} results kept, {in_flight} in flight broken off"
    words += f", {jobs} batch jobs ended at the provider" if jobs else ""
    words += f" ({left} still ending: --resume {run.id} fetches what they had done)" if left else ""
    _state_changed(run, command, old, "cancelled", words)
    return _yes(words, Change("state", old, "cancelled"))


async def _stop(run: Run, command: Command) -> Acknowledgement:
    if run.standing.phase == "ended":
        return _no(f"{run.name} has ended: {run.standing.end}")
    in_flight, old = len(run.parts.submitter.flights), _word(run)
    if command.verb == "stop":
        words, new = f"stop: {in_flight} in flight land", "stopping"
        run.stop()
    else:
        words, new = f"stop now: {in_flight} in flight put back", "stopped"
        run.stop_now()
    _state_changed(run, command, old, new, words)
    return _yes(words, Change("state", old, new))


async def _retry(run: Run, command: Command) -> Acknowledgement:
    values = command.values or {}
    asked = values.get("ids") or []
    if not isinstance(asked, list | tuple) or not all(isinstance(each, str) for each in asked):
        return _no("ids must be a list of item ids")
    if not (values.get("failed") or values.get("rejected") or asked):
        return _no("say what to ask again: --failed, --rejected or --item ID")
    if run.standing.fault is not None:
        return _no(f"{run.name} cannot go on here ({run.standing.fault}); start it again")
    statuses, ids = retry_choice(values)
    if command.is_dry_run:
        return _yes(f"would ask again: {', '.join(ids or statuses)}")
    taken = await asyncio.wrap_future(run.ledger.requeue_soon(statuses, ids))
    old, new = str(run.counts.pending), str(run.counts.pending + taken.total)
    words = f"retry: {taken.total:,} items back in the queue"
    if taken.total:
        run.decided(Decision(run.wall(), "retry", old, new, words, command.origin))
        run.put_back(taken)
    return _yes(words, Change("pending", old, new))


async def _set(run: Run, command: Command) -> Acknowledgement:
    """Change settings: every value is checked before the first is applied."""
    values: Mapping[str, Any] = command.values or {}
    if not values:
        return _no(f"say what to set: {', '.join(KNOBS)}")
    faults: list[str] = []
    if {"requests_per_second", "requests_per_minute"} <= values.keys():
        faults.append("requests_per_second and requests_per_minute are the same limit: give one of them")
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
        for change, apply in planned:
            apply()
            run.set_by[_SAME.get(change.key, change.key)] = (command.origin, run.wall())
    said = ", ".join(f"{change.key} {change.old} -> {change.new}" for change in changes)
    return _yes(("would set " if command.is_dry_run else "set ") + said, *changes)


async def _job(run: Run, command: Command) -> Acknowledgement:
    """Cancel a batch job, look at it now, or look for it again where its creation is uncertain."""
    name = str((command.values or {}).get("job", ""))
    batches = run.parts.batches
    job = batches.find(name) if batches is not None else None
    if batches is None or job is None:
        rows = "" if batches is None else ", ".join(batches.open_rows()[:5])
        there_are = f"open: {rows}" if rows else "none is open"
        return _no(f"{run.name} has no open batch job {name[:80]!r}; {there_are}")
    if command.verb == "cancel_job":
        if job.record.batch_id is None:
            return _no(f"{job.name} is not known at the provider yet")
        if job.record.ended_at is not None or job.record.state == "cancelling":
            return _no(f"{job.name} is {state_words(job.record.state)} already")
        batches.cancel(job)
        return _yes(f"cancel job {job.record.number}: what is done is kept")
    if job.is_held:
        batches.look_up(job)
        run.unhalt()
        return _yes(f"look up job {job.record.number} again", Change("job", "held", "intent"))
    if job.record.batch_id is None:
        return _no(f"{job.name} is being created, and looked for already")
    if job.record.ended_at is not None:
        return _no(f"{job.name} has ended: its results are being fetched")
    batches.look_up(job)
    return _yes(f"look at job {job.record.number} now")


_VERBS: dict[CommandVerb, Callable[[Run, Command], Awaitable[Acknowledgement]]] = {
    "pause": _pause,
    "hold": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "stop": _stop,
    "stop_now": _stop,
    "retry": _retry,
    "set": _set,
    "cancel_job": _job,
    "look_up": _job,
}


def _word(run: Run) -> str:
    return run.standing.word(in_flight=len(run.parts.submitter.flights), is_held=False)


def _state_changed(run: Run, command: Command, old: str, new: str, why: str) -> None:
    run.decided(Decision(run.wall(), "state", old, new, why, command.origin))
    run.save()


_SAME = {"requests_per_minute": "requests_per_second"}


def _yes(message: str, *changes: Change) -> Acknowledgement:
    return Acknowledgement(True, message, changes)


def _no(message: str) -> Acknowledgement:
    return Acknowledgement(False, message)
