from __future__ import annotations

import itertools
import re

import pytest
from rich.color import Color

from llmtop_tui.looks import ASCII, UTF8, Looks, choose

THEMES = ("ansi", "dark", "light", "mono")
COLOURED = ("plain", "good", "warn", "bad", "you")


def _luminance(red: int, green: int, blue: int) -> float:
    parts = [value / 255 for value in (red, green, blue)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "ground"), [("dark", (0x12, 0x12, 0x12)), ("light", (255, 255, 255))])
def test_every_role_of_the_truecolor_themes_can_be_read(theme: str, ground: tuple[int, int, int]) -> None:
    looks = Looks(theme=theme)  # type: ignore[arg-type]
    for role in (*COLOURED, "muted", "key", "strong"):
        colour = looks.styles[role].color  # type: ignore[index]
        assert isinstance(colour, Color)
        assert colour.triplet is not None
        assert _contrast(_luminance(*colour.triplet), _luminance(*ground)) >= 4.5, role


@pytest.mark.parametrize("theme", ["ansi", "mono"])
def test_the_default_and_the_colourless_theme_never_name_an_rgb_colour(theme: str) -> None:
    for style in Looks(theme=theme).styles.values():  # type: ignore[arg-type]
        assert style.color is None or style.color.triplet is None
        assert theme == "ansi" or style.color is None


@pytest.mark.parametrize("theme", THEMES)
def test_no_two_roles_that_warn_look_the_same(theme: str) -> None:
    styles = Looks(theme=theme).styles  # type: ignore[arg-type]
    for first, second in itertools.combinations(("warn", "bad", "you", "muted"), 2):
        assert styles[first] != styles[second]  # type: ignore[index]


def test_the_ascii_glyphs_are_ascii_and_anything_else_becomes_question_marks_of_its_width() -> None:
    values = [getattr(ASCII, name) for name in ASCII.__dataclass_fields__ if name != "states"]
    assert all("".join(value).isascii() for value in values)
    assert all(glyph.isascii() and len(glyph) == 1 for glyph in ASCII.states.values())
    assert Looks(ASCII).safe("a日é…") == "a???~"
    assert Looks(UTF8).safe("a日é…") == "a日é…"


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"LANG": "de_DE.UTF-8"}, "utf8"),
        ({"LANG": "C"}, "ascii"),
        ({}, "ascii"),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "ascii"),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, "ascii"),
        ({"LC_ALL": "C.UTF-8"}, "utf8"),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, "ascii"),
    ],
)
def test_the_glyphs_follow_the_locale(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    for key in ("LC_ALL", "LC_CTYPE", "LANG", "TERM", "NO_COLOR"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)

    assert choose(None, None).glyphs.name == name
    assert choose("ascii", None).glyphs.name == "ascii"


def test_no_color_wins_over_any_theme_and_a_slow_line_over_any_glyphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "")

    assert choose("utf8", "dark").theme == "mono"
    slow = choose("utf8", "dark", is_slow=True)
    assert (slow.glyphs.name, slow.has_plot) == ("ascii", False)


def test_the_glyphs_are_one_cell_wide() -> None:
    for glyphs in (UTF8, ASCII):
        single = [glyphs.good, glyphs.warn, glyphs.bad, glyphs.you, glyphs.full, glyphs.empty, glyphs.mark]
        assert all(len(each) == 1 for each in [*single, *glyphs.states.values()])
        assert not any(re.match("[\U0001f300-\U0001faff]", each) for each in single)
