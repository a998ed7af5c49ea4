"""Read one value of a config: its type, its range, and what to say when it is wrong.

A reader takes a value as TOML gives it (numbers with a point as Decimal) and returns what the
schema holds, or raises `BadValue` with what is wrong and what would be right. It does not know
which key it reads. Durations, sizes, money and ranges are in `amounts`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llmtop.cleaning import clean
from llmtop.config.suggest import did_you_mean
from llmtop.config.unspoken import looks_like_key

Reader = Callable[[Any], Any]

_MAX_SHOWN = 60


class BadValue(Exception):
    """What is wrong with a value (reads on after the key's name), and what would be right."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy


def shown(value: object) -> str:
    """Return a value for a message: short, safe for a terminal, and never a key."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal | float):
        return clean(f"{value:,}".replace(",", "") if _is_short(value) else "a huge number", limit=_MAX_SHOWN)
    if isinstance(value, str):
        return "(hidden)" if looks_like_key(value) else f'"{clean(value, limit=_MAX_SHOWN)}"'
    return kind_of(value)


def _is_short(value: int | Decimal | float) -> bool:
    if isinstance(value, Decimal):
        return not value.is_finite() or abs(value.adjusted()) < 30
    return not isinstance(value, int) or abs(value) < 10**30


def kind_of(value: object) -> str:
    """Name the type of a value in the words of a TOML file."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | Decimal | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, datetime.date | datetime.time):
        return "a date or time"
    return "nothing of TOML"


def wrong_type(value: object, wanted: str) -> BadValue:
    """Say that a value has the wrong type, and how the right one is written."""
    spelled = f" ({shown(value)})" if isinstance(value, bool | str | int | Decimal) else ""
    return BadValue(f"is {kind_of(value)}{spelled}, and must be {wanted}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be, both ends included, or above the lower one where `is_open`."""

    low: float
    high: float
    is_open: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float | Decimal):
            return False
        if not (
            value.is_finite()
            if isinstance(value, Decimal)
            else isinstance(value, int) or math.isfinite(value)
        ):
            return False
        return (value > self.low if self.is_open else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        high = f"{self.high:.15g}"
        return (
            f"above {self.low:.15g} and at most {high}" if self.is_open else f"from {self.low:.15g} to {high}"
        )


def whole(low: int, high: int) -> Reader:
    """Read a whole number from `low` to `high`."""
    bounds = Bounds(low, high)

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise wrong_type(value, f"a whole number {bounds}")
        if value not in bounds:
            raise BadValue(f"is {shown(value)}, and must be a whole number {bounds}")
        if value != int(value):
            raise BadValue(f"is {shown(value)}, and must be a whole number {bounds}")
        return int(value)

    return read


def number(low: float, high: float, *, is_open: bool = False) -> Reader:
    """Read a finite number within bounds."""
    bounds = Bounds(low, high, is_open)

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise wrong_type(value, f"a number {bounds}")
        if value not in bounds:
            raise BadValue(f"is {shown(value)}, and must be a number {bounds}")
        return float(value)

    return read


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise wrong_type(value, "true or false")
    return value


def text(value: Any) -> str:
    """Read any text without NUL."""
    if not isinstance(value, str):
        raise wrong_type(value, "text in quotes")
    if "\0" in value:
        raise BadValue("has a NUL character in it", "Remove it.")
    return value


def filled_text(value: Any) -> str:
    """Read text that is not blank."""
    if not text(value).strip():
        raise BadValue("is blank", "Fill it in, or leave the key out.")
    return str(value)


def one_line(limit: int) -> Reader:
    """Read a short text of one line: a name, an address, a path."""

    def read(value: Any) -> str:
        line = filled_text(value)
        if len(line) > limit:
            raise BadValue(f"is {len(line)} characters long, and may be {limit}")
        if not line.isprintable():
            raise BadValue("has a control character in it", "Write it on one line, without tabs.")
        return line

    return read


def choice(allowed: Collection[str], *, later: Collection[str] = ()) -> Reader:
    """Read one of a few words; those in `later` are known, and refused for now."""
    words = ", ".join(f'"{word}"' for word in allowed)

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type(value, f"one of {words}")
        if value in later:
            raise BadValue(f'"{value}" is not available yet', f"Available: {words}.")
        if value not in allowed:
            hint = did_you_mean(value, allowed)
            raise BadValue(f"is {shown(value)}, and must be one of {words}", hint)
        return value

    return read


def text_list(value: Any) -> tuple[str, ...]:
    """Read a list of texts, each once and none blank."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise BadValue(f"is {kind_of(value)}, and must be a list of texts", 'For example ["title", "year"].')
    if any(not entry.strip() for entry in value):
        raise BadValue("has a blank entry", "Remove it.")
    if len(set(value)) != len(value):
        raise BadValue("names one entry twice", "Name each once.")
    return tuple(value)


def free_table(value: Any) -> dict[str, Any]:
    """Read a table of anything that JSON can hold; numbers with a point become floats."""
    if not isinstance(value, Mapping):
        raise wrong_type(value, "a table")
    return {key: _plain(key, entry, depth=0) for key, entry in value.items()}


def _plain(key: str, value: Any, depth: int) -> Any:
    if depth > 50:
        raise BadValue("is nested more than 50 levels deep")
    if isinstance(value, Mapping):
        return {name: _plain(name, entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(key, entry, depth + 1) for entry in value]
    if isinstance(value, Decimal):
        if not math.isfinite(value) or not math.isfinite(float(value)):
            raise BadValue(f'holds a number under "{clean(key, limit=_MAX_SHOWN)}" that JSON has no word for')
        return float(value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise BadValue(f'holds a number under "{clean(key, limit=_MAX_SHOWN)}" that is too large')
        return value
    raise BadValue(
        f'holds {kind_of(value)} under "{clean(key, limit=_MAX_SHOWN)}"', "Write it as text in quotes."
    )
