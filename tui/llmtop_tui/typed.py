"""What a line typed after `:` does on a screen of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmtop.errors import LlmtopError
from llmtop_tui import command_line
from llmtop_tui.dialogs import confirm
from llmtop_tui.ink import said
from llmtop_tui.proposals import ASKED_FROM, Proposal, cancel_job, look_up

if TYPE_CHECKING:
    from llmtop_tui.screens.run_screen import RunScreen


def obey(screen: RunScreen, text: str) -> None:
    """Do what was typed, or say what is wrong with it."""
    words = command_line.parse(text)
    snapshot = screen.session.snapshot
    if words.fault:
        screen.say(words.fault, "warn")
    elif words.settings:
        if screen.may_steer() and snapshot is not None:
            screen.perform(screen.session.steering.set(dict(words.settings), snapshot))
    elif words.action in {"drain", "now", "cancel"}:
        if screen.may_steer():
            screen.end(words.action)
    elif " " in words.action:
        verb, _, rest = words.action.partition(" ")
        _OF_SOMETHING[verb](screen, rest)
    elif words.action == "resume" and snapshot is not None:
        if not screen.session.scene().is_live:
            screen.action_do("resume_run")
        elif screen.may_steer():
            screen.session.perform(Proposal("resume", None, (("state", "resume"),)))
    elif words.action:
        screen.action_do(words.action)


def _retry(screen: RunScreen, which: str) -> None:
    """Put all failed or all rejected items back; asks over 100."""
    snapshot = screen.session.snapshot
    if screen.session.options.is_read_only or snapshot is None:
        screen.say("read-only: this viewer cannot change the run", "warn")
        return
    number = snapshot.counts.failed if which == "failed" else snapshot.counts.rejected
    question = None
    if number > ASKED_FROM:
        question = confirm(
            f"Ask {number:,} {which} items again?",
            "They go back to the queue, and are sent and paid again.",
            yes="ask them again",
            no="leave them",
        )
    screen.perform(Proposal("retry", {which: True}, (), question))


def _job(screen: RunScreen, wish: str) -> None:
    """Cancel a batch job, or look at it; it is named as in the shell: by number, id or tag."""
    what, _, name = wish.partition(" ")
    rows = screen.session.snapshot.rows if screen.session.snapshot is not None else ()
    jobs = ((row, row.job) for row in rows if row.job is not None)
    found = next((row for row, job in jobs if name in (str(job.number), job.batch_id, job.tag)), None)
    if not screen.may_steer():
        return
    if found is None:
        screen.say(f"no such batch job: {said(name, 60)}; `:batches` lists them", "warn")
    else:
        screen.steer_job(found, cancel_job if what == "cancel" else look_up)


def _export(screen: RunScreen, path: str) -> None:
    """Write the results so far into a file; by its name CSV, else lines of JSON."""
    home = screen.session.options.home
    run_id = screen.session.door.run_id
    if home is None or not path:
        screen.say("write :export FILE; .csv gives a table, anything else lines of JSON", "warn")
        return
    folder = home.run_folder(run_id)

    async def work() -> None:
        from llmtop.control.exporting import export_run  # for whoever exports

        try:
            count, where = await asyncio.to_thread(export_run, folder, path)
        except (LlmtopError, OSError) as error:
            screen.say(f"not exported: {said(error, 200)}", "warn")
        else:
            screen.say(f"exported {count:,} results to {said(where, 120)}   llmtop export {said(run_id)}")

    screen.app.spawn(work())  # type: ignore[attr-defined]


_OF_SOMETHING: dict[str, Callable[[RunScreen, str], None]] = {
    "retry": _retry,
    "export": _export,
    "batches": _job,
}
