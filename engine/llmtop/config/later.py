"""Sections whose feature comes later: refused, never accepted and ignored, but with their keys checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.keys import LATER
from llmtop.config.suggest import did_you_mean
from llmtop.config.values import kind_of
from llmtop.errors import ConfigError

_OUT = "Take it out for now."


def refuse_later(section: str, value: Any, label: str) -> Iterator[ConfigError]:
    """Yield what is wrong with a section of a later feature: its unknown keys, and its use."""
    place = f"{label}{section}"
    if not isinstance(value, Mapping):
        yield ConfigError(
            place, f"is {kind_of(value)}, and must be a table", f"Write [{section}] with its keys below."
        )
    else:
        yield from _unknown(value, LATER[section], place)
        yield ConfigError(place, "is not available yet", _OUT)


def _unknown(table: Mapping[str, Any], known: Collection[str], place: str) -> Iterator[ConfigError]:
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known) or f"Known here: {', '.join(sorted(known))}."
            yield ConfigError(f"{place}.{clean(name, limit=60)}", "unknown key", hint)
