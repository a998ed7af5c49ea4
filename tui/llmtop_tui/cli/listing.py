"""`llmtop runs` and `llmtop show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmtop.cleaning import clean
from llmtop_tui.cli.common import Common
from llmtop_tui.cli.doors import RunArgument, with_door
from llmtop_tui.cli.failing import Failures, tell
from llmtop_tui.cli.printing import Column, put, put_json, put_json_list, say, table, terminal_width
from llmtop_tui.figures import date_and_clock, usd, usd_exact, utc
from llmtop_tui.format import UNKNOWN, count, done_percent

if TYPE_CHECKING:
    from llmtop.control.protocol import RunDoor
    from llmtop.snapshot import RunLine

_COLUMNS = (
    Column("RUN", least=12),
    Column("NAME", least=8),
    Column("STATE"),
    Column("ITEMS", "right"),
    Column("DONE", "right"),
    Column("REJ", "right"),
    Column("FAIL", "right"),
    Column("COST", "right"),
    Column("STARTED"),
    Column("ENGINE"),
    Column("MODEL", least=5),
)


def runs(common: Common) -> int:
    """List the runs in the state folder, newest first."""
    home = common.home()
    lines = home.runs()
    code = 0
    if home.faults:
        code = tell(Failures(home.faults), is_json=common.is_json, is_debug=False)
    if common.is_json:
        put_json_list(_as_object(line) for line in lines)
        return code
    if not lines:
        if not home.faults:
            say("no runs in this state folder; `llmtop demo` shows one, `llmtop init` writes a config")
        return code
    for text in table(_COLUMNS, [_row(line) for line in lines], terminal_width()):
        put(text)
    return code


def _row(line: RunLine) -> tuple[str, ...]:
    counts = line.counts
    return (
        clean(line.run_id),
        clean(line.name),
        line.state,
        count(counts.total),
        done_percent(counts.done, counts.total),
        count(counts.rejected),
        count(counts.failed),
        usd(line.cost_pusd, is_at_least=line.is_cost_at_least),
        date_and_clock(line.created_at),
        UNKNOWN if line.pid is None else f"pid {line.pid}",
        clean(line.model) or UNKNOWN,
    )


def _as_object(line: RunLine) -> dict[str, Any]:
    counts = line.counts
    return {
        "run_id": line.run_id,
        "name": line.name,
        "state": line.state,
        "items": counts.total,
        "counts": {
            "done": counts.done,
            "rejected": counts.rejected,
            "failed": counts.failed,
            "pending": counts.pending,
        },
        "cost_usd": usd_exact(line.cost_pusd),
        "cost_is_at_least": line.is_cost_at_least,
        "created_at": utc(line.created_at),
        "pid": line.pid,
        "model": line.model,
    }


def show(common: Common, run: RunArgument) -> None:
    """Show one run: counts, cost, limits, settings.

    Each effective setting with where it came from, and the last decisions with their reasons.
    """
    with_door(common, run, lambda door: _show(common, door))


async def _show(common: Common, door: RunDoor) -> None:
    from llmtop.control.settings import settings_of
    from llmtop_tui.cli.showing import as_object, lines

    settings = settings_of(common.home().run_folder(door.run_id))
    snapshot = await door.snapshot()
    decisions = await door.decisions(20)
    if common.is_json:
        put_json(as_object(snapshot, decisions, settings))
        return
    for line in lines(snapshot, decisions, settings):
        put(line)
