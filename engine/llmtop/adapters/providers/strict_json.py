"""A body from outside to a Python value, or the reason why not.

Stricter than `json.loads`, and quick on what is in order: nesting above 100 and integers beyond 2^63
are refused before they can hurt; NaN and Infinity become None, so that no figure is ever one of them.
A byte order mark and white space around the value are taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_MAX_DEPTH = 100
_LARGEST = 2**63
_BOM = b"\xef\xbb\xbf"
_DIGITS = bytes(48 if 48 <= code <= 57 else 32 for code in range(256))
_LONG_NUMBER = b"0" * 19
_BEFORE_NUMBER = frozenset(b" \t\r\n[:,")
_MINUS = ord("-")
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class InvalidBody(ValueError):
    """The body is not JSON that can be trusted; the text says why."""


def parse(body: bytes) -> Any:
    """Return the value of a JSON body. Raises InvalidBody, and nothing else."""
    if body.startswith(_BOM):
        body = body[3:]
    if body.count(b"{") + body.count(b"[") > _MAX_DEPTH and _depth_exceeds(body):
        raise InvalidBody(f"is nested deeper than {_MAX_DEPTH}")
    if _may_hold_long_integer(body):
        return _parse_slowly(body)
    try:
        return orjson.loads(body)
    except ValueError:
        return _parse_slowly(body)


def _may_hold_long_integer(body: bytes) -> bool:
    """Whether many digits stand where a number may begin: in an id or a fraction they are none."""
    digits = body.translate(_DIGITS)
    start = digits.find(_LONG_NUMBER)
    while start >= 0:
        before = start - 1 if start and body[start - 1] == _MINUS else start
        if not before or body[before - 1] in _BEFORE_NUMBER:
            return True
        end = digits.find(b" ", start)
        start = -1 if end < 0 else digits.find(_LONG_NUMBER, end)
    return False


def _depth_exceeds(body: bytes) -> bool:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            if depth > _MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _parse_slowly(body: bytes) -> Any:
    """Parse what orjson refuses: lone surrogates, NaN, and numbers whose size must be looked at."""
    try:
        return json.loads(body, parse_int=_checked_integer, parse_constant=lambda _name: None)
    except InvalidBody:
        raise
    except UnicodeDecodeError:
        raise InvalidBody("is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InvalidBody(f"is not JSON ({str(error)[:80]})") from None


def _checked_integer(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST <= (number := int(digits)) < _LARGEST:
        raise InvalidBody("holds an integer beyond 2^63")
    return number
