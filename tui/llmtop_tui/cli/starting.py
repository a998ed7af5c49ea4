"""Start runs and follow them: with a dashboard of its own, here with lines, or in the background."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from llmtop.cleaning import clean
from llmtop.model import PUSD_PER_USD
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.printing import put, put_json, say
from llmtop_tui.figures import usd

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig
    from llmtop.control.spawning import RunOptions

Display = Literal["full", "plain", "json", "none"]
DisplayOption = Annotated[
    Display | None,
    option("--display", help="How it shows. Default: full on a terminal, else plain; json with --json."),
]
SlowOption = Annotated[
    bool, option("--slow", help="The dashboard on a slow line: every 2 s, ASCII, no plot.")
]
ASK_FROM_PUSD = 10 * PUSD_PER_USD
CANCELLED = 8


@dataclass(frozen=True, slots=True)
class Start:
    """How runs are to be started and shown."""

    display: Display | None = None
    is_detached: bool = False
    resume: str | None = None
    is_fresh: bool = False
    is_yes: bool = False
    is_exit_zero: bool = False
    is_slow: bool = False


def start(common: Common, configs: Sequence[RunConfig], how: Start) -> int:
    """Start the runs; return the exit code over all of them."""
    import asyncio

    from llmtop.control.spawning import RunOptions

    display = how.display or default_display(common)
    if not (how.is_yes or display == "json" or is_affordable(configs)):
        say("llmtop: nothing was sent")
        return CANCELLED
    options = RunOptions(how.resume, how.is_fresh, how.is_yes, how.is_exit_zero)
    if how.is_detached:
        return asyncio.run(_detach(common, configs, options))
    if display == "full":
        from llmtop_tui.cli.watching import spawn_and_watch

        return asyncio.run(spawn_and_watch(common, configs, options, is_slow=how.is_slow))
    from llmtop_tui.cli.following import run_here

    return run_here(common, configs, options, display)


def default_display(common: Common) -> Display:
    """Return full on a terminal that can draw, json where JSON is wanted, else plain."""
    if common.is_json:
        return "json"
    return "full" if can_draw() else "plain"


def can_draw() -> bool:
    """Return whether there is a terminal on both sides that knows more than lines."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def is_affordable(configs: Sequence[RunConfig]) -> bool:
    """Return whether to go on: asks once, on a terminal, when a run without a cap looks expensive."""
    capless = [each for each in configs if each.budget.max_cost is None and each.provider.kind != "simulator"]
    if not capless or not (os.isatty(0) and os.isatty(2)):
        return True
    from llmtop.control.launch import plan_of

    expected = plan_of(capless)[-1].realtime_pusd  # the last one is that of all together
    if expected is None or expected <= ASK_FROM_PUSD:
        return True
    sys.stderr.write(f"This may cost about {usd(expected)}, and no cap is set (--max-cost). Go on? [y/N] ")
    sys.stderr.flush()
    with contextlib.suppress(EOFError):
        return input().strip().lower() in ("y", "yes")
    return False


async def _detach(common: Common, configs: Sequence[RunConfig], options: RunOptions) -> int:
    from llmtop.control.spawning import spawn_engine

    engine = await spawn_engine(common.home(), configs, options)
    for notice in engine.notices:
        say(notice)
    if common.is_json:
        first = engine.run_ids[0] if engine.run_ids else None
        put_json({"run_id": first, "run_ids": list(engine.run_ids), "pid": engine.pid})
        return 0
    for run_id in engine.run_ids:
        put(f"{clean(run_id)} pid {engine.pid}")
    return 0
