"""Sections whose feature comes later: refused, never accepted and ignored, but with their keys checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.keys import LATER, SECTIONS, keys_of
from llmtop.config.suggest import did_you_mean
from llmtop.config.values import kind_of
from llmtop.errors import ConfigError

_LISTS = ("filters", "variants")
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
        if section == "cache":
            yield from _refuse_cache(value, place)
        else:
            yield ConfigError(place, "is not available yet", _OUT)


def _refuse_cache(table: Mapping[str, Any], place: str) -> Iterator[ConfigError]:
    enabled = table.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        yield ConfigError(f"{place}.enabled", f"is {kind_of(enabled)}, and must be true or false")
    elif enabled or (table and enabled is None):
        yield ConfigError(
            place,
            "the response cache is not available yet",
            "Write enabled = false, or take the section out.",
        )


def _refuse_list(section: str, value: Any, place: str) -> Iterator[ConfigError]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        yield ConfigError(
            place, f"is {kind_of(value)}, and must be tables", f"Write [[{section}]] with its keys below."
        )
        return
    for number, entry in enumerate(value, start=1):
        where = f"{place}[{number}]"
        if section == "variants":
            yield from _unknown_in_variant(entry, where)
        elif not isinstance(entry.get("use"), str):
            yield ConfigError(
                f"{where}.use", "is missing, and must be the name of a filter", 'For example use = "scripts".'
            )
    if value:
        yield ConfigError(place, "is not available yet", _OUT)


def _unknown_in_variant(entry: Mapping[str, Any], where: str) -> Iterator[ConfigError]:
    yield from _unknown(entry, {"name", *SECTIONS, *LATER}, where)
    for section, table in entry.items():
        if section in SECTIONS and isinstance(table, Mapping):
            yield from _unknown(table, keys_of(section), f"{where}.{section}")
        elif section != "name" and section in SECTIONS:
            yield ConfigError(f"{where}.{section}", f"is {kind_of(table)}, and must be a table")


def _unknown(table: Mapping[str, Any], known: Collection[str], place: str) -> Iterator[ConfigError]:
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known here: {', '.join(sorted(known))}."
            yield ConfigError(f"{place}.{clean(name, limit=60)}", "unknown key", hint)
