"""Builds the commands.

Only what every command needs is imported here; Textual, the engine and the price table are
imported by the commands that use them, so that `llmtop runs` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from llmtop import __version__
from llmtop_tui.cli import (
    batches,
    cache,
    compare,
    export,
    filters,
    init,
    items,
    listing,
    plan,
    run,
    simulate,
    steering,
    viewing,
)
from llmtop_tui.cli.common import Common, DebugOption, HomeOption, JsonOption, command
from llmtop_tui.cli.printing import put

_EPILOG = (
    "RUN is a run's id, its name (the newest of that name), a unique prefix of its id, or latest. "
    "Every option has an environment twin, LLMTOP_ and the option's name; a flag wins over it, and it wins "
    "over the config file."
)


def app() -> typer.Typer:
    """Build the command line."""
    built = typer.Typer(
        name="llmtop",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    built.callback(invoke_without_command=True, epilog=_EPILOG)(_bare)
    for name, function in _COMMANDS.items():
        built.command(name)(command(function))
    for name, (purpose, functions) in _GROUPS.items():
        group = typer.Typer(help=purpose, no_args_is_help=True, rich_markup_mode=None)
        for verb, function in functions.items():
            group.command(verb)(command(function))
        built.add_typer(group, name=name)
    return built


_COMMANDS: dict[str, Callable[..., int | None]] = {
    "run": run.run,
    "demo": run.demo,
    "attach": viewing.attach,
    "runs": listing.runs,
    "show": listing.show,
    "export": export.export,
    "items": items.items,
    "item": items.item,
    "batches": batches.batches,
    "plan": plan.plan,
    "compare": compare.compare,
    "pause": steering.pause,
    "resume": steering.resume,
    "cancel": steering.cancel,
    "set": steering.set_values,
    "retry": steering.retry,
    "simulate": simulate.simulate,
    "init": init.init,
}

_GROUPS: dict[str, tuple[str, dict[str, Callable[..., int | None]]]] = {
    "cache": (
        "The response cache that all runs share: what is in it, and less of it.",
        {"list": cache.list_answers, "prune": cache.prune, "clear": cache.clear},
    ),
    "filters": ("The filters of a config: what they would do, with nothing sent.", {"test": filters.test}),
}


def _bare(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int | None:
    """htop for LLM API runs: push thousands of items through paid, rate-limited LLM APIs, and steer it live.

    Without a command: the dashboard over every run in the state folder.
    """
    common = Common(home, as_json)
    ctx.obj = common
    if version:
        put(f"llmtop {__version__}")
        raise typer.Exit(0)
    return viewing.browse_all(common) if ctx.invoked_subcommand is None else None
