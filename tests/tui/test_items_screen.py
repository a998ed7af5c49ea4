"""The items screen and the inspector, by keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from fake_door import FakeDoor
from viewing import Viewer, viewer

from llmtop.listing import ItemRow
from llmtop_tui.item_pages import WINDOW, ItemPages, ItemView
from llmtop_tui.sample_items import ITEMS, REJECTED


def many(count: int) -> tuple[ItemRow, ...]:
    return tuple(replace(ITEMS[-1], seq=seq, id=f"m-{seq}") for seq in range(count))


async def opened(view: Viewer) -> None:
    await view.press("3")
    await view.until(lambda: "m-" in view.text("table"))


async def test_items_stand_in_flight_first_then_waiting_rejected_failed_done() -> None:
    async with viewer() as view:
        await opened(view)
        states = [line.split()[1] for line in view.text("table").split("\n")[1:] if "m-" in line[2:9]]

    ranks = {"in": 0, "m-12411": 0, "waiting": 1, "rejected": 2, "failed": 3, "done": 4}
    found = [ranks[state] for state in states if state in ranks]
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3, 4}


async def test_tab_goes_through_the_states_and_e_shows_problems_and_esc_shows_all() -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("tab", "tab", "tab")
        await view.until(lambda: "m-12277" in view.text("table") and "m-12411" not in view.text("table"))
        assert "failed" not in view.text("table")
        await view.press("shift+tab", "e")
        await view.until(lambda: "m-884" in view.text("table") and "m-12277" in view.text("table"))
        await view.press("escape")
        await view.until(lambda: "m-12411" in view.text("table"))


async def test_a_search_goes_to_the_ledger_and_a_sort_needs_the_whole_list() -> None:
    door = FakeDoor()
    door.all_items = many(800)
    async with viewer(door) as view:
        await opened(view)
        await view.press("s")
        assert "input order" in view.text("status")
        await view.press("/", "7", "9", "9", "enter")
        await view.until(lambda: "m-799" in view.text("table") and "m-0 " not in view.text("table"))
        await view.press("s")
        await view.until(lambda: "sort TRY" in view.text("tabs"))

    assert door.queries[-1].search == "799"


async def test_moving_to_the_end_and_back_shows_every_item_once_in_a_bounded_window() -> None:
    door = FakeDoor()
    door.all_items = many(1300)
    async with viewer(door) as view:
        await opened(view)
        table = view.app.screen.table  # type: ignore[attr-defined]
        seen = [table.current.id]
        for _ in range(1299):
            view.app.screen.action_do("down")
            if len(table.rows) - table.cursor < 40:
                await view.settle()
                await view.app.workers.wait_for_complete()
            seen.append(table.current.id)
            assert len(table.rows) <= WINDOW
        assert seen == [f"m-{seq}" for seq in range(1300)]
        await view.press("home")
        await view.until(lambda: "m-0 " in view.text("table"))
        await view.press("end")
        await view.until(lambda: "m-1299" in view.text("table"))


async def test_pages_forward_and_backward_hold_the_same_items() -> None:
    door = FakeDoor()
    door.all_items = tuple(
        sorted((*many(700), *(replace(r, seq=r.seq + 10**6) for r in ITEMS[:5])), key=lambda r: r.seq)
    )
    pages = ItemPages(door.items, ItemView())
    await pages.start()
    forward = [row.seq for row in pages.rows]
    while not pages.is_last:
        gone = await pages.forward()
        forward = forward[: len(forward)] + [row.seq for row in pages.rows if row.seq not in set(forward)]
        assert gone >= 0
    await pages.end()
    backward = [row.seq for row in pages.rows]
    while not pages.is_first:
        before = len(backward)
        await pages.back()
        backward = [row.seq for row in pages.rows if row.seq not in set(backward)] + backward
        assert len(backward) > before

    assert forward == backward
    assert len(forward) == 705


async def test_enter_opens_the_inspector_whose_parts_are_keys() -> None:
    async with viewer() as view:
        await opened(view)
        for _ in range(12):
            await view.press("j")
        await view.press("enter")
        await view.until(lambda: "REJECTED" in view.text("title"))
        assert "m-12277" in view.text("title") or "m-11903" in view.text("title")
        assert "Je bent een geduldige uitlegger" in view.text("body")
        for key, words in (("a", "laag inkomen"), ("t", "req_7d1c"), ("j", '"choices"'), ("f", "12 hits")):
            await view.press(key)
            await view.until(lambda words=words: words in view.text("body"))  # type: ignore[misc]
        assert "- lageinkomen gaan voor." in view.text("body")
        assert "+ laag inkomen gaan voor." in view.text("body")
        first = view.text("title").split("\n")[0]
        await view.press("n")
        await view.until(lambda: view.text("title").split("\n")[0] != first)
        await view.press("escape")
        await view.until(lambda: "[3 Items]" in view.text("tabs"))


async def test_a_rejected_item_is_asked_again_and_a_done_one_is_not() -> None:
    async with viewer() as view:
        await opened(view)
        await view.press("R")
        assert "only a rejected or failed" in view.text("status")
        await view.press("e")
        await view.until(lambda: "m-12411" not in view.text("table"))
        await view.press("R")
        await view.until(lambda: view.sent != [])

    assert view.sent[0][0] == "retry"
    assert view.sent[0][1]["ids"][0] in {"m-12277", "m-11903"}


async def test_over_a_hundred_are_asked_again_only_after_y() -> None:
    door = FakeDoor()
    door.all_items = tuple(replace(REJECTED, seq=seq, id=f"m-{seq}") for seq in range(150))
    kind = replace(door.now.errors.kinds[0], name="filtered")
    door.push(errors=replace(door.now.errors, kinds=(kind,)))
    async with viewer(door) as view:
        await view.press("5", "R")
        await view.until(lambda: "Ask 150 items again?" in view.text("dialog"))
        await view.answer("enter")
        assert view.sent == []
        await view.press("R")
        await view.until(lambda: "Ask 150 items again?" in view.text("dialog"))
        await view.answer("y")
        await view.until(lambda: view.sent != [])

    assert len(view.sent[0][1]["ids"]) == 150


async def test_enter_on_a_kind_of_error_shows_its_items() -> None:
    async with viewer() as view:
        door = view.door
        kind = replace(door.now.errors.kinds[0], name="context_length")
        door.push(errors=replace(door.now.errors, kinds=(kind,)))
        await view.press("5")
        await view.until(lambda: "context_length" in view.text("body"))
        await view.press("enter")
        await view.until(lambda: "m-884" in view.text("table"))
        assert "m-12277" not in view.text("table")


async def test_o_saves_into_a_new_file_and_never_over_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with viewer() as view:
        await opened(view)
        await view.press("o", "enter")
        await view.until(lambda: "saved" in view.text("status"))
        (file,) = tmp_path.iterdir()
        assert "m-12277\trejected" in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        await view.press("o", "ctrl+u", *file.name.replace("-", "-"), "enter")
        await view.until(lambda: "not saved" in view.text("status"))


async def test_a_ledger_that_cannot_be_read_is_said_and_ends_nothing() -> None:
    door = FakeDoor()

    async def broken(query: object) -> None:
        raise OSError("disk gone")

    door.items = broken  # type: ignore[assignment]
    async with viewer(door) as view:
        await view.press("3")
        await view.until(lambda: "cannot read the items: disk gone" in view.text("status"))
        await view.press("1")
        await view.until(lambda: "[1 Overview]" in view.text("tabs"))
        await asyncio.sleep(0)


async def test_enter_on_a_pack_shows_its_items_and_esc_comes_back_to_the_table() -> None:
    async with viewer() as view:
        await view.press("j", "j", "j", "enter")
        await view.until(lambda: "m-12277" in view.text("table") and "m-884" in view.text("table"))
        assert "m-11903" not in view.text("table")
        assert "p00824  esc back" in view.text("tabs")
        await view.press("escape")
        assert "[1 Overview]" in view.text("tabs")
        await view.press("3")

        await view.until(lambda: "m-11903" in view.text("table"))
