"""Every setting of the run: what it is, where it came from, and what was changed live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from llmtop_tui.ink import Line
from llmtop_tui.panels import settings
from llmtop_tui.scene import Scene
from llmtop_tui.screens.read_screen import ReadScreen

if TYPE_CHECKING:
    from llmtop.control.library import Home
    from llmtop.control.settings import ShownSetting


class SettingsScreen(ReadScreen[tuple["ShownSetting", ...]]):
    """Read once from the run's ledger; the live settings come with every snapshot."""

    TAB: ClassVar[str] = "7"
    WORDS: ClassVar[str] = "reading the settings"

    def read(self, home: Home, run_id: str) -> tuple[ShownSetting, ...]:
        from llmtop.control.settings import settings_of  # the config's schema: for this screen only

        return settings_of(home.run_folder(run_id))

    def words(self, found: tuple[ShownSetting, ...], scene: Scene, width: int) -> Sequence[Line]:
        return settings.lines(found, scene, width)
