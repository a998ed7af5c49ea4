"""`llmtop export`: results of a run, whole or partial, at any time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, cast

from llmtop.errors import UsageError
from llmtop.model import ItemStatus
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.doors import RunArgument
from llmtop_tui.cli.printing import put_json, say
from llmtop_tui.format import count

Format = Literal["jsonl", "csv", "parquet"]
_STATUSES: tuple[ItemStatus, ...] = ("done", "rejected", "failed")


def export(
    common: Common,
    run: RunArgument,
    output: Annotated[
        Path | None, option("--output", "-o", metavar="FILE", help="Where to; default stdout.")
    ] = None,
    format: Annotated[Format | None, option("--format", help="Default: by FILE's name, else jsonl.")] = None,
    status: Annotated[
        str | None, option("--status", metavar="LIST", help="done,rejected,failed; default all.")
    ] = None,
    raw: Annotated[
        bool, option("--raw", help="CSV: leave cells as they are that a spreadsheet takes for formulas.")
    ] = False,
) -> None:
    """Write the results of a run, whole or partial.

    At any time, live or not: one JSON object a line, or a table.
    """
    from llmtop.control.export import export_run

    statuses = statuses_of(status)
    found = common.home().resolve(run)
    file = None if output is None or str(output) == "-" else output
    written = export_run(found.folder, file or sys.stdout.buffer, format or format_of(file), statuses, raw)
    if file is None:
        return
    if common.is_json:
        put_json({"run_id": found.run_id, "file": str(file), "results": written})
    else:
        say(f"{count(written)} results of {found.run_id} in {file}")


def format_of(file: Path | None) -> Format:
    """Return the format that a file's name asks for; lines of JSON where it asks for none."""
    suffix = "" if file is None else file.suffix.lower()
    if suffix == ".csv":
        return "csv"
    return "parquet" if suffix == ".parquet" else "jsonl"


def statuses_of(words: str | None) -> tuple[ItemStatus, ...]:
    """Read `done,failed`; None: all. Raises UsageError for a word that is no status of a result."""
    if words is None:
        return _STATUSES
    found = [word.strip() for word in words.split(",") if word.strip()]
    wrong = next((word for word in found if word not in _STATUSES), None)
    if wrong is not None or not found:
        raise UsageError(
            "--status", f"{wrong or words!r} is no status", f"Use one or more of {','.join(_STATUSES)}"
        )
    return cast(tuple[ItemStatus, ...], tuple(dict.fromkeys(found)))
