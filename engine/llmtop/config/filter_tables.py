"""The `[[filters]]` of a config as plain values: which files they name, and how they are told.

What the settings of a filter are is known to the filters themselves; they check them when the
chain is built. Here only what depends on the config file is done: paths become absolute, and the
schema that a `json_schema` filter names as a file is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmtop.config.companions import read_schema
from llmtop.config.values import BadValue, free_table, kind_of
from llmtop.errors import ConfigError

FilterTables = tuple[Mapping[str, Any], ...]

_WITHOUT_EFFECT_ON_ANSWERS = frozenset({"workers", "time_limit", "memory_limit"})
"""Settings of a `python` filter that say where its function runs, and not what it says."""


def filter_tables(value: Any) -> FilterTables:
    """Read the tables of all filters, in order, as plain values."""
    if not isinstance(value, list | tuple) or not all(isinstance(entry, Mapping) for entry in value):
        raise BadValue(
            f"is {kind_of(value)}, and must be tables", "Write [[filters]] with its settings below."
        )
    return tuple(free_table(entry) for entry in value)


def rooted(tables: FilterTables, folder: Path, where: str, faults: list[ConfigError]) -> FilterTables:
    """Return the tables with the files that they name made absolute or read.

    `where` is how a message names the list, like "filters"; `folder` is what paths are relative to.
    """
    return tuple(
        _rooted(table, folder, f"{where}[{number}]", faults) for number, table in enumerate(tables, start=1)
    )


def _rooted(
    table: Mapping[str, Any], folder: Path, where: str, faults: list[ConfigError]
) -> Mapping[str, Any]:
    if table.get("use") == "python":
        return {**table, **_with_absolute_call(table.get("call"), folder)}
    if table.get("use") == "json_schema" and "schema_file" in table:
        return _with_schema(table, folder, f"{where}.schema_file", faults)
    return table


def _with_absolute_call(call: Any, folder: Path) -> dict[str, str]:
    """`checks.py:check` names a file; `package.checks:check` names a module, and stays."""
    if not isinstance(call, str):
        return {}
    place, colon, function = call.rpartition(":")
    if not colon or not place.endswith(".py") or "\0" in place:
        return {}
    return {"call": f"{_absolute(folder, place)}:{function}"}


def _with_schema(
    table: Mapping[str, Any], folder: Path, where: str, faults: list[ConfigError]
) -> Mapping[str, Any]:
    others = {name: value for name, value in table.items() if name != "schema_file"}
    name = table["schema_file"]
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        faults.append(ConfigError(where, "must be the name of a file", 'For example "answer.json".'))
    elif "schema" in table:
        faults.append(ConfigError(where, "says the same as schema", "Keep one of them."))
    else:
        return {**others, "schema": read_schema(_absolute(folder, name), where, faults) or {}}
    return others


def _absolute(folder: Path, name: str) -> Path:
    return Path(os.path.abspath(folder / name))  # noqa: PTH100  (resolve() would follow symlinks)


def judging_part(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what of the tables decides on answers, and so makes a run another run."""
    return [
        {name: value for name, value in table.items() if name not in _WITHOUT_EFFECT_ON_ANSWERS}
        for table in tables
    ]


def names_of(tables: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the filters, in order, with the function where it is the user's own."""
    return tuple(
        f"python ({table.get('call')})" if table.get("use") == "python" else str(table.get("use", "?"))
        for table in tables
    )
