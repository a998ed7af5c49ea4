"""`f2`: how this viewer draws; nothing of it concerns the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmtop_tui.dialogs import Question
from llmtop_tui.looks import ASCII, UTF8, Looks, ThemeName, choose

if TYPE_CHECKING:
    from llmtop_tui.app import DashboardApp

_NEXT_THEME: dict[ThemeName, ThemeName] = {"ansi": "dark", "dark": "light", "light": "ansi", "mono": "mono"}
"""Without colours (NO_COLOR) there is nothing to choose."""


RATES_S = (1.0, 2.0, 5.0)
"""Seconds between two drawings."""


def question(
    looks: Looks, *, is_slow: bool, has_notices: bool = True, has_mouse: bool = False, every_s: float = 1.0
) -> Question:
    """What can be changed."""
    choices = (
        ("r", f"draw every {next_rate(every_s):g} s (now {every_s:g} s)", "rate"),
        ("p", f"plot {'off' if looks.has_plot else 'on'}", "plot"),
        ("g", f"glyphs {'utf8' if looks.is_ascii else 'ascii'}", "glyphs"),
        ("c", "colours: the terminal's own, dark, light", "colours"),
        ("s", f"slow line {'off' if is_slow else 'on'}: every 2 s, ascii, no plot", "slow"),
        ("m", f"mouse {'off' if has_mouse else 'on'}", "mouse"),
        ("n", f"window title, bell and notifications {'off' if has_notices else 'on'}", "notices"),
        ("escape", "back", "no"),
    )
    return Question("Display", ("Only this viewer.",), choices)


def next_rate(every_s: float) -> float:
    """The rate after this one."""
    return RATES_S[(RATES_S.index(every_s) + 1) % len(RATES_S)]


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
        asked = question(
            app.looks,
            is_slow=app.is_slow,
            has_notices=app.has_notices,
            has_mouse=app.has_mouse,
            every_s=app.every_s,
        )
        ask_there(asked, lambda answer: apply(app, answer))


def apply(app: DashboardApp, answer: str) -> None:
    """Change how the app draws, on all its screens."""
    if answer == "notices":
        app.has_notices = not app.has_notices
    elif answer == "mouse":
        app.action_view("mouse")
    elif answer == "rate":
        app.every_s = next_rate(app.every_s)
        app.say(f"draws every {app.every_s:g} s; a key is answered at once all the same")
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
