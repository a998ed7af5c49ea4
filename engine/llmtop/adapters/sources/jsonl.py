"""One line of JSONL to an object: orjson where it can, the standard library where it cannot.

orjson turns whole numbers beyond 64 bits into inexact ones and refuses lone surrogates; both are
read by `json`. NaN and Infinity are no JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from llmtop.adapters.sources.lines import Line, at_line, decoded
from llmtop.errors import InputError

_DIGITS = bytes(48 if 48 <= code <= 57 else 32 for code in range(256))
_MANY_DIGITS = b"0" * 19
_OBJECT = 'One object a line, like {"id": "a1", "text": "..."}.'


def parse_object(line: Line, name: str) -> dict[str, Any]:
    """Return the object of a line. Raises InputError that names file and line."""
    value = _parse(line, name)
    if not isinstance(value, dict):
        raise InputError(at_line(name, line.number), f"is {_kind(value)} and not an object", _OBJECT)
    return value


def _parse(line: Line, name: str) -> Any:
    if _MANY_DIGITS not in line.raw.translate(_DIGITS):
        try:
            return orjson.loads(line.raw)
        except ValueError:
            pass
    text = decoded(line, name)
    where = at_line(name, line.number)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what = f"is not JSON ({error.msg}, column {error.colno})"
        at_end = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string")
        if not line.end and at_end:
            what = "is not JSON: the file ends in the middle of the line"
        raise InputError(where, what, _OBJECT) from None
    except _NoJson as error:
        raise InputError(
            where, f"is not JSON ({error} is no JSON number)", "Write null, or leave it out."
        ) from None
    except ValueError:
        raise InputError(where, "holds a number with thousands of digits", "Write it as text.") from None
    except RecursionError:
        raise InputError(where, "is nested too deeply", "Flatten it.") from None


class _NoJson(ValueError):
    pass


def _refuse_constant(word: str) -> Any:
    raise _NoJson(word)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"


def without_surrogates(value: Any) -> Any:
    """Return a value with each lone surrogate as U+FFFD: no encoding could send it."""
    if isinstance(value, str):
        return value if value.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_surrogates(entry) for entry in value]
    return value
