"""Build a checked `RunConfig` from a TOML file, the environment and the command line.

All faults of a file are told together. Nothing here contacts anybody, runs anything or reads an
API key; besides the config only the small files that it names (prompt, schema) are read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli

from llmtop.cleaning import clean
from llmtop.config.build import build
from llmtop.config.checks import check_together
from llmtop.config.companions import read_companions
from llmtop.config.files import Unreadable, read_text
from llmtop.config.filter_tables import rooted
from llmtop.config.input_format import STDIN
from llmtop.config.keys import EXCLUSIVE, KEYS, MAX_NAME
from llmtop.config.schema import RunConfig
from llmtop.config.settings import Setting, Settings, decimal, gather
from llmtop.config.values import BadValue
from llmtop.config.variants import SECTION as VARIANTS
from llmtop.config.variants import Variant, faults_by_variant, give_own_files, variants_of
from llmtop.errors import ConfigError, ConfigErrors

MAX_CONFIG_BYTES = 2**20
MAX_FAULTS = 20


def load_config(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[RunConfig, ...]:
    """Return the runs that a config file describes: one, or one for each of its variants.

    `overrides` are the words of `--set KEY=VALUE`; `flags` maps dotted keys to what options of their
    own said (None: not given); `environ` holds the options' twins `LLMTOP_...` (None: none are read).
    Relative paths are relative to the config file, those from outside it to the working folder.
    Raises ConfigErrors with every fault.
    """
    try:
        return _load_all(path, _Said(overrides, flags or {}, environ or {}))
    except _Faulty as faulty:
        raise ConfigErrors(clean(str(path)), _at_most(faulty.faults)) from None


class _Faulty(Exception):
    def __init__(self, faults: Sequence[ConfigError]) -> None:
        super().__init__(faults)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said beside the file."""

    overrides: Sequence[str]
    flags: Mapping[str, Any]
    environ: Mapping[str, str]


def _load_all(path: Path, said: _Said) -> tuple[RunConfig, ...]:
    tree = _parse(path)
    variants, faults = variants_of(tree.pop(VARIANTS, []))
    if not variants:
        if faults:
            raise _Faulty(faults)
        return (_load(path, tree, said, None),)
    loaded: list[RunConfig] = []
    found: dict[str, Sequence[ConfigError]] = {}
    for variant in variants:
        try:
            loaded.append(_load(path, tree, said, variant))
            found[variant.name] = ()
        except _Faulty as faulty:
            found[variant.name] = faulty.faults
    faults += faults_by_variant(found)
    if faults:
        raise _Faulty(faults)
    return tuple(loaded)


def _load(path: Path, tree: Mapping[str, Any], said: _Said, variant: Variant | None) -> RunConfig:
    faults: list[ConfigError] = []
    settings = gather(
        tree,
        overrides=said.overrides,
        flags=said.flags,
        environ=said.environ,
        faults=faults,
        variant=variant,
    )
    faults += [_both(one, other) for one, other in EXCLUSIVE if one in settings and other in settings]
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100  (resolve() would follow symlinks)
    read = _read_all(settings, folder, faults)
    faults += check_together(read, settings.keys())
    texts = read_companions(read, faults)
    if faults:
        raise _Faulty(_once_a_place(faults))
    origins = {key: setting.origin for key, setting in settings.items()}
    if variant is not None:
        own = [key for key, setting in settings.items() if setting.where == f"{variant.label}{key}"]
        give_own_files(read, variant, own)
    config = build(Path(os.path.abspath(path)), read, texts, origins)  # noqa: PTH100
    return config if variant is None else _named_after(config, variant)


def _named_after(config: RunConfig, variant: Variant) -> RunConfig:
    name = f"{config.name}-{variant.name}"
    if len(name) > MAX_NAME:
        what = f"is {len(name)} characters long with its variant, and may be {MAX_NAME}"
        raise _Faulty([ConfigError("name", what, "Shorten one of the two.")])
    return replace(config, name=name)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomli.loads(read_text(path, MAX_CONFIG_BYTES), parse_float=decimal)
    except Unreadable as error:
        where = f"line {error.line}" if error.line else ""
        raise _Faulty([ConfigError(where, error.what, error.remedy)]) from None
    except tomli.TOMLDecodeError as error:
        what = f"is not TOML: {clean(error.msg, limit=200)} (column {error.colno})"
        raise _Faulty(
            [ConfigError(f"line {error.lineno}", what, "Mend the line; text stands in quotes.")]
        ) from None
    except RecursionError:
        raise _Faulty([ConfigError("", "is nested too deeply", "Is it the right file?")]) from None
    except ValueError:
        raise _Faulty([ConfigError("", "holds a number with thousands of digits", "Shorten it.")]) from None


def _read_all(settings: Settings, folder: Path, faults: list[ConfigError]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, setting in settings.items():
        try:
            value = KEYS[key].read(setting.value)
        except BadValue as error:
            faults.append(ConfigError(setting.where, error.what, error.remedy))
        else:
            read[key] = _absolute(value, setting, folder) if KEYS[key].shape == "path" else value
    if "filters" in read:
        said = settings["filters"]
        read["filters"] = rooted(read["filters"], _root(said, folder), said.where, faults)
    return read


def _root(setting: Setting, folder: Path) -> Path:
    """Return what a relative path is relative to: of a word from outside the file, the working folder."""
    return folder if setting.origin == "file" else Path.cwd()


def _absolute(value: str, setting: Setting, folder: Path) -> Path:
    path = Path(value)
    if path == STDIN:
        return path
    return Path(os.path.abspath(_root(setting, folder) / path))  # noqa: PTH100


def _both(one: str, other: str) -> ConfigError:
    return ConfigError(other, f"says the same as {one}", "Keep one of them.")


def _once_a_place(faults: Sequence[ConfigError]) -> list[ConfigError]:
    """Keep the first fault of each place: a key that cannot be read is not missing as well."""
    first: dict[str, ConfigError] = {}
    for fault in faults:
        first.setdefault(fault.where.removeprefix("--set "), fault)
    return list(first.values())


def _at_most(faults: Sequence[ConfigError]) -> list[ConfigError]:
    if len(faults) <= MAX_FAULTS:
        return list(faults)
    rest = len(faults) - MAX_FAULTS + 1
    return [*faults[: MAX_FAULTS - 1], ConfigError("", f"{rest} more faults", "Mend these first.")]
