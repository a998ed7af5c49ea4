"""The entry point: builds the commands, turns whatever goes wrong into a message and an exit code.

Only what every command needs is imported here; Textual, the engine and the price table are
imported by the commands that use them, so that `llmtop runs` stays quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from llmtop import __version__
from llmtop_tui.cli import (
    cache,
    export,
    init,
    items,
    listing,
    plan,
    run,
    simulate,
    steering,
    viewing,
)
from llmtop_tui.cli.common import Common, DebugOption, HomeOption, JsonOption, command, is_asked, value_of
from llmtop_tui.cli.failing import tell
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
    "plan": plan.plan,
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Never raises, never prints a traceback without `--debug`."""
    words = run.fill_bare_resume(list(sys.argv[1:] if arguments is None else arguments))
    is_json = is_asked("--json", words, os.environ)
    is_debug = is_asked("--debug", words, os.environ)
    try:
        code = app()(args=words, prog_name="llmtop", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BaseException as error:
        if _is_reader_gone(error):
            _leave_stdout()
            return 0
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else 0
        code = tell(error, is_json=is_json, is_debug=is_debug, log=_log_of(words))
        _flush_or_leave()
        return code


def _log_of(words: Sequence[str]) -> Path | None:
    """Return where a bug is written down: beside the runs."""
    try:
        return Common(value_of("--home", words)).home().folder / "bugs.log"
    except Exception:  # this tells about another failure, and must not become one
        return None


def _is_reader_gone(error: BaseException) -> bool:
    """Return whether it is a broken pipe; typer makes an exit of it."""
    return isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError)


def _flush_or_leave() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _leave_stdout()


def _leave_stdout() -> None:
    """Nobody reads any more: let the interpreter's last flush go nowhere instead of complaining."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
