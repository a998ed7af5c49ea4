"""`llmtop attach`, and `llmtop` alone: look at runs whose engines live elsewhere, or that are over."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import complete_run, with_door
from llmtop_tui.cli.entry import can_draw
from llmtop_tui.cli.listing import runs
from llmtop_tui.cli.starting import DisplayOption, SlowOption, default_display
from llmtop_tui.order import Order, become


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
    slow: SlowOption = False,
) -> int:
    """Look at a run whose engine lives in another process.

    The full dashboard; any number of viewers. Ctrl-C leaves the viewer only.
    """
    shown = display or default_display(common)
    if shown == "none":
        raise UsageError("--display", "none shows nothing to attach to", "Use full, plain or json")
    if shown == "full":
        if not can_draw(os.environ):
            raise UsageError("--display", "full needs a terminal", "Use --display plain or json")
        become(Order(folder_of(common), run, is_read_only=read_only, is_slow=slow))
    from llmtop_tui.cli.following import follow_elsewhere

    home = common.home()
    found = home.resolve(run)
    is_live = home.owner_pid(found.run_id) is not None
    return with_door(
        common, found.run_id, lambda door: follow_elsewhere(door, found.folder, shown, is_live=is_live)
    )


def browse_all(common: Common) -> int:
    """The dashboard over every run in the state folder; without a terminal the list of them."""
    if not common.is_json and can_draw(os.environ):
        become(Order(folder_of(common)))
    return runs(common)


def folder_of(common: Common) -> str | None:
    """Return the state folder that was named, for an order to the viewer."""
    return str(common.home_path) if common.home_path is not None else None
