"""From the words of the command line to checked run configs; the faults of all files come together."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtop.errors import ConfigError, ConfigErrors, LlmtopError, UsageError
from llmtop_tui.cli.common import option
from llmtop_tui.cli.failing import Failures

if TYPE_CHECKING:
    from llmtop.config.schema import RunConfig

ConfigArguments = Annotated[
    list[str], typer.Argument(metavar="CONFIG", help="TOML files; globs allowed.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    option(
        "--set",
        metavar="KEY=VALUE",
        help="Any config key, dotted, like retry.max_attempts=3; may be repeated.",
    ),
]
AllowCodeOption = Annotated[
    bool, option("--allow-code", help="Let `python` filters of the config run the code that they name.")
]
LimitOption = Annotated[
    str | None, typer.Option("--limit", metavar="N", help="Only the first N items.", show_default=False)
]
ConcurrencyOption = Annotated[
    str | None,
    typer.Option(
        "--concurrency",
        "--max-connections",
        "-c",
        metavar="N|MIN-START-MAX",
        help="Calls at once: a number, or the range in which the tuner moves.",
        show_default=False,
    ),
]
RequestsOption = Annotated[
    str | None,
    typer.Option(
        "--max-requests-per-minute", metavar="N", help="Declared limit of requests.", show_default=False
    ),
]
TokensOption = Annotated[
    str | None,
    typer.Option(
        "--max-tokens-per-minute", metavar="N", help="Declared limit of tokens.", show_default=False
    ),
]
CostOption = Annotated[
    str | None, typer.Option("--max-cost", metavar="USD", help="Cap on the run's cost.", show_default=False)
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Where results go while the run goes.", show_default=False
    ),
]


def load_all(
    words: Sequence[str], *, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> tuple[RunConfig, ...]:
    """Load every config that the words name.

    Options of their own have their environment twins read by the loader, so that the origin of a
    value stays known. Raises Failures with the faults of all files, UsageError for a glob without a match.
    """
    from llmtop.config.loader import load_config

    loaded: list[RunConfig] = []
    errors: list[LlmtopError] = []
    for path in expand(words):
        try:
            loaded += load_config(path, overrides=overrides, flags=flags, environ=os.environ)
        except LlmtopError as error:
            errors.append(error)
    if not errors:
        errors += shared_files(loaded)
    if errors:
        raise errors[0] if len(errors) == 1 else Failures(errors)
    return tuple(loaded)


def expand(words: Sequence[str]) -> list[Path]:
    """Return the files that the words name, each once, in order."""
    found: dict[str, Path] = {}
    for word in words:
        is_pattern = glob.has_magic(word) and not os.path.lexists(word)
        matches = sorted(glob.glob(word, recursive=True)) if is_pattern else [word]  # noqa: PTH207
        if not matches:
            raise UsageError(
                word, "matches no file", "Name TOML files; `llmtop init` writes one to start from"
            )
        for match in matches:
            found.setdefault(os.path.abspath(match), Path(match))  # noqa: PTH100
    return list(found.values())


def shared_files(configs: Sequence[RunConfig]) -> list[LlmtopError]:
    """Return a fault for each file that two runs would write."""
    first: dict[Path, RunConfig] = {}
    faults: list[LlmtopError] = []
    for config in configs:
        for key, path in (
            ("output.path", config.output.path),
            ("output.rejected_path", config.output.rejected_path),
        ):
            if path is None:
                continue
            if path in first:
                what = f"{path} is written by the run {first[path].name} too"
                fault = ConfigError(key, what, "Give every run a file of its own")
                faults.append(ConfigErrors(str(config.file or config.name), [fault]))
            first.setdefault(path, config)
    return faults
