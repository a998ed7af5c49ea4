"""JSON that satisfies a simple JSON schema, filled from the prompt. Pure.

Knows object, array, string, number, integer, boolean, null, enum, const, anyOf, oneOf, allOf of
one, local `$ref`, and the bounds of strings, numbers and arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.adapters.simulator.draws import reference_of
from llmtop.adapters.simulator.prompts import PackedItem, Prompt
from llmtop.adapters.simulator.writing import answer_text, title_of

_MOST_DEPTH = 20


def fill(schema: Mapping[str, Any], prompt: Prompt, items: Sequence[PackedItem]) -> Any:
    """Return a value that satisfies `schema`. An array whose objects have an `id` gets one for each item."""
    item_id = prompt.ids[0] if prompt.ids else None
    return _Filler(schema, items).value(schema, PackedItem(item_id or "", prompt.text), "", 0)


class _Filler:
    def __init__(self, root: Mapping[str, Any], items: Sequence[PackedItem]) -> None:
        self._root = root
        self._items = items

    def value(self, schema: Any, about: PackedItem, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _MOST_DEPTH:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        pick = int(reference_of(f"{name}|{about.text}"), 16)
        if schema.get("enum"):
            return schema["enum"][pick % len(schema["enum"])]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((word for word in kind if word != "null"), "null")
        if kind == "object":
            return self._object(schema, about, depth)
        if kind == "array":
            return self._array(schema, about, name, depth)
        return _scalar(kind, schema, about, name, pick)

    def _object(self, schema: Mapping[str, Any], about: PackedItem, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        if not properties and self._items and schema.get("additionalProperties", True) is not False:
            inner = schema.get("additionalProperties")
            inner = inner if isinstance(inner, Mapping) else {"type": "string"}
            return {item.id: self.value(inner, item, "", depth + 1) for item in self._items}
        return {
            name: self.value(inner, self._named(name) or about, name, depth + 1)
            for name, inner in properties.items()
        }

    def _named(self, name: str) -> PackedItem | None:
        return next((item for item in self._items if item.id == name), None)

    def _array(self, schema: Mapping[str, Any], about: PackedItem, name: str, depth: int) -> list[Any]:
        inner = schema.get("items") or {"type": "string"}
        resolved = self._resolved(inner)
        if self._items and "id" in (resolved.get("properties") or {}):
            return [self.value(inner, item, name, depth + 1) for item in self._items]
        count = max(int(schema.get("minItems", 1)), 1 if schema.get("maxItems", 1) else 0)
        return [self.value(inner, about, f"{name}{index}", depth + 1) for index in range(count)]

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(_MOST_DEPTH):
            chosen = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if isinstance(schema.get("$ref"), str):
                schema = self._target(schema["$ref"])
            elif isinstance(chosen, list) and chosen and isinstance(chosen[0], Mapping):
                schema = chosen[0]
            else:
                break
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        place: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                place = place.get(part, {}) if isinstance(place, Mapping) else {}
        return place if isinstance(place, Mapping) else {}


def _scalar(kind: str, schema: Mapping[str, Any], about: PackedItem, name: str, pick: int) -> Any:
    if kind == "boolean":
        return pick % 2 == 0
    if kind == "integer":
        return math.floor(_number(schema, pick))
    if kind == "number":
        return _number(schema, pick)
    if kind == "null":
        return None
    return _string(schema, about, name)


def _number(schema: Mapping[str, Any], pick: int) -> float:
    low = float(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
    high = schema.get("maximum")
    if high is None:
        high = schema.get("exclusiveMaximum", low + 11) - 1
    step = float(schema.get("multipleOf", 1))
    first = math.ceil(low / step)
    last = max(first, math.floor(float(high) / step))
    return (first + pick % (last - first + 1)) * step


def _string(schema: Mapping[str, Any], about: PackedItem, name: str) -> str:
    if name == "id" and about.id:
        return about.id
    if name in ("title", "name", "heading"):
        text = title_of(about.text)
    else:
        text = answer_text(about.text, about.id or None)
    longest = schema.get("maxLength")
    if isinstance(longest, int):
        text = text[:longest]
    return text.ljust(int(schema.get("minLength", 0)), ".")
