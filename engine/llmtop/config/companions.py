"""The small files that a config names: the prompt and the JSON Schema of the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

from llmtop.cleaning import clean
from llmtop.config.files import Unreadable, read_text
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
    schema = _text("request.schema_file", read, faults)
    return Companions(prompt, None if schema is None else _schema(schema, faults))


def _text(key: str, read: Mapping[str, Any], faults: list[ConfigError]) -> str | None:
    path = read.get(key)
    if not isinstance(path, Path):
        return None
    try:
        return read_text(path, _MAX_BYTES)
    except Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        what = f"{clean(str(path), limit=200)}{line}: {error.what}"
        faults.append(ConfigError(key, what, error.remedy))
        return None


def _schema(text: str, faults: list[ConfigError]) -> Mapping[str, Any] | None:
    where = "request.schema_file"
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
        jsonschema_rs.meta.validate(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = clean(getattr(error, "message", "") or str(error).partition("\n")[0], limit=160)
        faults.append(ConfigError(where, f"is not a JSON Schema: {reason}"))
        return None
    return schema
