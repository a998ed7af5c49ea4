"""The dashboard as a viewer: on runs started now in an engine of their own, on one that lives, on all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmtop.cleaning import clean
from llmtop.snapshot import Snapshot
from llmtop_tui.cli.common import Common
from llmtop_tui.cli.printing import say
from llmtop_tui.plain import summary

if TYPE_CHECKING:
    from llmtop.control.launch import RunOptions

    from llmtop.config.schema import RunConfig

_ENDED = {"stopped": 130, "cancelled": 8, "failed": 1}
_WORST_FIRST = (1, 4, 5, 3, 2, 6, 143, 130, 8, 7, 0)
"""Of several runs the worst ending is the command's; a run that goes on counts as 0."""


def spawn_and_watch(common: Common, configs: Sequence[RunConfig], options: RunOptions) -> int:
    """Start an engine in a session of its own, look at it, and end with the runs' exit code.

    Whoever leaves while runs go on ends with 0, and is told how to come back.
    """
    return asyncio.run(_spawn_and_watch(common, configs, options))


async def _spawn_and_watch(common: Common, configs: Sequence[RunConfig], options: RunOptions) -> int:
    from llmtop.control.launch import open_run, spawn_engine

    from llmtop_tui.app import ViewOptions, browse, watch

    home = common.home()
    engine = await spawn_engine(home, configs, options)
    for notice in engine.notices:
        say(notice)
    if len(engine.run_ids) == 1:
        door = await open_run(home, engine.run_ids[0])
        try:
            await watch(door, ViewOptions())
        finally:
            await door.close()
    elif engine.run_ids:
        await browse(home, ViewOptions())
    return await _end(common, engine.run_ids)


async def _end(common: Common, run_ids: Sequence[str]) -> int:
    """Tell what the runs came to, or how to get back to those that go on; return the exit code."""
    codes = [await _end_of(common, run_id) for run_id in run_ids]
    return next((code for code in _WORST_FIRST if code in codes), max(codes, default=0))


async def _end_of(common: Common, run_id: str) -> int:
    from llmtop.control.launch import open_run

    door = await open_run(common.home(), run_id)
    try:
        snapshot = await door.snapshot()
    finally:
        await door.close()
    code = exit_code_of(snapshot)
    if code is None:
        say(f"{clean(run_id)} goes on without a screen; `llmtop attach {clean(run_id)}` gets it back")
        return 0
    for line in summary(snapshot):
        say(line)
    return code


def exit_code_of(snapshot: Snapshot) -> int | None:
    """Return the code that a run ends `llmtop run` with; None while its engine goes on."""
    if snapshot.exit_code is not None:
        return snapshot.exit_code
    return _ENDED.get(snapshot.state)
