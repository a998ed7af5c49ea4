"""The entry point of `llmtop`: whatever goes wrong becomes a message and an exit code.

`llmtop` alone and `llmtop attach` on a terminal go to the viewer without the command line's library,
which takes longer to import than the screen itself; everything else goes through it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llmtop_tui.order import Order

_ON = {"1", "true", "t", "yes", "y", "on"}
_OWN_VARIABLES = {"LLMTOP_HOME", "LLMTOP_NOTICES"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Never raises, never prints a traceback without `--debug`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    order = viewer_order(words, os.environ)
    if order is not None:
        return guarded(lambda: _show(order), words)
    return guarded(lambda: _obey(words), words)


def viewer_order(words: Sequence[str], environ: Mapping[str, str]) -> Order | None:
    """Return what `llmtop` alone or a plain `llmtop attach` on a terminal shows; None: look closer."""
    if not can_draw(environ) or any(n.startswith("LLMTOP_") and n not in _OWN_VARIABLES for n in environ):
        return None
    if not words:
        return Order()
    if words[0] != "attach":
        return None
    runs = [word for word in words[1:] if not word.startswith("-")]
    flags = [word for word in words[1:] if word.startswith("-")]
    if len(runs) > 1 or not set(flags) <= {"--read-only", "--slow"}:
        return None
    return Order(
        run=runs[0] if runs else "latest",
        is_read_only="--read-only" in flags,
        is_slow="--slow" in flags,
    )


def can_draw(environ: Mapping[str, str]) -> bool:
    """Return whether there is a terminal on both sides that knows more than lines."""
    return os.isatty(0) and os.isatty(1) and environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _show(order: Order) -> int:
    from llmtop_tui.viewer import show  # the event loop: not needed for plain commands

    return show(order)


def _obey(words: list[str]) -> int:
    from llmtop_tui.cli.main import app  # the command line's library: not needed for a viewer
    from llmtop_tui.cli.run import fill_bare_resume

    code = app()(args=fill_bare_resume(words), prog_name="llmtop", standalone_mode=False)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def guarded(act: Callable[[], int], words: Sequence[str]) -> int:
    """Do it, and turn whatever goes wrong into words and a code; the words say whether in JSON."""
    try:
        return act()
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        if type(error).__name__ == "Abort":  # typer's own word for a question that was not answered
            return 130
        if _is_reader_gone(error):
            _leave_stdout()
            return 0
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else 0
        return _told(error, words)


def _told(error: BaseException, words: Sequence[str]) -> int:
    from llmtop_tui.cli.failing import tell

    is_json, is_debug = is_asked("--json", words, os.environ), is_asked("--debug", words, os.environ)
    code = tell(error, is_json=is_json, is_debug=is_debug, log=_log_of(words))
    _flush_or_leave()
    return code


def is_asked(flag: str, arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return whether a flag was given, for errors that come before the words could be parsed."""
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return flag in words or environ.get(twin(flag), "").strip().lower() in _ON


def twin(name: str) -> str:
    """Return the environment variable of `--some-option`: LLMTOP_SOME_OPTION."""
    return "LLMTOP_" + name.removeprefix("--").replace("-", "_").upper()


def value_of(flag: str, arguments: Sequence[str]) -> Path | None:
    """Return the path that an option was given, for errors that come before the words could be parsed."""
    for at, word in enumerate(arguments):
        if word == flag and at + 1 < len(arguments):
            return Path(arguments[at + 1])
        if word.startswith(f"{flag}="):
            return Path(word.removeprefix(f"{flag}="))
    return None


def _log_of(words: Sequence[str]) -> Path | None:
    """Return where a bug is written down: beside the runs."""
    from llmtop.control.library import Home

    try:
        return Home.open(value_of("--home", words), os.environ).folder / "bugs.log"
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
