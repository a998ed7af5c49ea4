"""This run beside every other run over the same items."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work

from llmtop.errors import LlmtopError, UsageError
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels import compare
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session

if TYPE_CHECKING:
    from llmtop.control.compare import ComparedRun
    from llmtop.control.library import Home

_AT_MOST = 8


class CompareScreen(PanelScreen):
    """Read from the ledgers when it opens; `C` again reads anew."""

    TAB: ClassVar[str] = "8"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._runs: tuple[ComparedRun, ...] | None = None
        self._fault = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.fetch()

    @work(exclusive=True, exit_on_error=False)
    async def fetch(self) -> None:
        """Compare, in a thread: it reads every result."""
        home = self.session.options.home
        try:
            if home is None:
                raise UsageError("", "the state folder of this run is not at hand")
            self._runs = await asyncio.to_thread(_compared, home, self.session.door.run_id)
        except (LlmtopError, OSError, ValueError) as error:
            self._fault = said(error, 300)
        self.body.redraw()

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        if self._runs is None:
            return [
                line((self._fault or "reading the results of the runs", "warn" if self._fault else "muted"))
            ]
        return compare.lines(self._runs, width)


def _compared(home: Home, run_id: str) -> tuple[ComparedRun, ...]:
    """Compare the run with the newest others of as many items that turn out to be the same ones."""
    from llmtop.control.compare import compare as compared  # sources and templates: for this screen only

    lines = home.runs()
    total = next((each.counts.total for each in lines if each.run_id == run_id), None)
    refs = [run_id]
    for each in lines:
        if each.run_id != run_id and each.counts.total == total and len(refs) < _AT_MOST:
            try:
                compared(home, (run_id, each.run_id))
            except UsageError:
                continue
            refs.append(each.run_id)
    if len(refs) == 1:
        raise UsageError("", "no other run over the same items is in the state folder")
    return compared(home, refs)
