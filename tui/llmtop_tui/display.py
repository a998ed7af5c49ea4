"""`f2`: how this viewer draws; nothing of it concerns the run."""

from __future__ import annotations

from llmtop_tui.dialogs import Question
from llmtop_tui.looks import ASCII, UTF8, Looks, ThemeName

_NEXT_THEME: dict[ThemeName, ThemeName] = {"ansi": "dark", "dark": "light", "light": "ansi", "mono": "mono"}
"""Without colours (NO_COLOR) there is nothing to choose."""


def question(looks: Looks, *, is_slow: bool) -> Question:
    """What can be changed."""
    choices = (
        ("p", f"plot {'off' if looks.has_plot else 'on'}", "plot"),
        ("g", f"glyphs {'utf8' if looks.is_ascii else 'ascii'}", "glyphs"),
        ("c", "colours: the terminal's own, dark, light", "colours"),
        ("s", f"slow line {'off' if is_slow else 'on'}: every 2 s, ascii, no plot", "slow"),
        ("escape", "back", "no"),
    )
    return Question("Display", ("Only this viewer.",), choices)


def changed(looks: Looks, answer: str) -> Looks:
    """The looks after an answer."""
    if answer == "plot":
        return Looks(looks.glyphs, looks.theme, not looks.has_plot)
    if answer == "glyphs":
        return Looks(UTF8 if looks.is_ascii else ASCII, looks.theme, looks.has_plot)
    if answer == "colours":
        return Looks(looks.glyphs, _NEXT_THEME[looks.theme], looks.has_plot)
    return looks
