"""What a prompt is about: its text, the ids in it, and the items where several are packed. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmtop.adapters.simulator.draws import reference_of

_TOKENS_PER_MESSAGE = 4
_MOST_STARTS = 200
_PLACE_HOLDER = re.compile(r"\W*|<.*>|id")
_DECODER = json.JSONDecoder()
_TEXT_FIELDS = ("text", "prompt", "content", "title", "question", "input", "body")


@dataclass(frozen=True, slots=True)
class PackedItem:
    """One of several items in a prompt."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked."""

    system: str
    text: str
    """The last user message."""
    tokens: int
    """Of all messages."""
    system_tokens: int
    ids: tuple[str, ...]
    """Found in the text; of the items where it is a pack; empty where there is none."""
    items: tuple[PackedItem, ...]
    """More than none only where the text holds JSON with ids."""

    @property
    def key(self) -> str:
        """What tells this prompt from others: its ids, else its text."""
        return "|".join(self.ids) if self.ids else reference_of(self.text)


def tokens_of(text: str) -> int:
    """Return about as many tokens as a tokenizer would: a quarter of the bytes, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return (size + 3) // 4


def content_text(content: Any) -> str:
    """Return the text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if _is_text(part))
    return ""


def read_prompt(messages: Sequence[Mapping[str, Any]], id_pattern: re.Pattern[str] | None) -> Prompt:
    """Read the messages of a chat request; they have been validated."""
    system, text = "", ""
    tokens = system_tokens = 0
    for message in messages:
        content = content_text(message.get("content"))
        size = tokens_of(content) + _TOKENS_PER_MESSAGE
        tokens += size
        if message["role"] in ("system", "developer"):
            system = content
            system_tokens += size
        else:
            text = content
    items = packed_items(text) if '"id"' in text else ()
    if items:
        ids = tuple(dict.fromkeys(item.id for item in items))
    else:
        found = id_pattern.search(text) if id_pattern else None
        ids = (found.group(1),) if found and found.group(1) else ()
    return Prompt(system, text, tokens, system_tokens, ids, items)


def packed_items(text: str) -> tuple[PackedItem, ...]:
    """Return the items of the last JSON in `text` that is a list of objects with ids.

    The list may stand alone or as a value of an object; objects one a line are a list too. Lists
    whose ids are place-holders (`"..."`, `"<id>"`) show the shape of an answer and are no items.
    """
    items: tuple[PackedItem, ...] = ()
    position = 0
    for _ in range(_MOST_STARTS):
        start = _next_start(text, position)
        if start < 0:
            break
        try:
            value, position = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
            continue
        rows = _rows_in(value)
        if not rows and _has_id(value):
            rows, position = _lines_from(text, start)
        if rows and not all(_PLACE_HOLDER.fullmatch(str(row["id"])) for row in rows):
            items = tuple(PackedItem(str(row["id"]), _row_text(row)) for row in rows)
    return items


def _next_start(text: str, position: int) -> int:
    starts = [at for at in (text.find("[", position), text.find("{", position)) if at >= 0]
    return min(starts, default=-1)


def _rows_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return value if value and all(_has_id(row) for row in value) else []
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, list) and (rows := _rows_in(inner)):
                return rows
    return []


def _lines_from(text: str, start: int) -> tuple[list[dict[str, Any]], int]:
    """Return the objects with ids that follow each other, and where they end; one alone is no list."""
    rows: list[dict[str, Any]] = []
    end = start
    while True:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        if not _has_id(value):
            break
        rows.append(value)
        start = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n,"))
    return (rows if len(rows) > 1 else []), max(end, start)


def _row_text(row: Mapping[str, Any]) -> str:
    for name in _TEXT_FIELDS:
        if isinstance(row.get(name), str) and row[name].strip():
            return str(row[name])
    rest = [str(value) for key, value in row.items() if key != "id" and isinstance(value, (str, int, float))]
    return " ".join(rest) or str(row["id"])


def _has_id(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), (str, int))


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)
