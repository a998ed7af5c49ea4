"""Roles, glyphs and themes: how things look, named by what they mean.

Every role has a word or a glyph besides its colour, so a screen in one colour loses nothing.
The default theme uses the terminal's own sixteen colours; the truecolor one is opt-in and is
computed for contrast and for all common forms of colour blindness.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from rich.cells import cell_len
from rich.style import Style

Role = Literal["plain", "strong", "muted", "good", "warn", "bad", "you", "key", "cursor"]
ThemeName = Literal["ansi", "dark", "light", "mono"]
GlyphSet = Literal["utf8", "ascii"]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters to draw with."""

    name: GlyphSet
    good: str
    warn: str
    bad: str
    you: str
    full: str
    empty: str
    mark: str
    projection: str
    across: str
    down: str
    corners: tuple[str, str, str, str]
    cursor: str
    to: str
    dot: str
    states: Mapping[str, str]
    """Run state -> its glyph in the title."""


_UTF8_STATES = {
    "starting": "○",
    "running": "●",
    "held": "▲",
    "pausing": "╎",
    "paused": "║",
    "stopping": "▽",
    "waiting": "◇",
    "budget": "$",
    "refused": "✖",
    "stopped": "■",
    "cancelled": "□",
    "finished": "✓",
    "failed": "✖",
    "silent": "?",
}
_ASCII_STATES = {
    "starting": "o",
    "running": "*",
    "held": "!",
    "pausing": ":",
    "paused": "=",
    "stopping": "v",
    "waiting": "~",
    "budget": "$",
    "refused": "x",
    "stopped": "#",
    "cancelled": "-",
    "finished": "+",
    "failed": "x",
    "silent": "?",
}

UTF8 = Glyphs(
    name="utf8",
    good="●",
    warn="▲",
    bad="✖",
    you="»",
    full="█",
    empty="░",
    mark="│",
    projection="▸",
    across="─",
    down="│",
    corners=("╭", "╮", "╰", "╯"),
    cursor="▸",
    to="→",
    dot="·",
    states=MappingProxyType(_UTF8_STATES),
)
ASCII = Glyphs(
    name="ascii",
    good="*",
    warn="!",
    bad="x",
    you=">",
    full="#",
    empty=".",
    mark="|",
    projection=">",
    across="-",
    down="|",
    corners=("+", "+", "+", "+"),
    cursor=">",
    to="->",
    dot="-",
    states=MappingProxyType(_ASCII_STATES),
)

_ANSI: dict[Role, str] = {
    "plain": "none",
    "strong": "bold",
    "muted": "bright_black",
    "good": "cyan",
    "warn": "yellow",
    "bad": "bold red",
    "you": "magenta",
    "key": "bold cyan",
    "cursor": "reverse",
}
_DARK: dict[Role, str] = {
    "plain": "#e0e0e0",
    "strong": "bold #ffffff",
    "muted": "#8a8a8a",
    "good": "#56b4e9",
    "warn": "#eecc44",
    "bad": "bold #ee6644",
    "you": "#aa66ee",
    "key": "bold #56b4e9",
    "cursor": "reverse #e0e0e0",
}
_LIGHT: dict[Role, str] = {
    "plain": "#1a1a1a",
    "strong": "bold #000000",
    "muted": "#6a6a6a",
    "good": "#0072b2",
    "warn": "#aa6600",
    "bad": "bold #880000",
    "you": "#8822ee",
    "key": "bold #0072b2",
    "cursor": "reverse #1a1a1a",
}
_MONO: dict[Role, str] = {
    "plain": "none",
    "strong": "bold",
    "muted": "dim",
    "good": "none",
    "warn": "bold",
    "bad": "reverse",
    "you": "underline",
    "key": "bold",
    "cursor": "reverse",
}
_THEMES: dict[ThemeName, dict[Role, str]] = {"ansi": _ANSI, "dark": _DARK, "light": _LIGHT, "mono": _MONO}


@dataclass(frozen=True, slots=True)
class Looks:
    """How a screen is drawn: glyphs and a style for each role."""

    glyphs: Glyphs = UTF8
    theme: ThemeName = "ansi"
    has_plot: bool = True
    styles: Mapping[Role, Style] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        styles = {role: Style.parse(definition) for role, definition in _THEMES[self.theme].items()}
        object.__setattr__(self, "styles", MappingProxyType(styles))

    @property
    def is_ascii(self) -> bool:
        """Whether no byte over 127 may reach the terminal."""
        return self.glyphs.name == "ascii"

    def safe(self, text: str) -> str:
        """Leave out what the glyph set cannot show, without changing the width."""
        if not self.is_ascii or text.isascii():
            return text
        return "".join(
            char if char.isascii() else "~" if char == "…" else "?" * cell_len(char) for char in text
        )


def _can_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is said to show UTF-8.

    By the locale's variables and not by the encoding of stdout: in the C locale Python takes UTF-8
    all the same, and says so in LC_CTYPE.
    """
    if environment.get("TERM") in {"linux", "dumb"}:
        return False
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    if locale == "C.UTF-8" and not environment.get("LC_ALL"):
        locale = environment.get("LANG") or ""
    return "utf" in locale.lower()


def choose(glyphs: GlyphSet | None, theme: ThemeName | None, *, is_slow: bool = False) -> Looks:
    """Choose looks by what was asked for, else by the environment and the output's encoding."""
    chosen: GlyphSet = "ascii" if is_slow else glyphs or ("utf8" if _can_utf8(os.environ) else "ascii")
    if os.environ.get("NO_COLOR") is not None:
        theme = "mono"
    elif is_slow:
        theme = "ansi"
    return Looks(UTF8 if chosen == "utf8" else ASCII, theme or "ansi", has_plot=not is_slow)
