"""A model's JSON, read without trusting it: keys said twice are noticed, and odd numbers, and depth.

What is unfit for use does not spoil its neighbours: it becomes a `Bad` in its place.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

_MAX_DEPTH = 100
_LARGEST = 2**63
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """A value that cannot be used, and why."""

    reason: str


class Pairs(dict[str, Any]):
    """An object of JSON, with the keys that it had twice."""

    doubled: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> Pairs:
    made = Pairs(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        made.doubled = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made


def _integer(digits: str) -> int | Bad:
    if len(digits) > 20 or not -_LARGEST <= (number := int(digits)) < _LARGEST:
        return Bad("holds an integer beyond 2^63")
    return number


def _float(digits: str) -> float | Bad:
    number = float(digits)
    return number if math.isfinite(number) else Bad("holds a number beyond all bounds")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=lambda word: Bad(f"holds {word}, which is no JSON"),
    strict=False,  # a line end within a string is the commonest fault, and harmless
)


def decode(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value at a place, and where it ends. Raises ValueError where there is none."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def skip(text: str, at: int, also: str = "") -> int:
    """Return the next place that is neither white space nor in `also`."""
    blank = _SPACE + also
    while at < len(text) and text[at] in blank:
        at += 1
    return at


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value fit to be an output: plain types, no lone surrogates, no NUL. Raises ValueError."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    if isinstance(value, Bad):
        raise ValueError(value.reason)
    if depth > _MAX_DEPTH:
        raise ValueError(f"is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, dict):
        if isinstance(value, Pairs) and value.doubled:
            raise ValueError("names a key twice")
        return {plain(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, depth + 1) for inner in value]
    return value
