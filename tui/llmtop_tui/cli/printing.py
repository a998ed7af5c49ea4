"""Where words go: data to stdout, messages to stderr, everything cleaned that a person reads.

Nothing here decides what is said.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llmtop.cleaning import clean
from llmtop_tui.jsonlines import dumps

_COLOURS = {"good": "34", "warn": "33", "bad": "31;7"}
_LINE_LIMIT = 4096


def put(line: str) -> None:
    """Print one line of data for a person. The caller has cleaned its fields."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.buffer.write((line + "\n").encode(encoding, "replace"))


def put_json(value: Any) -> None:
    """Print one JSON document."""
    put(dumps(value, indent=2))


def put_json_list(values: Iterable[Any]) -> None:
    """Print one JSON array, one element a line, without holding it all."""
    lead = "["
    for value in values:
        put(f"{lead}\n{dumps(value)}" if lead == "[" else f"{lead}{dumps(value)}")
        lead = ","
    put("]" if lead == "," else "[]")


def say(message: str) -> None:
    """Print one line on stderr; a terminal that is gone is no error."""
    line = clean(message, limit=_LINE_LIMIT) + "\n"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.buffer.write(line.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
        sys.stderr.buffer.flush()


def has_colour(fd: int) -> bool:
    """Return whether colour is wanted on this descriptor: a terminal, not dumb, no NO_COLOR."""
    return os.isatty(fd) and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def coloured(line: str, role: str, is_on: bool) -> str:
    """Return the line in its role's colour (of the 16)."""
    code = _COLOURS.get(role)
    return f"\x1b[{code}m{line}\x1b[0m" if is_on and code else line


def cells(text: str) -> int:
    """Return how many terminal cells a cleaned text takes."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut a cleaned text to `width` cells; a cut shows as `~`."""
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _width(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "~" if width > 0 else ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head, its side, and the narrowest it may get (None: it is never cut)."""

    head: str
    side: Literal["left", "right"] = "left"
    least: int | None = None


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Lay out cleaned cells; `width` None: nothing is cut. Columns with a `least` give way, last first."""
    widths = [
        max([cells(column.head), *(cells(row[at]) for row in rows)]) for at, column in enumerate(columns)
    ]
    if width is not None:
        over = sum(widths) + 2 * (len(columns) - 1) - width
        for at in reversed(range(len(columns))):
            least = columns[at].least
            if over > 0 and least is not None:
                given = min(over, max(0, widths[at] - least))
                widths[at] -= given
                over -= given
    lines = [[column.head for column in columns], *rows]
    return [_line(columns, widths, line) for line in lines]


def _line(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str]) -> str:
    parts = []
    for column, width, text in zip(columns, widths, texts, strict=True):
        shown = fit(text, width)
        space = " " * (width - cells(shown))
        parts.append(space + shown if column.side == "right" else shown + space)
    return "  ".join(parts).rstrip()


def terminal_width() -> int | None:
    """Return the width to fit lines into; None when stdout is no terminal and COLUMNS is not set."""
    if os.environ.get("COLUMNS", "").isdigit() or os.isatty(1):
        return max(40, shutil.get_terminal_size().columns)
    return None
