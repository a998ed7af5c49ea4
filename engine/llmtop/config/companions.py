"""The small files that a config names: the prompt and the JSON Schema of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.files import Unreadable, read_text
from llmtop.config.json_schemas import SchemaFault, validator_of
from llmtop.config.placeholders import split_template
from llmtop.errors import ConfigError

_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Companions:
    """What stands in the files that a config names. None: it names none."""

    prompt: str | None = None
    schema: Mapping[str, Any] | None = None


def read_companions(read: Mapping[str, Any], faults: list[ConfigError]) -> Companions:
    """Read prompt and schema file; what is wrong with them is added to `faults`."""
    prompt = _text("request.prompt_file", read, faults)
    if prompt is not None:
        try:
            split_template(prompt, "request.prompt_file")
        except ConfigError as fault:
            faults.append(fault)
    path = read.get("request.schema_file")
    schema = read_schema(path, "request.schema_file", faults) if isinstance(path, Path) else None
    return Companions(prompt, schema)


def read_schema(path: Path, where: str, faults: list[ConfigError]) -> Mapping[str, Any] | None:
    """Return the JSON Schema in a file; None: what is wrong with it has been added to `faults`."""
    text = _text_of(path, where, faults)
    return None if text is None else _schema(text, where, faults)


def _text(key: str, read: Mapping[str, Any], faults: list[ConfigError]) -> str | None:
    path = read.get(key)
    return _text_of(path, key, faults) if isinstance(path, Path) else None


def _text_of(path: Path, where: str, faults: list[ConfigError]) -> str | None:
    try:
        return read_text(path, _MAX_BYTES)
    except Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        what = f"{clean(str(path), limit=200)}{line}: {error.what}"
        faults.append(ConfigError(where, what, error.remedy))
        return None


def _schema(text: str, where: str, faults: list[ConfigError]) -> Mapping[str, Any] | None:
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        faults.append(ConfigError(where, f"is not JSON (line {error.lineno}: {error.msg})"))
        return None
    except (ValueError, RecursionError):
        faults.append(ConfigError(where, "is not JSON that can be read"))
        return None
    if not isinstance(schema, dict):
        faults.append(
            ConfigError(where, "is not a JSON object", 'A schema looks like {"type": "object", ...}.')
        )
        return None
    try:
        validator_of(schema)
    except SchemaFault as fault:
        faults.append(ConfigError(where, str(fault)))
        return None
    return schema
