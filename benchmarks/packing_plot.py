"""The plot of benchmarks.packing: bars of items an hour, as an SVG that needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_ROW, _LEFT, _WIDTH, _RIGHT = 34, 150, 460, 190
_INK, _BAR, _PAPER = "#1f2933", "#3b7dd8", "#ffffff"


@dataclass(frozen=True)
class Bar:
    """One setting."""

    name: str
    per_hour: float
    speed_up: float


def plot(bars: Sequence[Bar]) -> str:
    """Return the SVG."""
    longest = max(bar.per_hour for bar in bars)
    height = 56 + _ROW * len(bars)
    wide = _LEFT + _WIDTH + _RIGHT
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {height}" font-family="sans-serif" '
        f'font-size="14" fill="{_INK}">',
        "<title>Items an hour by setting</title>",
        f'<rect width="{wide}" height="{height}" fill="{_PAPER}"/>',
        '<text x="16" y="28" font-size="16" font-weight="bold">Items an hour by setting</text>',
    ]
    for place, bar in enumerate(bars):
        top = 48 + _ROW * place
        length = max(2.0, _WIDTH * bar.per_hour / longest)
        words = f"{bar.per_hour:,.0f}  ({bar.speed_up:.1f} times)"
        rows += [
            f'<text x="{_LEFT - 10}" y="{top + 16}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="22" fill="{_BAR}"/>',
            f'<text x="{_LEFT + length + 8:.1f}" y="{top + 16}">{words}</text>',
        ]
    return "\n".join([*rows, "</svg>", ""])
