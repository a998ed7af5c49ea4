"""`llmtop attach`, and `llmtop` alone: look at runs whose engines live elsewhere, or that are over."""

from __future__ import annotations

from typing import Annotated

import typer

from llmtop.control.protocol import RunDoor
from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import complete_run, with_door
from llmtop_tui.cli.listing import runs
from llmtop_tui.cli.starting import DisplayOption, can_draw, default_display


def attach(
    common: Common,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="Default: latest.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ] = "latest",
    display: DisplayOption = None,
    read_only: Annotated[bool, option("--read-only", help="Look only: the control keys do nothing.")] = False,
) -> int:
    """Look at a run whose engine lives in another process.

    The full dashboard; any number of viewers. Ctrl-C leaves the viewer only.
    """
    shown = display or default_display(common)
    if shown == "none":
        raise UsageError("--display", "none shows nothing to attach to", "Use full, plain or json")
    if shown == "full":
        if not can_draw():
            raise UsageError(
                "--display", "full needs a terminal", "Use --display plain or json, or `llmtop show`"
            )
        return with_door(common, run, lambda door: _watch(door, is_read_only=read_only))
    from llmtop_tui.cli.following import follow_elsewhere

    home = common.home()
    is_live = home.owner_pid(home.resolve(run).run_id) is not None
    return with_door(common, run, lambda door: follow_elsewhere(door, shown, is_live=is_live))


async def _watch(door: RunDoor, *, is_read_only: bool) -> int:
    from llmtop_tui.app import ViewOptions, watch

    await watch(door, ViewOptions(is_read_only=is_read_only))
    return 0


def browse_all(common: Common) -> int | None:
    """The dashboard over every run in the state folder; without a terminal the list of them."""
    if common.is_json or not can_draw():
        return runs(common)
    import asyncio

    from llmtop_tui.app import ViewOptions, browse

    asyncio.run(browse(common.home(), ViewOptions()))
    return 0
