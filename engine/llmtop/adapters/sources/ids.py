"""Ids of items: which are allowed, and whether one was seen before."""

from __future__ import annotations

import math
from array import array
from typing import Any

from llmtop.cleaning import clean

MAX_ID_CHARACTERS = 512
_SLOTS_AT_START = 1 << 10
_FULL = 0.8
_MASK = (1 << 64) - 1


class BadId(Exception):
    """What is wrong with an id."""


def id_text(value: Any) -> str:
    """Return an id as text; whole numbers become their decimal text. Raises BadId."""
    if isinstance(value, str):
        return _checked(value)
    if isinstance(value, bool):
        raise BadId("is a boolean")
    if isinstance(value, int):
        return _checked(str(value) if abs(value) < 10**600 else "9" * 600)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadId("is not a finite number")
        return repr(value)
    kinds = {type(None): "is null", list: "is a list", dict: "is an object"}
    raise BadId(kinds.get(type(value), "is neither text nor a number"))


def _checked(text: str) -> str:
    if not text.strip():
        raise BadId("is blank")
    if len(text) > MAX_ID_CHARACTERS:
        raise BadId(f"is longer than {MAX_ID_CHARACTERS} characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadId("holds half of a character (a lone surrogate)")
    if "\0" in text:
        raise BadId("holds a NUL character")
    return text


def shown_id(text: str) -> str:
    """Return an id for a message."""
    return f'"{clean(text, limit=60)}"'


class SeenIds:
    """Remembers ids in 10 to 20 bytes each: a table of 64-bit digests with open addressing.

    Two ids may share a digest (once in some 10^8 runs of 200,000 items), so a hit is a suspicion
    that the caller verifies.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _SLOTS_AT_START))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __repr__(self) -> str:
        return f"SeenIds({self._used} of {len(self._slots)} slots)"

    def add(self, text: str) -> bool:
        """Remember an id; return whether one with its digest was there already."""
        digest = (hash(text) & _MASK) or 1
        slots = self._slots
        last = len(slots) - 1
        at = digest & last
        while held := slots[at]:
            if held == digest:
                return True
            at = (at + 1) & last
        slots[at] = digest
        self._used += 1
        if self._used > len(slots) * _FULL:
            self._grow()
        return False

    def _grow(self) -> None:
        old = self._slots
        slots = array("Q", bytes(16 * len(old)))
        last = len(slots) - 1
        for digest in old:
            if digest:
                at = digest & last
                while slots[at]:
                    at = (at + 1) & last
                slots[at] = digest
        self._slots = slots
