"""Sections whose feature comes later: refused, never accepted and ignored, but with their keys checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.keys import LATER
from llmtop.config.suggest import did_you_mean
from llmtop.config.values import kind_of
from llmtop.errors import ConfigError

_LISTS = ("filters",)
_OUT = "Take it out for now."


def refuse_later(section: str, value: Any, label: str) -> Iterator[ConfigError]:
    """Yield what is wrong with a section of a later feature: its unknown keys, and its use."""
    place = f"{label}{section}"
    if section in _LISTS:
        yield from _refuse_list(section, value, place)
    elif not isinstance(value, Mapping):
        yield ConfigError(
            place, f"is {kind_of(value)}, and must be a table", f"Write [{section}] with its keys below."
        )
    else:
        yield from _unknown(value, LATER[section], place)
        yield ConfigError(place, "is not available yet", _OUT)


def _refuse_list(section: str, value: Any, place: str) -> Iterator[ConfigError]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        yield ConfigError(
            place, f"is {kind_of(value)}, and must be tables", f"Write [[{section}]] with its keys below."
        )
        return
    for number, entry in enumerate(value, start=1):
        where = f"{place}[{number}]"
        if not isinstance(entry.get("use"), str):
            yield ConfigError(
                f"{where}.use", "is missing, and must be the name of a filter", 'For example use = "scripts".'
            )
    if value:
        yield ConfigError(place, "is not available yet", _OUT)


def _unknown(table: Mapping[str, Any], known: Collection[str], place: str) -> Iterator[ConfigError]:
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known here: {', '.join(sorted(known))}."
            yield ConfigError(f"{place}.{clean(name, limit=60)}", "unknown key", hint)
