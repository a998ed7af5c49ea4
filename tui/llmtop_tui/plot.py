"""A history drawn with characters, pure: filled from zero, one colour, newest at the right.

Three ways, by the glyph set and the height: braille (two values and four steps a cell), and in
ASCII one row of eight steps or several rows of two steps a cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmtop_tui.looks import GlyphSet

_BRAILLE_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_BRAILLE_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_ASCII_STEPS = " .:-=+*#%"
_ASCII_HALVES = " :#"


def plot(values: Sequence[float], width: int, height: int, glyphs: GlyphSet) -> list[str]:
    """Return `height` strings of `width` characters; the largest value reaches the top."""
    if width <= 0 or height <= 0:
        return [""] * max(height, 0)
    per_cell = 2 if glyphs == "utf8" else 1
    steps = 4 if glyphs == "utf8" else (len(_ASCII_STEPS) - 1 if height == 1 else 2)
    points = [value if math.isfinite(value) and value > 0 else 0.0 for value in values]
    if glyphs == "ascii" and len(points) > width:
        points = _merged(points, math.ceil(len(points) / width))
    points = points[-width * per_cell :]
    top = max(points, default=0.0)
    levels = [_level(value, top, steps * height) for value in points]
    levels = [0] * (width * per_cell - len(levels)) + levels
    return [_row(levels, (height - 1 - row) * steps, steps, glyphs, height) for row in range(height)]


def _merged(points: list[float], size: int) -> list[float]:
    first = len(points) % size
    groups = [points[:first]] if first else []
    groups += [points[start : start + size] for start in range(first, len(points), size)]
    return [sum(group) / len(group) for group in groups]


def _level(value: float, top: float, steps: int) -> int:
    """Steps for a value: a little is shown as one step, never as none."""
    if value <= 0 or top <= 0:
        return 0
    return max(1, min(steps, round(value / top * steps)))


def _row(levels: list[int], floor: int, steps: int, glyphs: GlyphSet, height: int) -> str:
    parts = [min(max(level - floor, 0), steps) for level in levels]
    if glyphs == "ascii":
        scale = _ASCII_STEPS if height == 1 else _ASCII_HALVES
        return "".join(scale[part] for part in parts)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return "".join(chr(0x2800 + _BRAILLE_LEFT[a] + _BRAILLE_RIGHT[b]) if a or b else " " for a, b in pairs)


def bar(share: float | None, width: int, full: str, empty: str) -> str:
    """A bar of `width` characters, `share` of it full; more than all of it is all of it."""
    if width <= 0:
        return ""
    if share is None or not math.isfinite(share):
        return empty * width
    filled = min(max(round(share * width), 0), width)
    if share > 0 and filled == 0:
        filled = 1
    return full * filled + empty * (width - filled)


def marked(bar_text: str, share: float | None, mark: str) -> str:
    """The bar with a mark at `share` of its width."""
    if share is None or not math.isfinite(share) or not bar_text or not 0 <= share <= 1:
        return bar_text
    at = min(int(share * len(bar_text)), len(bar_text) - 1)
    return bar_text[:at] + mark + bar_text[at + 1 :]
