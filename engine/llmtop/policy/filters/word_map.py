"""Words replaced by other words: whole words only, upper and lower case kept.

For `replace_words` and `typos`. A word is whole where no letter, digit, accent or joint (an
apostrophe or hyphen with a letter behind it) touches it: "foto" is not found in "foto's".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.values import BadValue
from llmtop.errors import ConfigError
from llmtop.policy.filters.patterns import WORD
from llmtop.policy.filters.settings import text_map

_JOINTS = frozenset("'’-‐‑")


def word_entries(value: Any) -> dict[str, str]:
    """Read a map of words or phrases, each of which starts and ends with a letter or digit."""
    read = text_map(value)
    if not read:
        raise BadValue("is empty", 'For example { teh = "the" }.')
    for key in read:
        if not key or not (_is_word(key[0]) and _is_word(key[-1])):
            raise BadValue(
                f'has the entry "{clean(key, limit=60)}", which must start and end with a letter',
                "Use the filter strip_metadata for other fragments.",
            )
    return read


class WordMap:
    """Finds entries in lower-cased text and puts in what stands for them."""

    __slots__ = ("_entries", "_ignore_case", "_starts")

    def __init__(self, entries: Mapping[str, str], *, ignore_case: bool) -> None:
        """Raises ConfigError where a replacement would itself be replaced the next time."""
        self._ignore_case = ignore_case
        self._entries: dict[str, str] = {}
        for key, replacement in entries.items():
            for form in ("NFC", "NFD"):
                folded = unicodedata.normalize(form, key)
                self._entries[_lower(folded) if ignore_case else folded] = replacement
        self._starts: dict[str, list[str]] = {}
        for key in self._entries:
            self._starts.setdefault(WORD.findall(key.lower())[0], []).append(key)
        for key, replacement in entries.items():
            again, hits = self.replaced(replacement, WORD.findall(replacement.lower()))
            if hits:
                raise ConfigError(
                    f'map."{clean(key, limit=60)}"',
                    f'gives "{clean(replacement, limit=60)}", which would be replaced again',
                    f'Give "{clean(again, limit=60)}" at once, or take one of the two out.',
                )

    def replaced(self, text: str, words: list[str]) -> tuple[str, int]:
        """Return the text with its entries replaced, and how many were. `words`: of the text, lower-case."""
        starts = self._starts.keys() & words
        if not starts:
            return text, 0
        pieces: list[str] = []
        copied = taken = hits = 0
        for start, end, key in self._places(text, starts):
            if start < taken:
                continue
            taken = end
            found = text[start:end]
            written = _as_cased(found, self._entries[key]) if self._ignore_case else self._entries[key]
            if written != found:
                pieces += (text[copied:start], written)
                copied = end
                hits += 1
        return ("".join(pieces) + text[copied:], hits) if hits else (text, 0)

    def _places(self, text: str, starts: set[str]) -> list[tuple[int, int, str]]:
        """Return where entries stand, from left to right, the longest first."""
        haystack = _lower(text) if self._ignore_case else text
        keys = [key for start in starts for key in self._starts[start]]
        places = [(at, at + len(key), key) for key in keys for at in _occurrences(haystack, key)]
        return sorted(places, key=lambda place: (place[0], -place[1]))


def _occurrences(text: str, key: str) -> Iterator[int]:
    at = text.find(key)
    while at >= 0:
        end = at + len(key)
        if not _touches(text[at - 1 : at], text[max(0, at - 2) : at - 1] if at else "") and not _touches(
            text[end : end + 1], text[end + 1 : end + 2]
        ):
            yield at
        at = text.find(key, at + 1)


def _touches(near: str, far: str) -> bool:
    """Whether the character beside a word, or a joint with a letter behind it, makes the word longer."""
    return bool(near) and (_is_word(near) or (near in _JOINTS and bool(far) and _is_word(far)))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def _lower(text: str) -> str:
    """Lower case with every character in its place: the one that grows (İ) is left as it is."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def _as_cased(found: str, replacement: str) -> str:
    if len(found) > 1 and found.isupper():
        return replacement.upper()
    if found[0].isupper():
        return replacement[:1].upper() + replacement[1:]
    return replacement
