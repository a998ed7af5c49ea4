"""`f2`: how this viewer draws; nothing of it concerns the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtop_tui.dialogs import Question
from llmtop_tui.looks import ASCII, UTF8, Looks, ThemeName, choose

if TYPE_CHECKING:
    from llmtop_tui.app import DashboardApp

_NEXT_THEME: dict[ThemeName, ThemeName] = {"ansi": "dark", "dark": "light", "light": "ansi", "mono": "mono"}
"""Without colours (NO_COLOR) there is nothing to choose."""


def question(looks: Looks, *, is_slow: bool, has_notices: bool = True) -> Question:
    """What can be changed."""
    choices = (
        ("p", f"plot {'off' if looks.has_plot else 'on'}", "plot"),
        ("g", f"glyphs {'utf8' if looks.is_ascii else 'ascii'}", "glyphs"),
        ("c", "colours: the terminal's own, dark, light", "colours"),
        ("s", f"slow line {'off' if is_slow else 'on'}: every 2 s, ascii, no plot", "slow"),
        ("n", f"window title, bell and notifications {'off' if has_notices else 'on'}", "notices"),
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


def ask(app: DashboardApp) -> None:
    """Ask what to change, on the screen at hand."""
    if (ask_there := getattr(app.screen, "ask", None)) is not None:
        asked = question(app.looks, is_slow=app.is_slow, has_notices=app.has_notices)
        ask_there(asked, lambda answer: apply(app, answer))


def apply(app: DashboardApp, answer: str) -> None:
    """Change how the app draws, on all its screens."""
    if answer == "notices":
        app.has_notices = not app.has_notices
    app.is_slow = app.is_slow != (answer == "slow")
    if answer == "slow":
        app.looks = choose(app.options.glyphs, app.options.theme, is_slow=app.is_slow)
    else:
        app.looks = changed(app.looks, answer)
    for screen in app.screen_stack:
        screen.set_class(app.is_slow, "-slow")
        screen.set_class(not app.looks.has_plot, "-noplot")
        if (restyle := getattr(screen, "restyle", None)) is not None:
            restyle(app.looks)
