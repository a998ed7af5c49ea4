"""One `[[filters]]` table to the settings of its filter, or all that is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from llmtop.cleaning import clean
from llmtop.config.suggest import did_you_mean
from llmtop.config.values import BadValue, Reader, kind_of, text, wrong_type
from llmtop.errors import ConfigError

S = TypeVar("S")
_MAX_ENTRIES = 10_000


def setting(read: Reader, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field of a settings class: how it is read, and its default; none: it must be given."""
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={"read": read})
    return dataclasses.field(default=default, metadata={"read": read})


def read_settings(cls: type[S], table: Mapping[str, Any], where: str, faults: list[ConfigError]) -> S | None:
    """Return the settings in `table`, or None when there are faults, which are added to `faults`.

    `where` is the table's place, like "filters[2]". The class checks in `__post_init__` what must
    hold between its fields; the ConfigError that it raises names the field, and gets the place here.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    found: list[ConfigError] = []
    values: dict[str, Any] = {}
    for name, value in table.items():
        place = f"{where}.{clean(name, limit=60)}"
        if name not in fields:
            hint = did_you_mean(name, fields) or f"Known here: {', '.join(fields) or 'no setting'}."
            found.append(ConfigError(place, "unknown key", hint))
            continue
        try:
            values[name] = fields[name].metadata["read"](_exact(value))
        except BadValue as error:
            found.append(ConfigError(place, error.what, error.remedy))
    found += [
        ConfigError(f"{where}.{name}", "is missing")
        for name, field in fields.items()
        if name not in table and field.default is dataclasses.MISSING
    ]
    faults.extend(found)
    if found:
        return None
    try:
        return cls(**values)
    except ConfigError as error:
        faults.append(
            ConfigError(f"{where}.{error.where}" if error.where else where, error.what, error.remedy)
        )
        return None


def _exact(value: Any) -> Any:
    """A number with a point comes as Decimal from a file, and as float from Python."""
    return Decimal(str(value)) if isinstance(value, float) else value


def entries(what: str) -> Reader:
    """Read a list of texts that are not blank, each once."""

    def read(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
            raise BadValue(f"is {kind_of(value)}, and must be a list of {what}")
        if len(value) > _MAX_ENTRIES:
            raise BadValue(f"has {len(value)} entries, and may have {_MAX_ENTRIES}")
        for entry in value:
            if not text(entry).strip():
                raise BadValue("has a blank entry", "Remove it.")
        return tuple(dict.fromkeys(value))

    return read


def text_map(value: Any) -> dict[str, str]:
    """Read a table of texts, text to text."""
    if not isinstance(value, Mapping):
        raise wrong_type(value, 'a table like { teh = "the" }')
    if len(value) > _MAX_ENTRIES:
        raise BadValue(f"has {len(value)} entries, and may have {_MAX_ENTRIES}")
    for key, entry in value.items():
        if not isinstance(entry, str):
            raise BadValue(f'holds {kind_of(entry)} under "{clean(str(key), limit=60)}", and must hold text')
    return dict(value)
