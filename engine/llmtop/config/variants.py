"""`[[variants]]`: the same items under several settings, one run each, described in one file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.unspoken import looks_like_key
from llmtop.config.values import kind_of, shown
from llmtop.errors import ConfigError

SECTION = "variants"
_MAX_VARIANTS = 50
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,49}", re.ASCII)
_OUTPUTS = ("output.path", "output.rejected_path")


@dataclass(frozen=True, slots=True)
class Variant:
    """What one run of a file has of its own."""

    name: str
    tree: Mapping[str, Any]
    """Its settings, in sections as in the file."""

    @property
    def label(self) -> str:
        """What stands before a key in a message."""
        return f"{SECTION}.{self.name}."


def variants_of(value: Any) -> tuple[list[Variant], list[ConfigError]]:
    """Return the variants of a file (`value`: what stands under `variants`) and what is wrong with them."""
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        what = f"is {kind_of(value)}, and must be tables"
        return [], [ConfigError(SECTION, what, "Write [[variants]] with a name and its keys below.")]
    if len(value) > _MAX_VARIANTS:
        what = f"are {len(value)}, and may be {_MAX_VARIANTS}"
        return [], [ConfigError(SECTION, what, "Spread them over several files.")]
    found: dict[str, Variant] = {}
    faults: list[ConfigError] = []
    for number, entry in enumerate(value, start=1):
        where = f"{SECTION}[{number}].name"
        name = entry.get("name")
        if fault := _name_fault(name):
            faults.append(ConfigError(where, *fault))
        elif name.casefold() in found:
            faults.append(ConfigError(where, f"is {shown(name)} a second time", "Name each variant once."))
        else:
            settings = {key: setting for key, setting in entry.items() if key != "name"}
            found[name.casefold()] = Variant(name, settings)
    return list(found.values()), faults


def own_file(path: Path, variant: Variant) -> Path:
    """Return the output file of a variant that names none: of `out.jsonl` it is `out.NAME.jsonl`."""
    return path.with_name(f"{path.stem}.{variant.name}{path.suffix}")


def give_own_files(read: dict[str, Any], variant: Variant, said_by_variant: Sequence[str]) -> None:
    """Give a variant files of its own where it names none: two runs cannot write one file."""
    for key in _OUTPUTS:
        if isinstance(read.get(key), Path) and key not in said_by_variant:
            read[key] = own_file(read[key], variant)


def faults_by_variant(found: Mapping[str, Sequence[ConfigError]]) -> list[ConfigError]:
    """Return the faults of all variants: those that all have once, the others with their variant's name."""
    lists = list(found.values())
    shared = {(fault.where, fault.what) for fault in lists[0]}
    for faults in lists[1:]:
        shared &= {(fault.where, fault.what) for fault in faults}
    together = [fault for fault in lists[0] if (fault.where, fault.what) in shared]
    for name, faults in found.items():
        for fault in faults:
            if (fault.where, fault.what) in shared:
                continue
            is_named = fault.where.startswith(f"{SECTION}.")
            where = fault.where if is_named else f"{SECTION}.{name}: {fault.where}"
            together.append(ConfigError(where, fault.what, fault.remedy))
    return together


def _name_fault(name: Any) -> tuple[str, str] | None:
    remedy = "It becomes a part of the run's name and of its output file: letters, digits, . _ and -."
    if name is None:
        return "is missing", 'For example name = "small".'
    if not isinstance(name, str):
        return f"is {kind_of(name)}, and must be text in quotes", remedy
    if not _NAME.fullmatch(name) or looks_like_key(name):
        spelled = "(hidden)" if looks_like_key(name) else f'"{clean(name, limit=60)}"'
        return f"is {spelled}, which cannot be a variant's name", remedy
    return None
