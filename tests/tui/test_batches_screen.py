"""The screen of batch jobs and packs, and the one of a single job, by keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_door import FakeDoor
from viewing import Viewer, viewer

from llmtop.listing import ItemQuery
from llmtop.snapshot import BatchesView
from llmtop_tui.sample import SAMPLE


async def opened(view: Viewer) -> None:
    """Screen 2, with the cursor on job 2, which is open."""
    await view.press("2")
    await view.until(lambda: "[2 Batches]" in view.text("tabs") and "b0002" in view.text("table"))


async def on_job(view: Viewer) -> None:
    """The screen of job 2."""
    await opened(view)
    await view.press("enter")
    await view.until(lambda: "b0002  esc back" in view.text("tabs") and "m-12411" in view.text("table"))


def below_the_clock(view: Viewer) -> list[str]:
    """What is on the screen, line by line, but for the title: a clock ticks there."""
    return [strip.text for strip in view.app.screen._compositor.render_strips()][2:]


def queries_of(view: Viewer) -> list[ItemQuery]:
    return view.door.queries


async def test_jobs_stand_before_packs_and_the_two_lines_above_have_the_money() -> None:
    async with viewer() as view:
        await opened(view)
        keys = [line[2:8].strip() for line in view.text("table").split("\n")[1:4]]
        counts = view.text("counts")

    assert keys == ["b0002", "b0001", "p00827"]
    assert "1 open, 1 over" in counts
    assert "4,100 of 9,000 items" in counts
    assert "$0.2511 of $0.5022 at full price, saved $0.2511" in counts


async def test_sort_and_filter_of_the_jobs_are_their_own_and_esc_clears_the_filter() -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("s", "s", "s")
        assert "sort FAIL" in view.text("tabs")
        await view.press("/", *"69db", "enter")
        assert "b0001" not in view.text("table")
        assert "no row fits" in view.text("table")
        await view.press("escape")
        await view.press("/", *"6921db", "enter")
        assert "b0001" in view.text("table")
        assert "b0002" not in view.text("table")
        await view.press("1")
        await view.until(lambda: "[1 Overview]" in view.text("tabs"))
        assert "b0002" in view.text("table")
        assert "sort as sent" in view.text("tabs")


@pytest.mark.parametrize("place", ["overview", "batches", "job"])
async def test_cancel_asks_with_the_numbers_is_a_wish_until_the_engine_shows_it_and_says_the_command(
    place: str,
) -> None:
    door = FakeDoor(confirms=False)
    async with viewer(door) as view:
        if place == "overview":
            await view.press("G", "up")
        else:
            await (opened if place == "batches" else on_job)(view)
        await view.press("K")
        question = " ".join(view.text("dialog").split())
        assert "4,100 of 9,000 items are done" in question
        assert "$0.1120 at most" in question.replace("│ │", "").replace("  ", " ")
        assert "4,900 are asked again" in question.replace(" │ │", "")
        await view.answer("y")
        await view.until(lambda: view.sent != [])
        table = view.text("table" if place != "job" else "facts")
        assert "» cancel" in table
        assert view.sent == [("cancel_job", {"job": "2"})]
        assert "llmtop batches motions --cancel 2" in view.text("status")

        door._steer_job(door.commands[0])
        await view.until(lambda: "cancel asked" in view.text("table" if place != "job" else "facts"))
        view.app.redraw()
        assert "»" not in view.text("table" if place != "job" else "facts")


@pytest.mark.parametrize("key", ["n", "enter", "escape"])
async def test_a_job_is_not_cancelled_by_anything_but_y(key: str) -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("K", "y")
        assert "Cancel batch job b0002?" in view.text("dialog")
        await view.answer(key)
        assert view.sent == []
        assert "nothing changed" in view.text("status")


async def test_l_looks_at_the_job_at_once_and_without_a_question() -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("l")
        await view.until(lambda: "llmtop batches motions --look-up 2" in view.text("status"))

    assert view.sent == [("look_up", {"job": "2"})]


async def test_a_job_that_is_over_and_a_pack_are_not_steered_and_say_why() -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("down", "K")
        assert "b0001 has ended: there is nothing to cancel" in view.text("status")
        await view.press("l")
        assert "b0001 is over" in view.text("status")
        await view.press("down", "K")
        assert "no batch job" in view.text("status")
        assert view.sent == []


async def test_read_only_answers_read_only_and_the_footer_offers_no_cancel() -> None:
    async with viewer(is_read_only=True) as view:
        await opened(view)
        for key in ("K", "l"):
            await view.press(key)
            assert "read-only" in view.text("status")
        assert "cancel job" not in view.text("footer")
        await view.press("enter", "K")
        assert "read-only" in view.text("status")
        assert view.sent == []


async def test_the_footer_offers_the_keys_of_jobs_only_while_there_is_an_open_one() -> None:
    async with viewer() as view:
        await opened(view)
        assert "K cancel job" in view.text("footer")
        view.door.push(batches=BatchesView(over=2))
        await view.until(lambda: view.app.session.snapshot.batches.open == 0)
        view.app.redraw()
        assert "cancel job" not in view.text("footer")


async def test_a_job_shows_its_life_its_money_its_errors_and_pages_of_its_own_items() -> None:
    async with viewer() as view:
        await on_job(view)
        await view.until(lambda: "context_length" in view.text("facts"))
        facts = view.text("facts")

        assert view.door.jobs_read == [2]
        assert all(query.of_row == "b0002" for query in queries_of(view))
        for word in ("intent", "uploaded", "created", "next in 41s", "expires in 22h", "items/min 31.3"):
            assert word in facts
        assert "the prompt has 40,112 tokens" in facts
        assert "failed 1   done 8" in view.text("counts")
        await view.press("enter")
        await view.until(lambda: "m-12" in view.text("title"))
        await view.press("escape")
        await view.until(lambda: "b0002  esc back" in view.text("tabs"))


async def test_tab_narrows_the_items_of_a_job_by_state_and_esc_widens_before_it_goes_back() -> None:
    async with viewer() as view:
        await on_job(view)
        await view.press("shift+tab")
        await view.until(lambda: "m-7" in view.text("table") and "m-12277" not in view.text("table"))
        assert queries_of(view)[-1].states == ("done",)
        assert queries_of(view)[-1].of_row == "b0002"
        await view.press("escape")
        await view.until(lambda: "m-12277" in view.text("table"))
        await view.press("escape")
        await view.until(lambda: "[2 Batches]" in view.text("tabs") and "b0001" in view.text("table"))


async def test_what_is_narrowed_on_a_job_is_not_narrowed_on_the_items_of_the_run() -> None:
    async with viewer() as view:
        await on_job(view)
        await view.press("shift+tab", "3")
        await view.until(lambda: "[3 Items]" in view.text("tabs") and "m-12411" in view.text("table"))

    assert queries_of(view)[-1].of_row is None


async def test_a_digit_on_a_job_leaves_no_screen_behind() -> None:
    async with viewer() as view:
        depth = len(view.app.screen_stack)
        for number, name in (("1", "[1 Overview]"), ("2", "[2 Batches]"), ("5", "[5 Errors]")):
            await on_job(view)
            await view.press(number)
            await view.until(lambda: "esc back" not in view.text("tabs"))
            await view.until(lambda name=name: name in view.text("tabs"))
            assert len(view.app.screen_stack) == depth


async def test_a_pack_shows_its_items_and_every_try() -> None:
    pack = replace(SAMPLE.rows[3], item_id="m-12277")
    door = FakeDoor(replace(SAMPLE, rows=(pack,)))
    async with viewer(door) as view:
        await view.press("2", "enter")
        await view.until(lambda: "try 1" in view.text("facts") and "m-12277" in view.text("table"))
        assert "p00824" in view.text("facts")
        assert {query.of_row for query in queries_of(view)} == {"p00824"}


async def test_a_row_that_has_gone_stays_as_it_was_seen_last() -> None:
    async with viewer() as view:
        await on_job(view)
        view.door.push(rows=())
        await view.until(lambda: view.app.session.snapshot.rows == ())
        view.app.redraw()
        assert "the last that was seen" in view.text("facts")
        assert "batch_6921f0c4a8b0819" in view.text("facts")


async def test_a_ledger_that_cannot_be_read_is_said_and_ends_nothing() -> None:
    door = FakeDoor()

    async def broken(number: int) -> None:
        raise OSError("disk gone")

    door.job = broken  # type: ignore[assignment]
    async with viewer(door) as view:
        await on_job(view)
        await view.until(lambda: "disk gone" in view.text("status"))
        assert "4,100 of 9,000 items" in view.text("facts")


async def test_the_command_line_takes_what_the_shell_takes() -> None:
    async with viewer() as view:
        await view.press("colon", *"batches --look-up 2", "enter")
        await view.until(lambda: view.sent == [("look_up", {"job": "2"})])
        await view.press("colon", *"batches --cancel batch_6921f0c4a8b0819", "enter")
        await view.until(lambda: "Cancel batch job b0002?" in view.text("dialog"))
        await view.answer("n")
        await view.press("colon", *"batches --cancel 7", "enter")
        await view.until(lambda: "no such batch job" in view.text("status"))


async def test_partial_painting_of_a_job_shows_what_a_full_repaint_shows() -> None:
    async with viewer(size=(80, 24)) as view:
        await on_job(view)
        for step in range(6):
            row = replace(SAMPLE.rows[-2], items_done=4100 + 700 * step, role=("plain", "warn")[step % 2])
            view.door.push(rows=(*SAMPLE.rows[:-2], row, SAMPLE.rows[-1]))
            await view.until(lambda row=row: row in view.app.session.snapshot.rows)
            view.app.redraw()
            await view.settle()
        await view.until(lambda: not view.app.screen._is_busy)
        partial = below_the_clock(view)
        view.app.refresh(repaint=True, layout=True)
        for widget in view.app.screen.query("LineWidget, Panel, TableView"):
            widget.refresh()
        await view.settle()

        assert below_the_clock(view) == partial
        assert any("7,600 of 9,000" in text for text in partial)
