"""`llmtop batches`: the provider batch jobs of a run, and what can be done about one."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from llmtop.cleaning import clean
from llmtop.control.protocol import RunDoor
from llmtop.errors import UsageError
from llmtop.model import Acknowledgement, CommandVerb
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import RunArgument, ask, with_door
from llmtop_tui.cli.printing import Column, put, put_json, say, table, terminal_width
from llmtop_tui.figures import usd, usd_exact, utc
from llmtop_tui.format import age, count

if TYPE_CHECKING:
    from llmtop.control.jobs import JobLine

_COLUMNS = (
    Column("N", "right"),
    Column("JOB", least=14),
    Column("STATE"),
    Column("REQUESTS", "right"),
    Column("DONE", "right"),
    Column("FAILED", "right"),
    Column("AGE", "right"),
    Column("COST", "right"),
    Column("TIME LEFT"),
    Column("NOTE", least=10),
)
_MOMENTS = ("intended_at", "created_at", "polled_at", "ended_at", "expires_at", "results_until", "over_at")
_MOST_TEXT = 300


def batches(
    common: Common,
    run: RunArgument,
    cancel: Annotated[
        str | None,
        option("--cancel", metavar="JOB", help="End a job: what is done is kept, the rest asked again."),
    ] = None,
    look_up: Annotated[
        str | None,
        option("--look-up", metavar="JOB", help="Look at the provider again for a job that is held."),
    ] = None,
) -> None:
    """List a run's provider batch jobs: state, counts, age, cost, and when they expire.

    JOB is an id, a tag or a number of the list.
    """
    if cancel is not None and look_up is not None:
        raise UsageError("--cancel", "and --look-up are two commands", "Give one of them")
    if cancel is not None:
        _tell(common, run, "cancel_job", cancel)
    elif look_up is not None:
        _tell(common, run, "look_up", look_up)
    else:
        _list(common, run)


def _list(common: Common, run: str) -> None:
    from llmtop.control.jobs import job_lines

    lines = job_lines(common.home(), run, time.time())
    if common.is_json:
        put_json({"batches": [_as_object(line) for line in lines]})
        return
    if not lines:
        say('this run has no batch jobs; `execution.mode = "batch"` in a config makes some')
        return
    for text in table(_COLUMNS, [_row(line) for line in lines], terminal_width()):
        put(text)


def _row(line: JobLine) -> tuple[str, ...]:
    record = line.record
    return (
        str(record.number),
        clean(record.batch_id or record.tag, limit=_MOST_TEXT),
        record.state,
        count(record.requests),
        count(record.retrieved if record.is_over else record.done),
        count(record.failed),
        age(line.age_s),
        usd(record.cost_pusd if record.retrieved else None),
        line.countdown,
        clean(record.error or "", limit=_MOST_TEXT),
    )


def _as_object(line: JobLine) -> dict[str, Any]:
    values = asdict(line.record)
    for name in _MOMENTS:
        values[name] = utc(values[name])
    for name in ("reserved_pusd", "cost_pusd"):
        values[name.replace("_pusd", "_usd")] = usd_exact(values.pop(name))
    return {**values, "age_s": round(line.age_s, 3), "countdown": line.countdown}


def _tell(common: Common, run: str, verb: CommandVerb, job: str) -> None:
    async def tell(door: RunDoor) -> Acknowledgement:
        return await ask(door, verb, {"job": job})

    answer = with_door(common, run, tell)
    if common.is_json:
        put_json({"ok": answer.is_ok, "message": answer.message})
    else:
        put(clean(answer.message, limit=_MOST_TEXT))
