"""Every setting of the run: what it is, where it came from, and what was changed live."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work

from llmtop.errors import LlmtopError
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels import settings
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session

if TYPE_CHECKING:
    from llmtop.control.settings import ShownSetting


class SettingsScreen(PanelScreen):
    """Read once from the run's ledger; the live settings come with every snapshot."""

    TAB: ClassVar[str] = "7"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._settings: tuple[ShownSetting, ...] | None = None
        self._fault = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.fetch()

    @work(exclusive=True, exit_on_error=False)
    async def fetch(self) -> None:
        """Read the settings."""
        home = self.session.options.home
        if home is None:
            self._fault = "the state folder of this run is not at hand"
        else:
            from llmtop.control.settings import settings_of  # the config's schema: for this screen only

            try:
                folder = home.run_folder(self.session.door.run_id)
                self._settings = await asyncio.to_thread(settings_of, folder)
            except (LlmtopError, OSError, ValueError) as error:
                self._fault = said(error, 300)
        self.body.redraw()

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        if self._settings is None:
            return [line((self._fault or "reading the settings", "warn" if self._fault else "muted"))]
        return settings.lines(self._settings, scene, width)
