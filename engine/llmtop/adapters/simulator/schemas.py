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
_MOST_ITEMS = 1_000
_MOST_LETTERS = 100_000
_MOST_BOUND = 1e15


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
        if isinstance(schema.get("enum"), list) and schema["enum"]:
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
        properties = _mapping(schema.get("properties"))
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
        resolved = self._resolved(_mapping(inner))
        if self._items and "id" in _mapping(resolved.get("properties")):
            return [self.value(inner, item, name, depth + 1) for item in self._items]
        least = 1.0 if _bound(schema, "maxItems", 1.0) else 0.0
        count = round(min(_MOST_ITEMS, max(least, _bound(schema, "minItems", least))))
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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scalar(kind: Any, schema: Mapping[str, Any], about: PackedItem, name: str, pick: int) -> Any:
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
    low = _bound(schema, "minimum", _bound(schema, "exclusiveMinimum", -1.0) + 1)
    high = _bound(schema, "maximum", _bound(schema, "exclusiveMaximum", low + 11) - 1)
    step = _bound(schema, "multipleOf", 1.0) or 1.0
    first = math.ceil(low / step)
    last = max(first, math.floor(high / step))
    return (first + pick % (last - first + 1)) * step


def _bound(schema: Mapping[str, Any], name: str, otherwise: float) -> float:
    """Return a bound of the schema; one that is no sane number is as good as none."""
    value = schema.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if value is not None and is_number and abs(value) < _MOST_BOUND else otherwise


def _string(schema: Mapping[str, Any], about: PackedItem, name: str) -> str:
    if name == "id" and about.id:
        return about.id
    if name in ("title", "name", "heading"):
        text = title_of(about.text)
    else:
        text = answer_text(about.text, about.id or None)
    text = text[: round(max(0.0, _bound(schema, "maxLength", _MOST_LETTERS)))]
    return text.ljust(round(min(_MOST_LETTERS, _bound(schema, "minLength", 0.0))), ".")
