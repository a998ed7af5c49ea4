"""A request's body as UTF-8 JSON, and merging what the user adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from llmtop.adapters.providers.hints import storable


def encode(body: Mapping[str, Any]) -> bytes:
    """Return the body as UTF-8 JSON; what orjson refuses (lone surrogates, huge integers) goes slowly.

    A copy: what orjson returns keeps the room it made for the worst case, eight times a long text.
    """
    try:
        return bytes(memoryview(orjson.dumps(body)))
    except TypeError:
        return storable(json.dumps(body, ensure_ascii=False, allow_nan=False)).encode()


def merged(body: Mapping[str, Any], extra: Mapping[str, Any], tables: frozenset[str]) -> dict[str, Any]:
    """Return `body` with `extra` over it; a table of `tables` is filled up and not replaced."""
    result = {**body, **extra}
    for name in tables & body.keys() & extra.keys():
        ours, theirs = body[name], extra[name]
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            result[name] = {**ours, **theirs}
    return result


def version_path(base_url: str, versions: tuple[str, ...]) -> str:
    """Return what comes before a path: the first version, unless the address ends in one."""
    last = base_url.rstrip("/").rpartition("/")[2]
    return "" if last in versions else f"/{versions[0]}"
