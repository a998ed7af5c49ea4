"""Start runs and follow them: with a dashboard of its own, here with lines, or in the background."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from llmtop.cleaning import clean
from llmtop.config.input_format import STDIN
from llmtop.model import PUSD_PER_USD
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.entry import can_draw
from llmtop_tui.cli.printing import put, put_json, say
from llmtop_tui.figures import usd
from llmtop_tui.order import Order, become

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
    allow_code: bool = False
    metrics_port: int | None = None


def start(common: Common, configs: Sequence[RunConfig], how: Start) -> int:
    """Start the runs; return the exit code over all of them."""
    import asyncio

    from llmtop.control.spawning import RunOptions

    display = how.display or default_display(common)
    if how.metrics_port is not None:
        from llmtop.control.metrics import require_library

        require_library()
    if not (how.is_yes or display == "json" or is_affordable(configs, allow_code=how.allow_code)):
        say("llmtop: nothing was sent")
        return CANCELLED
    options = RunOptions(
        how.resume, how.is_fresh, how.is_yes, how.is_exit_zero, how.allow_code, how.metrics_port
    )
    if how.is_detached:
        return asyncio.run(_detach(common, configs, options))
    if display == "full":
        order = asyncio.run(_spawn(common, configs, options, is_slow=how.is_slow))
        become(order)
    from llmtop_tui.cli.following import run_here

    return run_here(common, configs, options, display)


def default_display(common: Common) -> Display:
    """Return full on a terminal that can draw, json where JSON is wanted, else plain."""
    if common.is_json:
        return "json"
    return "full" if can_draw(os.environ) else "plain"


def is_affordable(configs: Sequence[RunConfig], *, allow_code: bool = False) -> bool:
    """Return whether to go on: asks once, on a terminal, when a run without a cap looks expensive."""
    capless = [each for each in configs if each.budget.max_cost is None and each.provider.kind != "simulator"]
    if not capless or not (os.isatty(0) and os.isatty(2)):
        return True
    from llmtop.control.launch import plan_of

    expected = plan_of(capless, allow_code=allow_code)[
        -1
    ].realtime_pusd  # the last one is that of all together
    if expected is None or expected <= ASK_FROM_PUSD:
        return True
    sys.stderr.write(f"This may cost about {usd(expected)}, and no cap is set (--max-cost). Go on? [y/N] ")
    sys.stderr.flush()
    with contextlib.suppress(EOFError):
        return input().strip().lower() in ("y", "yes")
    return False


async def _spawn(
    common: Common, configs: Sequence[RunConfig], options: RunOptions, *, is_slow: bool
) -> Order:
    """Start an engine in a session of its own; return what the viewer is to show.

    What is wrong before the input is read is raised here: a message, and no screen. While a long input
    is read the screen is there already.
    """
    from llmtop.control.spawning import Beginning, begin_engine, spawn_engine

    home = common.home()
    if len(configs) == 1 and not (configs[0].input.path == STDIN and os.isatty(0)):
        engine = await begin_engine(home, configs, options)
    else:
        engine = await spawn_engine(home, configs, options)
    if isinstance(engine, Beginning):
        return Order(
            str(home.folder),
            engine_pid=engine.pid,
            words_fd=engine.words_fd,
            heard=engine.heard,
            name=configs[0].name,
            part=engine.part,
            exit_zero=options.exit_zero,
            is_slow=is_slow,
        )
    for notice in engine.notices:
        say(notice)
    only = engine.run_ids[0] if len(engine.run_ids) == 1 else None
    return Order(
        str(home.folder), only, engine.run_ids, engine.pid, exit_zero=options.exit_zero, is_slow=is_slow
    )


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
