"""Gather what was said about each key: in the file, the environment and on the command line.

Only names are checked here; a value is read by `reading`. Later sources win:
file < variant < environment < `--set` < an option of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import tomli

from llmtop.cleaning import clean
from llmtop.config.keys import EXCLUSIVE, KEYS, LATER, OPTIONS, SECTIONS, keys_of
from llmtop.config.later import refuse_later
from llmtop.config.schema import Origin
from llmtop.config.suggest import did_you_mean
from llmtop.config.unspoken import is_key_name, keys_in, looks_like_key
from llmtop.config.values import kind_of
from llmtop.config.variants import SECTION as VARIANTS
from llmtop.config.variants import Variant
from llmtop.errors import ConfigError

_TOP_LEVEL = tuple(key for key in KEYS if "." not in key)
_OWN_VARIABLE = "Put it into an environment variable, and name that variable in provider.api_key_env."


@dataclass(frozen=True, slots=True)
class Setting:
    """The raw value of one key, where it was said, and how a message names that place."""

    value: Any
    origin: Origin
    where: str


Settings = dict[str, Setting]


def decimal(text: str) -> Decimal:
    """Read a TOML number with a point exactly; one that not even Decimal holds becomes infinite."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def gather(
    tree: Mapping[str, Any],
    *,
    overrides: Sequence[str],
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    faults: list[ConfigError],
    variant: Variant | None = None,
) -> Settings:
    """Return the winning setting of each key; unknown names become faults."""
    settings: Settings = {}
    sources = [_named(tree, "file", "", faults)]
    if variant is not None:
        sources.append(_named(variant.tree, "file", variant.label, faults))
    sources.append(_from_environment(environ))
    sources += [_from_override(override, faults) for override in overrides]
    sources.append(_from_flags(flags, faults))
    for source in sources:
        _drop_outvoted(settings, source)
        for key, setting in source.items():
            settings[key] = _merged(settings.get(key), setting) if KEYS[key].shape == "table" else setting
    return settings


def _drop_outvoted(settings: Settings, source: Settings) -> None:
    """A source that says a thing in one way takes away the other way of earlier sources."""
    for pair in EXCLUSIVE:
        for one, other in (pair, pair[::-1]):
            if one in source and other not in source:
                settings.pop(other, None)


def _merged(old: Setting | None, new: Setting) -> Setting:
    if old is None or not isinstance(old.value, Mapping) or not isinstance(new.value, Mapping):
        return new
    return Setting(_deep_merge(old.value, new.value), new.origin, new.where)


def _deep_merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for name, value in new.items():
        under = merged.get(name)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[name] = _deep_merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _named(tree: Mapping[str, Any], origin: Origin, label: str, faults: list[ConfigError]) -> Settings:
    """Take a tree of sections apart into dotted keys."""
    found: Settings = {}
    faults.extend(_hidden_key(f"{label}{place}") for place in keys_in(tree))
    for name, value in tree.items():
        if name in _TOP_LEVEL:
            found[name] = Setting(value, origin, f"{label}{name}")
        elif name in LATER:
            faults.extend(refuse_later(name, value, label))
        elif name not in SECTIONS:
            faults.append(unknown_key(name, (*_TOP_LEVEL, *SECTIONS, *LATER, VARIANTS), label))
        elif not isinstance(value, Mapping):
            what = f"is {kind_of(value)}, and must be a table"
            faults.append(ConfigError(f"{label}{name}", what, f"Write [{name}] with its keys below."))
        else:
            _name_section(name, value, origin, label, found, faults)
    return found


def _hidden_key(place: str) -> ConfigError:
    return ConfigError(
        clean(place, limit=100), "looks like an API key, and none may stand in a config", _OWN_VARIABLE
    )


def _name_section(
    section: str,
    table: Mapping[str, Any],
    origin: Origin,
    label: str,
    found: Settings,
    faults: list[ConfigError],
) -> None:
    for name, value in table.items():
        key = f"{section}.{name}"
        if key in KEYS:
            found[key] = Setting(value, origin, f"{label}{key}")
        else:
            faults.append(unknown_key(name, keys_of(section), f"{label}{section}."))


def unknown_key(name: str, known: Sequence[str], prefix: str) -> ConfigError:
    """Say that a key is not known, with the nearest known one, or all of its section."""
    if is_key_name(name) or looks_like_key(name):
        shown = "(hidden)" if looks_like_key(name) else clean(name, limit=60)
        return ConfigError(f"{prefix}{shown}", "an API key may not stand in a config file", _OWN_VARIABLE)
    hint = did_you_mean(name, known) or _elsewhere(name) or f"Known here: {', '.join(known)}."
    return ConfigError(f"{prefix}{clean(name, limit=60)}", "unknown key", hint)


def _elsewhere(name: str) -> str:
    homes = [key for key in KEYS if key.partition(".")[2] == name]
    return f"Did you mean {homes[0]}?" if homes else ""


def _from_environment(environ: Mapping[str, str]) -> Settings:
    found: Settings = {}
    for option in OPTIONS:
        for variable in option.variables:
            if environ.get(variable, "").strip():
                value = _bare(option.key, environ[variable].strip())
                found.setdefault(option.key, Setting(value, "environment", variable))
    return found


def _from_flags(flags: Mapping[str, Any], faults: list[ConfigError]) -> Settings:
    found: Settings = {}
    options = {option.key: option.option for option in OPTIONS}
    for key, value in flags.items():
        if value is None:
            continue
        if key not in KEYS:
            faults.append(ConfigError(key, "unknown key", did_you_mean(key, KEYS)))
            continue
        found[key] = Setting(_bare(key, value), "flag", options.get(key, key))
    return found


def _from_override(override: str, faults: list[ConfigError]) -> Settings:
    """Read one `--set KEY=VALUE`; the value is TOML where it can be, and text otherwise."""
    dotted, equals, value = override.partition("=")
    path = _path_of(dotted.strip())
    if not equals or path is None:
        shown = "(hidden)" if looks_like_key(override) else clean(dotted, limit=60)
        faults.append(
            ConfigError(
                f"--set {shown}", "cannot be read", "Write it as KEY=VALUE, like retry.max_attempts=3."
            )
        )
        return {}
    leaf: Any = _bare(".".join(path), value.strip())
    for name in reversed(path):
        leaf = {name: leaf}
    return _named(leaf, "flag", "--set ", faults)


def _path_of(dotted: str) -> list[str] | None:
    """Return the parts of a dotted key, which may be quoted as in TOML."""
    if not dotted or "\n" in dotted or "\r" in dotted or "=" in dotted or "#" in dotted:
        return None
    try:
        node: Any = tomli.loads(f"{dotted} = 0")
    except tomli.TOMLDecodeError:
        return None
    path: list[str] = []
    while isinstance(node, Mapping):
        (name, node), *_ = node.items()
        path.append(name)
    return path


def _bare(key: str, value: Any) -> Any:
    """Read a word of the command line as a TOML value, except where the key wants text."""
    if not isinstance(value, str):
        return Decimal(str(value)) if isinstance(value, float) else value
    read = _as_toml(value)
    if key in KEYS and KEYS[key].shape in ("text", "path") and not isinstance(read, str):
        return value
    return read


def _as_toml(word: str) -> Any:
    if "\n" in word or "\r" in word:
        return word
    try:
        read = tomli.loads(f"value = {word}", parse_float=decimal)
    except (ValueError, RecursionError):
        return word
    return read["value"] if read.keys() == {"value"} and "#" not in word else word
