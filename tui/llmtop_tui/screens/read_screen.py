"""A screen of one panel whose words are read from ledgers, in a thread."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textual import work

from llmtop.errors import LlmtopError
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session

if TYPE_CHECKING:
    from llmtop.control.library import Home

T = TypeVar("T")

_SHARE = 0.1
"""Of the time, for reading again while something changes."""


class ReadScreen(PanelScreen, Generic[T]):
    """Reads when it opens, and again while `goes_on`: every `EVERY_S`, or less often where it is slow."""

    WORDS: ClassVar[str] = "reading"
    """What stands there meanwhile."""
    EVERY_S: ClassVar[float] = 2.0

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._found: T | None = None
        self._fault = ""

    @abstractmethod
    def read(self, home: Home, run_id: str) -> T:
        """Return what is shown. Blocking; may raise LlmtopError."""

    @abstractmethod
    def words(self, found: T, scene: Scene, width: int) -> Sequence[Line]:
        """Put it into lines."""

    def goes_on(self, found: T) -> bool:
        """Whether it may be another soon."""
        return False

    def on_mount(self) -> None:
        super().on_mount()
        self.fetch()

    @work(exclusive=True, exit_on_error=False)
    async def fetch(self) -> None:
        """Read, in a thread. What was read before stays where it fails."""
        home = self.session.options.home
        started = time.monotonic()
        if home is None:
            self._fault = "the state folder of this run is not at hand"
        else:
            try:
                self._found = await asyncio.to_thread(self.read, home, self.session.door.run_id)
            except (LlmtopError, OSError, ValueError) as error:
                self._fault = said(error, 300)
        self.body.redraw()
        if self._found is not None and self.goes_on(self._found):
            took = time.monotonic() - started
            self.set_timer(max(self.EVERY_S, took / _SHARE), self.fetch)

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        if self._found is None:
            return [line((self._fault, "warn") if self._fault else (self.WORDS, "muted"))]
        return self.words(self._found, scene, width - 2)
