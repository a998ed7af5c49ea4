"""The syntax of prompt templates: `{field}`, and `{{` `}}` for literal braces. Nothing else.

Attributes, indexes, format specs and conversions are refused, so that a template can never reach
into an object. Filling in is `policy.template`'s work; here the text is only taken apart, which
lets a config's faults all be told together.
"""

from __future__ import annotations

import re

from llmtop.cleaning import clean
from llmtop.errors import ConfigError

_BRACE = re.compile(r"[{}]")
_FORBIDDEN = {
    ".": "an attribute",
    "[": "an index",
    "]": "an index",
    ":": "a format spec",
    "!": "a conversion",
    "{": "a brace",
    "\n": "a line end",
    '"': "a quote",
}
_LITERAL = "Write {{ and }} for literal braces, and {field} for a field of the item."


def split_template(text: str, where: str) -> tuple[tuple[str, str | None], ...]:
    """Return (literal, field) pairs: the text before a field, then the field; None at the end.

    Raises ConfigError at `where` with line and column of the first fault.
    """
    pairs: list[tuple[str, str | None]] = []
    literal: list[str] = []
    at = 0
    while (match := _BRACE.search(text, at)) is not None:
        brace, found = match.group(), match.start()
        literal.append(text[at:found])
        if text.startswith(brace * 2, found):
            literal.append(brace)
            at = found + 2
        elif brace == "}":
            raise _fault(text, found, where, "a single }")
        else:
            end = text.find("}", found)
            if end < 0:
                raise _fault(text, found, where, "a { that is never closed")
            pairs.append(("".join(literal), _field(text, found, end, where)))
            literal = []
            at = end + 1
    pairs.append(("".join(literal) + text[at:], None))
    return tuple(pairs)


def _field(text: str, start: int, end: int, where: str) -> str:
    name = text[start + 1 : end]
    for character in name:
        if character in _FORBIDDEN:
            raise _fault(
                text,
                start,
                where,
                f"{_FORBIDDEN[character]} inside {{}}, and only a field's name may stand there",
            )
    if not name:
        raise _fault(text, start, where, "empty braces")
    if name != name.strip():
        shown = clean(name.strip(), limit=60)
        raise _fault(text, start, where, f'spaces around "{shown}" in a field\'s name')
    return name


def _fault(text: str, at: int, where: str, what: str) -> ConfigError:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return ConfigError(where, f"has {what} (line {line}, column {column} of the text)", _LITERAL)
