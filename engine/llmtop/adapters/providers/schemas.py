"""Whether a JSON Schema fits OpenAI's strict mode."""

from __future__ import annotations

from typing import Any


def is_strict(schema: object) -> bool:
    """Whether every object requires all of its properties and allows no others (OpenAI's rule for `strict`).

    A schema that does not is sent with `strict: false`: refused otherwise, with a 400 for every item.
    """
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if _is_object(node) and not _is_closed(node):
                return False
            properties = node.get("properties")
            if isinstance(properties, dict):
                pending.extend(properties.values())
            pending.extend(node[name] for name in ("items", "anyOf") if name in node)
            for name in ("$defs", "definitions"):
                named = node.get(name)
                pending.extend(named.values() if isinstance(named, dict) else ())
    return True


def _is_object(node: dict[str, Any]) -> bool:
    return node.get("type") == "object" or "properties" in node


def _is_closed(node: dict[str, Any]) -> bool:
    properties = node.get("properties")
    required = node.get("required")
    names = set(properties) if isinstance(properties, dict) else set()
    return node.get("additionalProperties") is False and isinstance(required, list) and names == set(required)
