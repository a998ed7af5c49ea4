"""Which screen stands behind which number: imported behind the first picture."""

from __future__ import annotations

from llmtop_tui.screens import panel_screen
from llmtop_tui.screens.batches import BatchesScreen
from llmtop_tui.screens.compare import CompareScreen
from llmtop_tui.screens.errors import ErrorsScreen
from llmtop_tui.screens.items import ItemsScreen
from llmtop_tui.screens.log import LogScreen
from llmtop_tui.screens.run_screen import RunScreen
from llmtop_tui.screens.settings import SettingsScreen

_SCREENS: dict[str, type[RunScreen]] = {
    "2": BatchesScreen,
    "3": ItemsScreen,
    "4": panel_screen.TunerScreen,
    "5": ErrorsScreen,
    "6": LogScreen,
    "7": SettingsScreen,
    "8": CompareScreen,
}


def screen_of(number: str) -> type[RunScreen]:
    """Return the class of a screen beside the overview."""
    return _SCREENS[number]
