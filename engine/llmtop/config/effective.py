"""A run's effective settings: to be shown with their origin, and to be kept with the run.

No API key is ever in a config, and header values are not shown all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from llmtop.config.amounts import TOKENS_PER_PRICE, spell_duration, spell_money, spell_size
from llmtop.config.filter_tables import names_of
from llmtop.config.keys import KEYS, SECTIONS
from llmtop.config.kinds import effective_base_url, key_variable
from llmtop.config.schema import Range, RunConfig
from llmtop.errors import StateError

_NOT_SET = "not set"
_DURATIONS = frozenset(
    {
        "provider.timeout",
        "provider.connect_timeout",
        "execution.stop_grace",
        "retry.max_wait",
        "retry.give_up_throttled_after",
        "tuner.request_burst_s",
        "tuner.token_burst_s",
        "tuner.hold_max",
        "cache.ttl",
    }
)
_SIZES = frozenset({"provider.max_response_bytes", "memory.per_process", "cache.max_size"})
_PRICES = frozenset({"prices.input", "prices.output", "prices.cached_input"})
_PATHS = frozenset(key for key, entry in KEYS.items() if entry.shape == "path")
_RANGES = frozenset({"execution.concurrency", "execution.items_per_request"})


def describe(config: RunConfig) -> list[tuple[str, str, str]]:
    """Return (dotted key, value in words, origin) of every setting, in the order of the documentation."""
    return [(key, _spell(config, key), config.origins.get(key, "default")) for key in KEYS]


def value_of(config: RunConfig, key: str) -> Any:
    """Return the value of a dotted key."""
    section, _, name = key.rpartition(".")
    return getattr(getattr(config, section) if section else config, name)


def _spell(config: RunConfig, key: str) -> str:
    value = value_of(config, key)
    if key == "provider.base_url":
        return effective_base_url(config.provider) or "embedded simulator"
    if key == "provider.api_key_env":
        return key_variable(config.provider) or "no key"
    if key == "provider.headers":
        return ", ".join(value) or _NOT_SET
    if value is None or value == {} or value == ():
        return _NOT_SET
    if key == "filters":
        return ", ".join(names_of(value))
    return _spell_value(key, value)


def _spell_value(key: str, value: Any) -> str:
    if key == "budget.max_cost":
        return f"{spell_money(value)} USD"
    if key in _PRICES:
        return f"{spell_money(value * TOKENS_PER_PRICE)} USD per million tokens"
    if key in _DURATIONS:
        return spell_duration(value)
    if key in _SIZES:
        return spell_size(value) if value else _NOT_SET
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, tuple) and not isinstance(value, Range):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def to_record(config: RunConfig) -> dict[str, Any]:
    """Return a config as plain JSON values, to be read back by `from_record`."""
    return cast("dict[str, Any]", _plain(config))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value


def from_record(record: Mapping[str, Any]) -> RunConfig:
    """Return the config that `to_record` wrote. Raises StateError when it is damaged or of a later version.

    Fields that the record lacks get their defaults: it may be of an earlier version.
    """
    try:
        parts: dict[str, Any] = {
            "name": record["name"],
            "file": None if record.get("file") is None else Path(record["file"]),
            "origins": dict(record.get("origins", {})),
            "filters": tuple(dict(table) for table in record.get("filters", ())),
        }
        for section in SECTIONS:
            kind = type(_DEFAULTS[section])
            entries = record.get(section, {})
            parts[section] = kind(
                **{name: _revived(f"{section}.{name}", entry) for name, entry in entries.items()}
            )
        return RunConfig(**parts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        remedy = "It was written by a later version, or is damaged."
        raise StateError("the run's settings", f"cannot be read ({type(error).__name__})", remedy) from None


def _revived(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in _PATHS:
        return Path(value)
    if key in _RANGES:
        return Range(*value)
    if isinstance(value, list):
        return tuple(value)
    return value


_DEFAULTS = {section: getattr(RunConfig(name="defaults", file=None), section) for section in SECTIONS}
