"""What is asked for by name: palette, `:export`, `:retry`, asking again; on a real state folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fake_door import FakeDoor
from ledger_values import finishes, new_ledger, put_all, result
from textual.command import CommandList
from viewing import viewer

from llmtop.control.library import Home
from llmtop.listing import ItemRow
from llmtop.model import RunCounts
from llmtop_tui.sample import SAMPLE
from llmtop_tui.sample_items import REJECTED


async def home_with_a_run(folder: Path) -> Home:
    """A state folder with a ledger of three results, under the name of the fake door's run."""
    home = Home.open(folder, {})
    run = folder / "runs" / "r-1"
    run.parent.mkdir(exist_ok=True)
    ledger = new_ledger(run, items=5, config={"input": {"path": "motions.jsonl"}})
    await put_all(ledger, finishes(result(0), result(1, "rejected"), result(2)))
    ledger.close()
    return home


async def test_the_palette_offers_every_action_by_its_words_and_does_the_chosen_one() -> None:
    async with viewer() as view:
        await view.press("ctrl+p")
        await view.until(lambda: type(view.app.screen).__name__ == "_Palette")
        await view.pilot.press(*"doubled")
        found = view.app.screen.query_one(CommandList)
        await view.until(lambda: found.option_count == 1 and found.highlighted == 0)
        await view.pilot.press("enter")
        await view.pilot.pause()
        if type(view.app.screen).__name__ == "_Palette":  # the first enter only takes it over
            await view.pilot.press("enter")

        await view.until(lambda: view.sent == [("set", {"concurrency": "64"})])


async def test_export_writes_the_results_so_far_and_says_how_many_and_where(tmp_path: Path) -> None:
    home = await home_with_a_run(tmp_path / "home")
    target = tmp_path / "so_far.jsonl"
    async with viewer(home=home) as view:
        await view.press("colon", *f"export {target}", "enter")
        await view.until(lambda: "exported" in view.text("status"))

        assert "exported 3 results" in view.text("status")
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == ["m-0", "m-1", "m-2"]


async def test_an_export_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    home = await home_with_a_run(tmp_path / "home")
    async with viewer(home=home) as view:
        await view.press("colon", *f"export {tmp_path}/no/such/folder/x.csv", "enter")
        await view.until(lambda: "not exported" in view.text("status"))


async def test_without_a_state_folder_export_and_settings_say_so() -> None:
    async with viewer() as view:
        await view.press("colon", *"export x.jsonl", "enter")
        assert "write :export FILE" in view.text("status")
        await view.press("S")
        await view.until(lambda: "state folder of this run is not at hand" in view.text("body"))


@pytest.mark.parametrize("which", ["failed", "rejected"])
async def test_retry_puts_all_of_a_kind_back_and_asks_over_a_hundred(which: str) -> None:
    many = replace(SAMPLE, counts=RunCounts(29118, 12367, 141, 20))
    async with viewer(FakeDoor(many)) as view:
        await view.press("colon", *f"retry {which}", "enter")
        if which == "rejected":
            assert "Ask 141 rejected items again?" in view.text("dialog")
            assert view.sent == []
            await view.answer("y")
        await view.until(lambda: view.sent == [("retry", {which: True})])


async def test_r_on_an_item_puts_it_back_and_on_a_kind_all_of_that_kind() -> None:
    async with viewer() as view:
        await view.press("3", "e")
        await view.until(lambda: "m-11903" in view.text("table"))
        await view.press("R")
        await view.until(lambda: view.sent == [("retry", {"ids": ["m-11903"]})])
        await view.press("5", *["j"] * 4, "R")
        await view.until(lambda: len(view.sent) == 2)

        assert view.sent[1] == ("retry", {"ids": ["m-11903", "m-12277"]})


async def test_asking_more_than_a_hundred_again_wants_a_yes_and_only_looking_asks_for_nothing() -> None:
    door = FakeDoor()
    door.all_items = _rejected(150)
    async with viewer(door) as view:
        await view.press("5", *["j"] * 4, "R")
        await view.until(lambda: "Ask 150 items again?" in view.text("dialog"))
        await view.answer("enter")
        assert view.sent == []
    async with viewer(door, is_read_only=True) as view:
        await view.press("5", *["j"] * 4, "R")
        await view.until(lambda: "read-only" in view.text("status"))

        assert view.sent == []


def _rejected(count: int) -> Sequence[ItemRow]:
    return tuple(replace(REJECTED, seq=number, id=f"m-{number}") for number in range(count))
