"""`llmtop batches`: the provider batch jobs of a run, and what can be done about one."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from llmtop_tui.format import age, clock_span, count, three

if TYPE_CHECKING:
    from llmtop.control.jobs import JobLine

_WIDE_FROM = 120
_COLUMNS = (
    Column("N", "right"),
    Column("JOB", least=8),
    Column("STATE"),
    Column("ITEMS", "right"),
    Column("DONE", "right"),
    Column("FAILED", "right"),
    Column("AGE", "right"),
    Column("/MIN", "right"),
    Column("ETA", "right"),
    Column("COST", "right"),
    Column("FULL", "right"),
    Column("SAVED", "right"),
    Column("TIME LEFT"),
    Column("NOTE", least=10),
)
_NOT_NARROW = frozenset({"/MIN", "FULL", "SAVED", "NOTE"})
_MOMENTS = (
    *("intended_at", "uploaded_at", "created_at", "polled_at", "ended_at", "expires_at"),
    *("results_until", "over_at"),
)
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
        option("--look-up", metavar="JOB", help="Look at a job now; one that is held is looked for again."),
    ] = None,
) -> None:
    """List a run's provider batch jobs: state, counts, pace, cost against full price, time left.

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
    width = terminal_width()
    is_wide = width is None or width >= _WIDE_FROM
    places = [at for at, column in enumerate(_COLUMNS) if is_wide or column.head not in _NOT_NARROW]
    rows = [_row(line) for line in lines]
    for text in table([_COLUMNS[at] for at in places], [[row[at] for at in places] for row in rows], width):
        put(text)
    put(_total(lines))


def _row(line: JobLine) -> tuple[str, ...]:
    record, job = line.record, line.job
    return (
        str(record.number),
        clean(record.batch_id or record.tag, limit=_MOST_TEXT),
        line.row.state,
        count(record.items),
        count(line.row.items_done if record.done is not None or record.is_over else None),
        count(record.failed),
        age(line.age_s),
        three(job.per_min),
        clock_span(job.eta_s),
        usd(line.row.cost_pusd),
        usd(job.full_pusd),
        usd(_saved_pusd(line)),
        line.countdown,
        clean(line.row.note, limit=_MOST_TEXT),
    )


def _saved_pusd(line: JobLine) -> int | None:
    full, cost = line.job.full_pusd, line.row.cost_pusd
    return None if full is None or cost is None else full - cost


def _total(lines: Sequence[JobLine]) -> str:
    """All of them in one sentence: open, over, cost against the full price."""
    is_open = [line for line in lines if not line.record.is_over]
    cost = sum(line.record.cost_pusd for line in lines)
    saved = [_saved_pusd(line) for line in lines if line.row.cost_pusd is not None]
    words = f"{len(is_open)} open, {len(lines) - len(is_open)} over; cost {usd(cost)}"
    known = [each for each in saved if each is not None]
    if not known or len(known) < len(saved):
        return words
    return f"{words} of {usd(cost + sum(known))} at full price, saved {usd(sum(known))}"


def _as_object(line: JobLine) -> dict[str, Any]:
    values = asdict(line.record)
    for name in _MOMENTS:
        values[name] = utc(values[name])
    for name in ("reserved_pusd", "cost_pusd"):
        values[name.replace("_pusd", "_usd")] = usd_exact(values.pop(name))
    job = line.job
    return {
        **values,
        "age_s": round(line.age_s, 3),
        "per_min": None if job.per_min is None else round(job.per_min, 3),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 3),
        "full_price_usd": usd_exact(job.full_pusd),
        "saved_usd": usd_exact(_saved_pusd(line)),
        "at_most_usd": usd_exact(job.at_most_pusd),
        "countdown": line.countdown,
        "note": line.row.note,
    }


def _tell(common: Common, run: str, verb: CommandVerb, job: str) -> None:
    async def tell(door: RunDoor) -> Acknowledgement:
        return await ask(door, verb, {"job": job})

    answer = with_door(common, run, tell)
    if common.is_json:
        put_json({"ok": answer.is_ok, "message": answer.message})
    else:
        put(clean(answer.message, limit=_MOST_TEXT))
