"""Every error that llmtop raises on purpose, and the exit code that it ends a command with.

    LlmtopError            1  a bug, when nothing below fits
    ├── UsageError         2  wrong words on the command line
    ├── ConfigError        2  one fault in a config file: place, problem, remedy
    ├── ConfigErrors       2  all faults of one config file
    ├── InputError         2  one fault in the input data
    ├── ProviderRefused    3  key, quota, model, certificate, unknown host
    ├── StateError         4  state or output cannot be read or written
    └── RunOwned           5  the run belongs to another process

A message reads `where: what is wrong; what would be right`.
"""

from __future__ import annotations

from collections.abc import Sequence


class LlmtopError(Exception):
    """What went wrong, where, and what would be right."""

    exit_code = 1

    def __init__(self, where: str, what: str, remedy: str = "") -> None:
        super().__init__(where, what, remedy)
        self.where = where
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class UsageError(LlmtopError):
    """The command's words do not fit together."""

    exit_code = 2


class ConfigError(LlmtopError):
    """One fault in a config: `where` is a dotted key or `line N`."""

    exit_code = 2


class ConfigErrors(LlmtopError):
    """All faults of one config file, so that they can be mended in one go."""

    exit_code = 2

    def __init__(self, file: str, errors: Sequence[ConfigError]) -> None:
        super().__init__(file, f"{len(errors)} faults")
        self.file = file
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(f"{self.file}: {error}" for error in self.errors)


class InputError(LlmtopError):
    """A fault in the input data: `where` is the file and the line."""

    exit_code = 2


class ProviderRefused(LlmtopError):
    """The provider will not serve this run until a person has mended something."""

    exit_code = 3


class StateError(LlmtopError):
    """The state folder, the ledger or the output cannot be read or written."""

    exit_code = 4


class RunOwned(LlmtopError):
    """Another live process owns the run."""

    exit_code = 5

    def __init__(self, run_id: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(run_id, f"is already run by {owner}", f"`llmtop attach {run_id}` shows it")
        self.run_id = run_id
        self.pid = pid
