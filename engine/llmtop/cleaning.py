"""Text that others wrote, made safe for a terminal.

Model answers, error messages, ids, file names and headers may hold escape sequences that
retitle, clear or script a terminal. `clean` removes them. It is used at the edge, by whoever
draws or logs, for every dynamic string; what is stored stays as it came.
"""

from __future__ import annotations

import re
import unicodedata

_MAX_COMBINING = 4

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI, 7 and 8 bit
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c|$)?"  # OSC DCS SOS PM APC
    "|\x1b[ -/]*[0-~]?"  # the other escapes
)
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str, *, limit: int = 500, is_multiline: bool = False) -> str:
    """Return `text` without anything a terminal would obey, at most `limit` characters long.

    Escape sequences go whole, unterminated ones too; other controls, bidi controls, zero-width and
    tag characters become nothing; line ends become a space, or "\\n" when `is_multiline`. Tabs
    become a space. More than four combining marks on one letter are dropped. A cut shows as "…".
    """
    raw = text[: limit * 8 + 1000]
    if raw.isascii() and raw.isprintable():
        return raw if len(raw) <= limit else raw[: max(0, limit - 1)] + "…"
    raw = _ESCAPES.sub("", raw)
    raw = _LINE_ENDS.sub("\n" if is_multiline else " ", raw).replace("\t", " ")
    raw = _UNSEEN.sub("", raw)
    if not raw.isascii():
        raw = _calm_combining(raw)
    return raw if len(raw) <= limit else raw[: max(0, limit - 1)] + "…"


def _calm_combining(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MAX_COMBINING:
            kept.append(character)
    return "".join(kept)
