"""Regular expressions that know Unicode, and can be stopped.

The one place that touches the `regex` package. Patterns of the user are compiled as `re` would
read them and run under a time limit, since a pattern can take for ever on a text made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import regex  # type: ignore[import-untyped]

from llmtop.cleaning import clean
from llmtop.config.values import BadValue

MAX_PATTERN = 10_000


class Match(Protocol):
    """What was found."""

    def start(self) -> int:
        """Where it starts."""

    def end(self) -> int:
        """Where it ends."""

    def group(self) -> str:
        """The text itself."""


class Pattern(Protocol):
    """A compiled pattern. With `timeout` in seconds it raises TimeoutError when that has passed."""

    pattern: str

    def search(self, text: str, *, timeout: float | None = None) -> Match | None:
        """Return the first match."""

    def finditer(self, text: str, *, timeout: float | None = None) -> Iterator[Match]:
        """Return all matches, from left to right."""

    def findall(self, text: str) -> list[str]:
        """Return the text of all matches."""

    def sub(self, replacement: str | Callable[[Any], str], text: str) -> str:
        """Replace all matches."""


def unicode_pattern(text: str) -> Pattern:
    """Compile a pattern of ours, with Unicode properties and set operations (V1)."""
    return cast(Pattern, regex.compile(text, regex.VERSION1))


def user_pattern(text: str, *, ignore_case: bool = False) -> Pattern:
    """Compile a pattern of the user. Raises BadValue with the place of the fault."""
    if len(text) > MAX_PATTERN:
        raise BadValue(f"is {len(text)} characters long, and may be {MAX_PATTERN}")
    try:
        return cast(Pattern, regex.compile(text, regex.IGNORECASE if ignore_case else 0))
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadValue(
            f"is no pattern: {clean(str(error), limit=160)}", "Write it as for Python's re."
        ) from None


def is_script(name: str) -> bool:
    """Whether Unicode knows a writing script of that name."""
    if not name.replace("_", "").replace(" ", "").isalpha():
        return False
    try:
        regex.compile(rf"\p{{Script={name}}}", regex.VERSION1)
    except regex.error:
        return False
    return True


WORD = unicode_pattern(r"\w+")
"""A run of letters, digits and underscores, with the accents and vowel signs that belong to them."""
