"""Keys that change what is looked at, and send nothing."""

from __future__ import annotations

from dataclasses import replace

from fake_door import FakeDoor
from viewing import viewer

from llmtop.snapshot import LogLine
from llmtop_tui.panels.flights import SORTS
from llmtop_tui.sample import SAMPLE
from llmtop_tui.screens.help import HelpScreen


async def test_the_log_is_filtered_and_stands_still_while_somebody_reads() -> None:
    lines = tuple(LogLine(SAMPLE.at - 90 + n, "", f"line {n} of the log") for n in range(90))
    async with viewer(FakeDoor(replace(SAMPLE, log=lines))) as view:
        await view.press("6")
        assert "line 89 of" in view.text("body")
        assert "follows" in view.text("tabs")
        await view.press("f")
        view.door.push(log=(*lines, LogLine(SAMPLE.at, "", "the newest line")))
        await view.settle()
        view.app.redraw()
        assert "the newest line" not in view.text("body")
        await view.press("f")
        assert "the newest line" in view.text("body")
        await view.press("/", *"line 7", "enter")
        assert "line 71 of" in view.text("body")
        assert "line 80 of" not in view.text("body")
        await view.press("escape")

        assert "line 80 of" in view.text("body")


async def test_the_display_may_be_drawn_more_rarely_and_the_mouse_be_switched_there() -> None:
    async with viewer() as view:
        await view.press("f2")
        await view.answer("r")
        assert view.app.every_s == 2.0
        assert "every 2 s" in view.text("status")
        await view.press("f2")
        await view.answer("m")

        assert view.app.has_mouse


async def test_a_screen_opened_on_top_goes_with_the_screen_below_it() -> None:
    async with viewer() as view:
        await view.press("G", "enter")
        assert len(view.app.screen_stack) == 3
        await view.press("4")

        assert len(view.app.screen_stack) == 2
        assert "[4 Tuner]" in view.text("tabs")


async def test_the_command_line_sets_and_completes_and_says_what_is_wrong() -> None:
    async with viewer() as view:
        await view.press("colon", *"set conc", "tab", "6", "4", "enter")
        await view.until(lambda: view.sent == [("set", {"concurrency": "64"})])
        await view.press("colon", *"fly", "enter")
        assert "no such command: fly" in view.text("status")
        await view.press("colon", "up", "up", "escape")

        assert len(view.sent) == 1


async def test_the_filter_narrows_while_it_is_typed_and_esc_clears_it() -> None:
    async with viewer() as view:
        await view.press("/", *"429")
        assert "p00826" in view.text("table")
        assert "p00827" not in view.text("table")
        await view.press("enter")
        assert "/429" in view.text("tabs")
        await view.press("escape")

        assert "p00827" in view.text("table")


async def test_only_problems_and_the_sort_change_the_table_and_say_so() -> None:
    async with viewer() as view:
        await view.press("e")
        rows = view.text("table")
        assert "p00823" in rows
        assert "p00827" not in rows
        await view.press("e", *["s"] * (SORTS.index("COST")))
        assert "sort COST" in view.text("tabs")
        assert view.text("table").splitlines()[1].strip("▸ ").startswith("b0001")
        await view.press("I")
        assert "COST inverted" in view.text("tabs")
        await view.press("I", "<")

        assert "sort TOKENS" in view.text("tabs")


async def test_the_cursor_moves_by_arrows_and_vi_keys_and_may_follow_its_row() -> None:
    async with viewer() as view:
        table = view.app.screen.table
        await view.press("j", "down", "k", "j")
        assert table.cursor == 2
        await view.press("G")
        assert table.current.key == "b0001"
        await view.press("g", "j", "f")
        key = table.current.key
        view.door.push(rows=(view.door.now.rows[-1], *view.door.now.rows[:-1]))
        await view.settle()
        view.app.redraw()

        assert table.current.key == key
        assert "follows" in view.text("tabs")


async def test_y_copies_the_row_without_what_a_terminal_would_obey() -> None:
    async with viewer() as view:
        await view.press("j", "y")

        assert view.app.clipboard.startswith("p00826\trt\tretry wait 2.0s")
        assert "clipboard (OSC 52)" in view.text("status")


async def test_digits_and_brackets_change_the_screen_and_keep_the_run() -> None:
    async with viewer() as view:
        await view.press("4")
        assert "EVIDENCE FOR THE NEXT STEP" in view.text("body")
        await view.press("5")
        assert "WARNINGS" in view.text("body")
        await view.press("]")
        assert "p00826 429 retry-after 2" in view.text("body")
        await view.press("+")
        await view.until(lambda: view.sent == [("set", {"concurrency": "33"})])
        await view.press("]")
        assert "p00827" in view.text("table")
        await view.press("[", "escape")

        assert "[1 Overview]" in view.text("tabs")


async def test_help_opens_scrolls_and_closes() -> None:
    async with viewer() as view:
        await view.press("question_mark")
        assert isinstance(view.app.screen, HelpScreen)
        await view.press("G")
        assert "llmtop attach" in view.text("help-body")
        await view.press("escape")

        assert "p00827" in view.text("table")


async def test_frozen_means_that_nothing_is_drawn_and_the_title_says_so() -> None:
    async with viewer() as view:
        await view.press("Z")
        assert "FROZEN" in view.text("title")
        view.door.push(state="paused")
        await view.settle()
        view.app.redraw()
        assert "RUNNING" in view.text("title")
        await view.press("Z")
        view.app.redraw()

        assert "PAUSED" in view.text("title")


async def test_the_panels_can_be_hidden_and_the_display_changed() -> None:
    async with viewer() as view:
        await view.press("#")
        await view.settle()
        assert not view.app.screen.query_one("#boxes").display
        await view.press("escape", "f2")
        await view.answer("g")
        assert view.app.looks.is_ascii
        assert view.text().isascii()
        await view.press("f2")
        await view.answer("s")

        assert view.app.is_slow
