"""From an exception to a message and an exit code (`reliability.md` section 4).

`llmtop: FILE: KEY: what is wrong; what would be right`, at most 20 of a file; with `--json` the
same as one object. No traceback without `--debug`, and never with local variables.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmtop.cleaning import clean
from llmtop.errors import (
    ConfigError,
    ConfigErrors,
    InputError,
    LlmtopError,
    ProviderRefused,
    RunOwned,
    StateError,
    UsageError,
)
from llmtop_tui.cli.printing import say
from llmtop_tui.jsonlines import dumps

if TYPE_CHECKING:
    import typer

MOST_FAULTS = 20

_KINDS: tuple[tuple[type[LlmtopError], str], ...] = (
    (ConfigErrors, "config"),
    (ConfigError, "config"),
    (InputError, "input"),
    (UsageError, "usage"),
    (ProviderRefused, "provider"),
    (StateError, "state"),
    (RunOwned, "owned"),
)


class Failures(LlmtopError):
    """Faults of several files, told together. The exit code is the first one's."""

    def __init__(self, errors: Sequence[LlmtopError]) -> None:
        super().__init__("", f"{len(errors)} files with faults")
        self.errors = tuple(errors)
        self.exit_code = errors[0].exit_code

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def tell(error: BaseException, *, is_json: bool, is_debug: bool, log: Path | None = None) -> int:
    """Print what went wrong on stderr; return the exit code. A bug's traceback goes to `log` too."""
    failure = as_failure(error)
    if failure is None:
        failure = _bug(error, log if log is not None and _logged(error, log) else None)
    if is_debug:
        for line in _trace(error):
            say(line)
    if is_json:
        say_json(failure)
    else:
        for line in _lines(failure):
            say(f"llmtop: {line}")
    return failure.exit_code


def say_json(failure: LlmtopError) -> None:
    """Print a failure as an object."""
    sys.stderr.write(dumps(as_object(failure)) + "\n")


def as_object(failure: LlmtopError) -> dict[str, Any]:
    """Return a failure as `--json` has it."""
    faults = _faults(failure)
    error = {
        "type": _kind(failure),
        "exit_code": failure.exit_code,
        "message": "\n".join(_lines(failure)),
        "faults": [
            {"file": file, "where": fault.where, "what": fault.what, "remedy": fault.remedy}
            for file, fault in faults[:MOST_FAULTS]
        ],
    }
    if isinstance(failure, RunOwned):
        error |= {"run_id": failure.run_id, "pid": failure.pid}
    return {"error": error}


def _kind(failure: LlmtopError) -> str:
    if isinstance(failure, Failures):
        return _kind(failure.errors[0])
    return next((word for kind, word in _KINDS if isinstance(failure, kind)), "bug")


def _faults(failure: LlmtopError) -> list[tuple[str | None, LlmtopError]]:
    if isinstance(failure, Failures):
        return [fault for error in failure.errors for fault in _faults(error)[:MOST_FAULTS]]
    if isinstance(failure, ConfigErrors):
        return [(failure.file, error) for error in failure.errors]
    return [(None, failure)]


def _lines(failure: LlmtopError) -> list[str]:
    if isinstance(failure, Failures):
        return [line for error in failure.errors for line in _lines(error)]
    if isinstance(failure, ConfigErrors):
        lines = [f"{failure.file}: {error}" for error in failure.errors[:MOST_FAULTS]]
        more = len(failure.errors) - MOST_FAULTS
        return [*lines, f"{failure.file}: {more} more faults"] if more > 0 else lines
    return [str(failure)]


def as_failure(error: BaseException) -> LlmtopError | None:
    """Return the failure that an exception stands for; None: it is a bug."""
    if isinstance(error, LlmtopError):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = [as_failure(each) for each in error.exceptions]
        known = [each for each in inner if each is not None]
        return (known[0] if len(known) == 1 else Failures(known)) if len(known) == len(inner) else None
    parser = sys.modules.get("typer")  # a viewer does without it, and then nothing of it can be raised
    if parser is not None and isinstance(error, parser.TyperException):
        return UsageError("", *_usage_words(error))
    if isinstance(error, OSError):
        where = str(error.filename) if error.filename is not None else "output"
        return StateError(where, f"cannot be read or written: {error.strerror or type(error).__name__}")
    return None


def _bug(error: BaseException, log: Path | None) -> LlmtopError:
    what = f"internal error: {type(error).__name__}: {error}".rstrip(": ")
    where = f"; the log is {log}" if log is not None else ""
    return LlmtopError("", what, f"a bug in llmtop, what was accepted is kept{where}; --debug shows more")


def _trace(error: BaseException) -> list[str]:
    """Return the traceback, cleaned, without local variables."""
    text = "".join(traceback.format_exception(error))
    return clean(text, limit=100_000, is_multiline=True).splitlines()


def _logged(error: BaseException, log: Path) -> bool:
    """Append a bug's traceback to the log; return whether that worked."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with os.fdopen(os.open(log, flags, 0o600), "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join([f"--- {moment} pid {os.getpid()}", *_trace(error), ""]))
    except OSError:
        return False
    return True


def _usage_words(error: typer.TyperException) -> tuple[str, str]:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "llmtop"
    return error.format_message().strip().rstrip("."), f"`{command} --help` says what fits"
