from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop_tui.looks import GlyphSet
from llmtop_tui.plot import bar, marked, plot

VALUES = st.lists(st.one_of(st.floats(), st.floats(0, 100)), max_size=400)


@given(
    values=VALUES,
    width=st.integers(0, 130),
    height=st.integers(0, 6),
    glyphs=st.sampled_from(["utf8", "ascii"]),
)
def test_a_plot_has_its_size_whatever_the_values(
    values: list[float], width: int, height: int, glyphs: GlyphSet
) -> None:
    rows = plot(values, width, height, glyphs)

    assert [len(row) for row in rows] == [width] * height
    assert glyphs == "utf8" or all(row.isascii() for row in rows)


def test_the_newest_value_is_at_the_right_and_the_largest_reaches_the_top() -> None:
    top, bottom = plot([1.0] * 10 + [4.0, 4.0], 6, 2, "utf8")

    assert top == "     ⣿"
    assert bottom == "⣤⣤⣤⣤⣤⣿"


def test_a_little_is_drawn_and_nothing_is_not() -> None:
    assert plot([0.0, 0.0, 0.001, 100.0], 4, 1, "ascii")[0] == "  .%"


@pytest.mark.parametrize("value", [math.nan, math.inf, -3.0])
def test_what_is_no_amount_is_drawn_as_nothing(value: float) -> None:
    assert plot([value, 1.0], 2, 1, "ascii")[0] == " %"


def test_a_bar_is_full_at_one_and_never_longer() -> None:
    assert bar(0.5, 4, "#", ".") == "##.."
    assert bar(7.0, 4, "#", ".") == "####"
    assert bar(0.0001, 4, "#", ".") == "#..."
    assert bar(None, 4, "#", ".") == "...."
    assert marked("##..", 0.8, "|") == "##.|"
    assert marked("##..", math.nan, "|") == "##.."
