"""The JSON Schema of a pack's answer, made from that of one item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DATA = frozenset(("const", "enum", "default", "examples"))
_ROOT_ONLY = frozenset(("$schema", "$id", "$defs", "definitions"))
_ITEM = "item_answer"


def pack_schema(item_schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the schema of `{"answers": [{"id", "answer"}]}`; an answer is a string, or fits `item_schema`.

    It fits OpenAI's strict mode where the item's schema does. References within the item's schema
    go on pointing at the same place.
    """
    definitions: dict[str, Any] = {}
    answer: dict[str, Any] = {"type": "string"}
    if item_schema is not None:
        for home in ("$defs", "definitions"):
            named = item_schema.get(home)
            if isinstance(named, Mapping):
                definitions |= {name: _moved(inner) for name, inner in named.items()}
        body = {name: inner for name, inner in item_schema.items() if name not in _ROOT_ONLY}
        answer = _moved(body)
        if _points_at_root(item_schema):
            definitions[_ITEM] = answer
            answer = {"$ref": f"#/$defs/{_ITEM}"}
    entry = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "answer": answer},
        "required": ["id", "answer"],
        "additionalProperties": False,
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": entry}},
        "required": ["answers"],
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def _moved(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: _target(value)
            if key == "$ref" and isinstance(value, str)
            else value
            if key in _DATA
            else _moved(value)
            for key, value in node.items()
        }
    return [_moved(inner) for inner in node] if isinstance(node, list) else node


def _target(reference: str) -> str:
    if not reference.startswith("#"):
        return reference
    for home in ("#/$defs/", "#/definitions/"):
        if reference.startswith(home):
            return "#/$defs/" + reference.removeprefix(home)
    return f"#/$defs/{_ITEM}{reference[1:]}"


def _points_at_root(node: Any) -> bool:
    """Whether a reference needs the item's schema to have a place of its own."""
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str) and _target(reference).startswith(f"#/$defs/{_ITEM}"):
            return True
        return any(_points_at_root(value) for key, value in node.items() if key not in _DATA)
    return isinstance(node, list) and any(_points_at_root(inner) for inner in node)
