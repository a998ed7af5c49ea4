"""The inspector in the right column of a wide overview."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_door import FakeDoor
from hostile import words as texts
from hypothesis import given, settings
from hypothesis import strategies as st
from viewing import viewer

from llmtop.errors import StateError
from llmtop.listing import ItemDetail
from llmtop_tui.ink import block, text_of, width_of
from llmtop_tui.inspection import CALM_S, Inspection
from llmtop_tui.looks import UTF8, Looks
from llmtop_tui.panels import inspector
from llmtop_tui.sample import FILTERS, ROWS, SAMPLE
from llmtop_tui.sample_items import ITEM

WIDE = (200, 50)


def words(detail: ItemDetail | None = ITEM, height: int = 18, **more: Any) -> str:
    lines = inspector.lines(detail, FILTERS, 76, height, Looks(UTF8), **more)
    return "\n".join(text_of(each) for each in lines)


def test_an_item_is_shown_with_its_prompt_its_answer_and_what_every_filter_did() -> None:
    shown = words()

    assert "Motie over het behoud" in shown
    assert "laag inkomen gaan voor" in shown
    assert "4 reject          STOP: 12 foreign words" in shown
    assert "2 words           0 hits" in shown
    assert "6 whitespace      not reached" in shown
    assert shown.endswith("REJECTED by reject   enter shows all, R asks again")


def test_where_there_is_little_room_the_outcome_stays_and_what_is_missing_is_counted() -> None:
    shown = words(replace(ITEM, messages=({"role": "user", "content": "a line\n" * 40},)), height=9)

    assert "39 more lines" in shown
    assert shown.endswith("R asks again")


def test_keys_are_named_only_where_the_cursor_stands_on_what_is_shown() -> None:
    assert words(has_keys=False).endswith("REJECTED by reject")


@settings(max_examples=30, deadline=None)
@given(text=texts, width=st.sampled_from([1, 10, 54, 76]), height=st.integers(1, 20))
def test_it_stays_in_its_box_whatever_a_model_wrote(text: str, width: int, height: int) -> None:
    row = replace(ITEM.row, id=text or "-", error_message=text)
    traces = [{"use": text, "place": 1, "hits": 1, "what": text}, {"use": text, "what": [text, {"x": text}]}]
    nasty = replace(
        ITEM,
        row=row,
        messages=({"role": text, "content": text},),
        result={"output": text, "model": text, "filters": traces},
    )
    lines = inspector.lines(nasty, (), width, height, Looks(UTF8))

    assert len(lines) <= height
    for drawn in block(lines, width, height):
        assert width_of(drawn) == width
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text_of(drawn))


def test_the_newest_answer_is_shown_calmly_and_a_row_that_is_chosen_at_once() -> None:
    looking = Inspection()
    newest = looking.next_row(ROWS, ROWS[0], 100.0, is_chosen=False, is_slow=False)
    assert newest is not None
    assert newest.key == "p00824"
    later = (replace(ROWS[4], key="p00900", started_at=SAMPLE.at), *ROWS)
    assert looking.next_row(later, ROWS[0], 100.0 + CALM_S / 2, is_chosen=False, is_slow=False) is None
    follower = looking.next_row(later, ROWS[0], 100.0 + CALM_S, is_chosen=False, is_slow=False)
    assert follower is not None
    assert follower.key == "p00900"

    assert looking.next_row(later, ROWS[1], 100.1 + CALM_S, is_chosen=True, is_slow=False) is ROWS[1]
    assert looking.next_row(later, ROWS[1], 200.0, is_chosen=True, is_slow=False) is None


async def test_a_wide_overview_shows_the_item_under_the_cursor_and_asks_for_nothing_twice() -> None:
    door = FakeDoor()
    door.packs = {"p00824": (12277, 3), "p00826": (884, 5)}
    async with viewer(door, size=WIDE) as view:
        await view.until(lambda: "m-12277" in view.text("inspector"))
        assert "Inspector  p00824  15 items" in view.text("inspector")
        await view.press("j")
        await view.until(lambda: "m-884" in view.text("inspector"))
        asked = len(door.queries)
        for _ in range(3):
            view.app.redraw()
            await view.settle()

        assert len(door.queries) == asked
        assert "words" in view.text("filters")


async def test_what_cannot_be_read_is_said_in_its_place_and_the_rest_goes_on() -> None:
    class BrokenDoor(FakeDoor):
        async def items(self, query):  # type: ignore[no-untyped-def]
            raise StateError("run.db", "cannot be read", "")

    async with viewer(BrokenDoor(), size=WIDE) as view:
        await view.until(lambda: "cannot be read" in view.text("inspector"))

        assert "8,140" in view.text("throughput")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_without_a_right_column_nothing_is_read(size: tuple[int, int]) -> None:
    async with viewer(size=size) as view:
        await view.press("j")

        assert view.door.queries == []
