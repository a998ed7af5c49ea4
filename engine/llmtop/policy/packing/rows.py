"""The entries of a pack's answer, found in whatever text the model wrote around or into its JSON.

Read in three steps, each only where the one before found nothing or stopped half way: the JSON as
it stands, within fences and chat; entry by entry, up to where it was cut off or broken; and the
one that is broken mended by json-repair, and taken only where the text itself had closed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import json_repair

from llmtop.policy.packing.json_text import Pairs, decode, skip

_MOST_STARTS = 50
_MOST_WRAPPERS = 3
_MOST_MENDED = 4_000
"""Characters of one broken entry: a longer one is asked again instead."""
_MOST_MENDED_IN_ALL = 12_000
_MOST_OPENERS = 30
_OPENERS = re.compile(r"[{\[(]")
_CLOSING = re.compile(
    r"""["'”\]}\w]\s*+(?:,\s*+)?(?P<end>\})\s*+(?:,\s*+)?(?=\{\s*+["']?id["']?\s*+:|\]|\Z)"""
)
"""The end of an entry: a brace before the next entry, or before the end of the list."""
_INNER_ID = re.compile(r"""["']?id["']?\s*:""")
_ANSWER_END = r"""\s*+["'”]\s*+(?:,\s*+)?\}"""
_TAIL = 24
_OPENING = re.compile(r"[{\[]")
_LIST_KEY = "answers"
_NO_ANSWERS = frozenset(("error", "status", "reason"))
_ANSWER_KEYS = ("answer", "output", "result", "response", "text", "value", "content")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry: an id as it was written, and the value that stands for its answer."""

    id: str
    value: Any
    rest: Any = None
    """The entry without its id, where no key of it says "answer"."""
    is_doubled: bool = False
    is_mended: bool = False


@dataclass(slots=True)
class Found:
    """What was found."""

    rows: list[Row] = field(default_factory=list)
    is_truncated: bool = False


def find_rows(text: str, ids: Collection[str]) -> Found:
    """Return the entries of the first JSON in `text` that is an answer to a pack of these ids.

    Where none names an id that was asked, those of the first that looks like one.
    """
    strange: Found | None = None
    for at in _starts(text):
        found = _read_at(text, at, ids)
        if found is None:
            continue
        if not found.rows or any(row.id.strip() in ids or row.id in ids for row in found.rows):
            return found
        strange = strange or found
    return strange or Found()


def _read_at(text: str, at: int, ids: Collection[str]) -> Found | None:
    try:
        value, _ = decode(text, at)
    except ValueError:
        return _piecewise(text, at, ids, _MOST_WRAPPERS)
    if isinstance(value, dict) and _is_entry(value, ids):
        return _entries(text, at, is_list=False)
    rows = _rows_in(value, ids, _MOST_WRAPPERS)
    return Found(rows) if rows else None


def _starts(text: str) -> Iterator[int]:
    """Yield where JSON may start; what was read as a whole and is no answer is passed over."""
    at = 0
    for _ in range(_MOST_STARTS):
        opening = _OPENING.search(text, at)
        if opening is None:
            return
        yield opening.start()
        try:
            _, at = decode(text, opening.start())
        except ValueError:
            at = opening.start() + 1


def _rows_in(value: Any, ids: Collection[str], depth: int) -> list[Row]:
    if isinstance(value, list):
        return [row for entry in value if (row := _row(entry)) is not None]
    if not isinstance(value, dict):
        return []
    if _is_entry(value, ids):
        row = _row(value)
        return [row] if row else []
    if set(value) == {_LIST_KEY} and isinstance(value[_LIST_KEY], list):
        return _rows_in(value[_LIST_KEY], ids, 0)
    doubled = value.doubled if isinstance(value, Pairs) else frozenset()
    if any(key in ids for key in value):
        return [Row(key, inner, is_doubled=key in doubled) for key, inner in value.items()]
    if depth:
        for inner in value.values():
            if isinstance(inner, dict | list) and (rows := _rows_in(inner, ids, depth - 1)):
                return rows
    return []


def _is_entry(value: dict[str, Any], ids: Collection[str]) -> bool:
    return "id" in value and "id" not in ids and _id_of(value["id"]) is not None


def _id_of(raw: Any) -> str | None:
    if isinstance(raw, str):
        return raw
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else None


def _row(entry: Any, *, is_mended: bool = False) -> Row | None:
    """Return an object with an id as a row, or None. A flattened answer has no key of its own."""
    if not isinstance(entry, dict) or (id_ := _id_of(entry.get("id"))) is None:
        return None
    rest = {key: value for key, value in entry.items() if key != "id"}
    doubled = entry.doubled if isinstance(entry, Pairs) else frozenset()
    key = next((key for key in _ANSWER_KEYS if key in rest), None)
    if key is None and len(rest) == 1 and not rest.keys() & _NO_ANSWERS:
        key = next(iter(rest))
    value = rest[key] if key is not None else None
    return Row(id_, value, None if key == "answer" else rest or None, bool(doubled), is_mended)


# -- entry by entry ----------------------------------------------------------------------------


def _piecewise(text: str, at: int, ids: Collection[str], depth: int) -> Found | None:
    """Read broken or cut JSON that starts at `at`; None where it does not look like an answer."""
    inside = skip(text, at + 1)
    if text[at] == "[":
        return _entries(text, inside, is_list=True) if text[inside : inside + 1] == "{" else None
    try:
        key, end = decode(text, inside)
    except ValueError:
        return None
    colon = skip(text, end)
    if not isinstance(key, str) or text[colon : colon + 1] != ":":
        return None
    if key in ids:
        return _pairs(text, inside)
    if key == "id":
        return _entries(text, at, is_list=False)
    value = skip(text, colon + 1)
    if depth and text[value : value + 1] in ("{", "["):
        return _piecewise(text, value, ids, depth - 1)
    return None


def _entries(text: str, at: int, *, is_list: bool) -> Found:
    """Read objects one after the other, up to the end of their list or to the first that is broken."""
    found = Found()
    mender = _Mender()
    while True:
        at = skip(text, at, ",")
        if text[at : at + 1] != "{":
            found.is_truncated = is_list and text[at : at + 1] != "]"
            return found
        try:
            value, at = decode(text, at)
        except ValueError:
            behind = mender.mend(text, at, found)
            if behind is None:
                found.is_truncated = True
                return found
            at = behind
            continue
        row = _row(value)
        if row is not None:
            found.rows.append(row)


def _pairs(text: str, at: int) -> Found:
    """Read key after key of an object id -> answer; a value counts when something follows it."""
    found = Found()
    seen: dict[str, int] = {}
    while True:
        at = skip(text, at, ",")
        try:
            key, end = decode(text, at)
            colon = skip(text, end)
            if not isinstance(key, str) or text[colon : colon + 1] != ":":
                raise ValueError("no key")
            value, end = decode(text, skip(text, colon + 1))
            at = skip(text, end)
            if text[at : at + 1] not in (",", "}"):
                raise ValueError("cut off")
        except ValueError:
            found.is_truncated = True
            return found
        seen[key] = seen.get(key, 0) + 1
        found.rows.append(Row(key, value, is_doubled=seen[key] > 1))
        if text[at] == "}":
            return found


# -- mending -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Mender:
    """Mends broken entries one at a time, within bounds: json-repair takes minutes on texts made for it."""

    left: int = _MOST_MENDED_IN_ALL

    def mend(self, text: str, at: int, found: Found) -> int | None:
        """Add the broken entry at a place to `found` where it can be mended; return the place behind it.

        None: nothing behind it can be trusted, since the entry is not closed, or a bracket in it is not.
        """
        closing = _CLOSING.search(text, at)
        if closing is None:
            return None
        entry = text[at : closing.start("end") + 1]
        if entry.count("{") != entry.count("}") or entry.count("[") != entry.count("]"):
            return None
        row = self._mended(entry)
        if row is not None and (not isinstance(row.value, str) or _is_closed(row.value, entry)):
            found.rows.append(row)
        return closing.start("end") + 1

    def _mended(self, entry: str) -> Row | None:
        self.left -= len(entry)
        if len(entry) > _MOST_MENDED or self.left < 0 or len(_OPENERS.findall(entry)) > _MOST_OPENERS:
            return None
        try:
            return _row(json_repair.loads(entry), is_mended=True)
        except (ValueError, RecursionError, IndexError):
            return None


def _is_closed(answer: str, text: str) -> bool:
    """Whether the text itself ends this answer and its entry, and no other entry lies within it."""
    if _INNER_ID.search(answer) or not answer.strip():
        return False
    tail = answer[-_TAIL:]
    forms = (json.dumps(tail, ensure_ascii=False)[1:-1], json.dumps(tail)[1:-1], tail)
    return any(re.search(re.escape(written) + _ANSWER_END, text) for written in forms)
