"""The lists of models, in the words of each format. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmtop.adapters.simulator import complaints

_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"
_MOST_TOKENS = 128_000


def models_body(dialect: str, names: Sequence[str]) -> dict[str, Any] | list[Any]:
    """Return the list of the models `names` in a dialect."""
    rows = [model_body(dialect, name, names) for name in names]
    if dialect == "together":
        return rows
    if dialect == "gemini":
        return {"models": rows}
    if dialect == "anthropic":
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return {"data": rows, "has_more": False, **ends}
    return {"object": "list", "data": rows}


def model_body(dialect: str, name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return one of the models `names`. Raises Complaint where there is none of that name."""
    if name not in names:
        raise complaints.model_not_found(name)
    if dialect == "gemini":
        return {
            "name": f"models/{name}", "version": "001", "displayName": name, "inputTokenLimit": _MOST_TOKENS,
            "outputTokenLimit": _MOST_TOKENS,
            "supportedGenerationMethods": ["generateContent", "batchGenerateContent"],
        }  # fmt: skip
    if dialect == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}
    plain = {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}
    return {**plain, **_MORE.get(dialect, {})}


_MORE: Mapping[str, Mapping[str, Any]] = {
    "together": {"type": "chat", "display_name": "simulated", "context_length": _MOST_TOKENS},
    "mistral": {
        "type": "base", "max_context_length": _MOST_TOKENS,
        "capabilities": {"completion_chat": True, "completion_fim": False, "function_calling": False},
    },
}  # fmt: skip
