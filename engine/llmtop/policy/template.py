"""Prompt templates: `{field}` of the item, and nothing else.

What the syntax allows is said in `config.placeholders`. Values are data: braces in them stay braces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.placeholders import split_template
from llmtop.errors import InputError


class Template:
    """A prompt with holes. Raises ConfigError where it is built when its syntax is wrong."""

    __slots__ = ("_pairs", "fields", "text")

    def __init__(self, text: str, where: str = "request.prompt") -> None:
        self.text = text
        self._pairs = split_template(text, where)
        self.fields: frozenset[str] = frozenset(field for _, field in self._pairs if field is not None)

    def __repr__(self) -> str:
        return f"Template({len(self.text)} characters, fields {sorted(self.fields)})"

    def render(self, fields: Mapping[str, Any]) -> str:
        """Fill in the fields. Text goes in as it is, null as nothing, the rest as compact JSON.

        Raises InputError when a field is missing.
        """
        parts: list[str] = []
        for literal, field in self._pairs:
            parts.append(literal)
            if field is None:
                continue
            if field not in fields:
                raise InputError("", f'has no field "{clean(field, limit=60)}"', "The prompt needs it.")
            parts.append(as_text(fields[field]))
        return "".join(parts)


def as_text(value: Any) -> str:
    """Return a field's value as it stands in a prompt."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
