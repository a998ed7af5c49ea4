"""The dashboard as a viewer: on runs started now in an engine of their own, on one that lives, on all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmtop.cleaning import clean
from llmtop.control.protocol import RunDoor
from llmtop.snapshot import RunLine, Snapshot
from llmtop_tui.cli.common import Common
from llmtop_tui.cli.doors import origin
from llmtop_tui.cli.failing import SOME_ITEMS
from llmtop_tui.cli.printing import say
from llmtop_tui.lines import ENDED
from llmtop_tui.plain import summary

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig
    from llmtop.control.library import Home
    from llmtop.control.spawning import RunOptions
    from llmtop_tui.view import EndReason

_CODES = {"stopped": 130, "cancelled": 8, "failed": 1}
_WORST_FIRST = (1, 4, 5, 3, 6, 8, 143, 130, 7, 0)
"""Of several runs the worst ending is the command's; a run that goes on counts as 0."""
_LANDING_S = 15.0
"""How long a stop that was asked for here may take to be on disk."""
_LOOK_S = 0.1


async def watch_one(home: Home, ref: str, *, is_read_only: bool, is_slow: bool) -> int:
    """Look at a run whose engine lives elsewhere, or that is over. Raises UsageError for an unknown run."""
    from llmtop_tui.app import ViewOptions, watch

    door = _ahead(home, home.resolve(ref).run_id)
    await watch(door, ViewOptions(origin=origin(), is_read_only=is_read_only, is_slow=is_slow))
    return 0


def _ahead(home: Home, run_id: str) -> RunDoor:
    """Return a door that opens behind the first picture."""
    from llmtop.control.opening import RunAhead, open_run

    return RunAhead(run_id, lambda: open_run(home, run_id))


async def browse_home(home: Home, *, is_run_owner: bool = False, is_slow: bool = False) -> int:
    """Look at the list of runs, and into any of them."""
    from llmtop_tui.app import ViewOptions, browse

    async def list_runs() -> tuple[RunLine, ...]:
        return await asyncio.to_thread(home.runs)

    async def open_one(run_id: str) -> RunDoor:
        return _ahead(home, run_id)

    options = ViewOptions(origin=origin(), is_run_owner=is_run_owner, is_slow=is_slow)
    return await browse(list_runs, open_one, options)


async def spawn_and_watch(
    common: Common, configs: Sequence[RunConfig], options: RunOptions, *, is_slow: bool
) -> int:
    """Start an engine in a session of its own, look at it, and end with the runs' exit code.

    Whoever leaves while runs go on ends with 0, and is told how to come back.
    """
    from llmtop.control.spawning import spawn_engine
    from llmtop_tui.app import ViewOptions, watch

    home = common.home()
    engine = await spawn_engine(home, configs, options)
    for notice in engine.notices:
        say(notice)
    reason: EndReason = "left"
    if len(engine.run_ids) == 1:
        view = ViewOptions(origin=origin(), is_run_owner=True, is_slow=is_slow)
        reason = (await watch(_ahead(home, engine.run_ids[0]), view)).reason
    elif engine.run_ids:
        await browse_home(home, is_run_owner=True, is_slow=is_slow)
    codes = [await _end(home, run_id, reason) for run_id in engine.run_ids]
    code = next((code for code in _WORST_FIRST if code in codes), 0)
    return 0 if code == SOME_ITEMS and options.exit_zero else code


async def _end(home: Home, run_id: str, reason: EndReason) -> int:
    """Tell what a run came to, or how to get back to one that goes on; return its exit code."""
    snapshot = await _landed(home, run_id) if reason == "stopped" else await _look(home, run_id)
    code = exit_code_of(snapshot)
    if reason == "engine_gone" and code in (None, _CODES["stopped"]):
        say(f"llmtop: the engine of {clean(run_id)} is gone; what it accepted is kept, run it again")
        return 1
    if code is None:
        say(f"{clean(run_id)} goes on without a screen; `llmtop attach {clean(run_id)}` gets it back")
        return 0
    for line in summary(snapshot):
        say(line)
    return code


async def _landed(home: Home, run_id: str) -> Snapshot:
    """Wait for a stop to be done, as long as one may take."""
    for _ in range(int(_LANDING_S / _LOOK_S)):
        snapshot = await _look(home, run_id)
        if snapshot.state in ENDED:
            return snapshot
        await asyncio.sleep(_LOOK_S)
    return await _look(home, run_id)


async def _look(home: Home, run_id: str) -> Snapshot:
    from llmtop.control.opening import open_run

    door = await open_run(home, run_id)
    try:
        return await door.snapshot()
    finally:
        await door.close()


def exit_code_of(snapshot: Snapshot) -> int | None:
    """Return the code that a run ends `llmtop run` with; None while its engine goes on."""
    if snapshot.exit_code is not None:
        return snapshot.exit_code
    return _CODES.get(snapshot.state)
