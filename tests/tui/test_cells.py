from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from terminal import Screen

from llmtop_tui.cells import Grid

WIDTH, HEIGHT = 24, 5
TEXTS = st.text(
    st.sampled_from([*"abc XYZ 019 -", "█", "░", "⣿", "日", "é", "─", "😀", "\u0301", "»"]),
    min_size=1,
    max_size=14,
)
PENS = st.sampled_from(["0", "1", "33", "7", "1;31", "38;2;86;180;233", "39;49", "4"])
WRITES = st.lists(st.tuples(st.integers(1, HEIGHT), st.integers(1, WIDTH), PENS, TEXTS), max_size=6)


def _bytes(writes: list[tuple[int, int, str, str]]) -> str:
    return "".join(f"\x1b[{row};{column}H\x1b[{pen}m{text}\x1b[0m\n" for row, column, pen, text in writes)


@settings(max_examples=150, deadline=None)
@given(frames=st.lists(WRITES, min_size=1, max_size=5))
def test_the_differences_add_up_to_what_a_full_repaint_shows(
    frames: list[list[tuple[int, int, str, str]]],
) -> None:
    wanted, sent, seen = Grid(WIDTH, HEIGHT), Grid(WIDTH, HEIGHT), Screen(WIDTH, HEIGHT)

    for frame in frames:
        wanted.feed(_bytes(frame))
        seen.feed(wanted.difference(sent))

    fresh = Screen(WIDTH, HEIGHT)
    wanted.touched.update(range(HEIGHT))
    fresh.feed(wanted.difference(Grid(WIDTH, HEIGHT)))
    assert seen.picture == fresh.picture
    assert seen.text == fresh.text
    assert wanted.rows == sent.rows


def test_what_did_not_change_costs_nothing() -> None:
    wanted, sent = Grid(80, 24), Grid(80, 24)
    frame = _bytes([(3, 1, "1", "a line of text"), (9, 5, "33", "another")])
    wanted.feed(frame)
    wanted.difference(sent)

    wanted.feed(frame)

    assert wanted.difference(sent) == ""


def test_a_clock_that_ticks_costs_a_dozen_bytes() -> None:
    wanted, sent = Grid(80, 24), Grid(80, 24)
    wanted.feed(_bytes([(1, 1, "0", "RUNNING" + " " * 63 + "18:42:07")]))
    wanted.difference(sent)

    wanted.feed(_bytes([(1, 1, "0", "RUNNING" + " " * 63 + "18:42:08")]))

    assert wanted.difference(sent) == "\x1b[1;78H8"


def test_control_sequences_are_handed_on_in_order_and_drawing_is_not() -> None:
    grid = Grid(20, 3)

    controls = grid.feed("\x1b[?1000h\x1b[1;1Hx\x1b]52;c;YQ==\x07\x1b[31mred\x1b[0m\x07\x1b[?2026h")

    assert controls == ["\x1b[?1000h", "\x1b]52;c;YQ==\x07", "\x07"]
    assert grid.is_synchronised


def test_text_past_the_edges_is_cut_and_a_wide_character_is_never_halved() -> None:
    grid = Grid(4, 2)

    grid.feed("\x1b[1;3Hab\x1b[2;4H日\x1b[9;1Hlost\x1b[1;9Hlost")

    assert [char for char, _ in grid.rows[0]] == [" ", " ", "a", "b"]
    assert grid.rows[1][3] == (" ", "")
