from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from llmtop_tui import keys
from llmtop_tui.app import DashboardApp
from llmtop_tui.ink import text_of, width_of
from llmtop_tui.key_table import TABLE, Place
from llmtop_tui.looks import Looks
from llmtop_tui.screens.batch import BatchScreen
from llmtop_tui.screens.batches import BatchesScreen
from llmtop_tui.screens.errors import ErrorsScreen
from llmtop_tui.screens.help import HelpScreen
from llmtop_tui.screens.item import ItemScreen
from llmtop_tui.screens.items import ItemsScreen
from llmtop_tui.screens.log import LogScreen
from llmtop_tui.screens.overview import OverviewScreen
from llmtop_tui.screens.panel_screen import TunerScreen
from llmtop_tui.screens.runs import RunsScreen

SCREENS = {
    "overview": OverviewScreen,
    "batches": BatchesScreen,
    "batch": BatchScreen,
    "items": ItemsScreen,
    "item": ItemScreen,
    "panel": TunerScreen,
    "log": LogScreen,
    "errors": ErrorsScreen,
    "runs": RunsScreen,
}


def test_no_key_means_two_things_on_one_screen() -> None:
    for place in get_args(Place):
        names = [name for key in TABLE if place in key.where for name in key.keys]
        assert len(names) == len(set(names)), place


def test_every_key_that_needs_a_function_key_has_another() -> None:
    alone = [key.action for key in TABLE if all(name.startswith("f") and len(name) > 1 for name in key.keys)]

    assert alone == ["display"]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("place", list(SCREENS))
def test_the_footer_fits_and_always_names_help(place: Place, width: int) -> None:
    footer = keys.footer(place, width, Looks())

    assert width_of(footer) <= width
    assert "? help" in text_of(footer)


def test_the_footer_names_resume_while_the_run_is_paused() -> None:
    assert "space resume" in text_of(keys.footer("overview", 80, Looks(), is_paused=True))


def test_the_help_names_every_key_and_those_of_the_screen_first() -> None:
    text = "\n".join(text_of(each) for each in keys.help_lines("runs"))

    assert all(key.help in text for key in TABLE)
    assert text.index("open what is under the cursor") < text.index("concurrency doubled")


def test_the_docs_have_the_table_of_keys_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "dashboard.md"

    assert keys.markdown().count("\n") == len(TABLE) + 2
    assert keys.markdown() in page.read_text(encoding="utf-8")


def test_every_action_of_the_table_is_done_by_somebody() -> None:
    view = {"help", "detach", "quit", "interrupt", "mouse", "repaint", "display", "suspend", "palette"}
    steered = {
        "pause",
        "hold",
        "conc_up",
        "conc_down",
        "conc_double",
        "conc_halve",
        "rate_up",
        "rate_down",
        "tuner",
        "pack_up",
        "pack_down",
        "undo",
    }
    for key in TABLE:
        for place in key.where:
            screen = SCREENS.get(place)
            has_own = screen is not None and hasattr(screen, f"do_{key.action}")
            moves = key.group == "move" and place in {"runs", "help"}
            is_tab = key.action.startswith("screen_") and place != "runs"
            in_help = place == "help" and key.action in {"back", "help", "quit"}
            assert has_own or moves or is_tab or in_help or key.action in view | steered, (key.action, place)
    assert hasattr(HelpScreen, "action_do")
    assert hasattr(DashboardApp, "action_view")
