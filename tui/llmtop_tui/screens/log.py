"""The log: decisions, commands and changes of state, filtered, at its end until somebody scrolls up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from llmtop_tui.ink import Line, line, said
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panels import log
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session


class LogScreen(PanelScreen):
    """The newest line stays in sight while it follows."""

    PLACE: ClassVar[Place] = "log"
    TAB: ClassVar[str] = "6"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._text = ""

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        return log.some(scene, height, self._text)

    def _first(self, length: int, height: int) -> int:
        return max(length - height, 0)

    def _scroll(self, step: int) -> None:
        super()._scroll(step)
        self.tabs.redraw()

    def tab_note(self, width: int) -> Line:
        follows = "follows" if self._top is None else "stands still, f follows"
        parts = [f"/{said(self._text, 30)}" if self._text else "", follows if width >= 90 else ""]
        text = "   ".join(part for part in parts if part)
        return line((f"{text} ", "you" if self._text else "muted"), *self._runs_note())

    def do_filter(self) -> None:
        """`/`: narrows while it is typed; enter keeps it, esc clears it."""
        self.status.read(
            "/",
            lambda text: self._look(text or ""),
            text=self._text,
            changed=self._look,
            history=self.session.filters_typed,
        )

    def _look(self, text: str) -> None:
        self._text, self._top = text, None
        self._redraw()

    def do_follow(self) -> None:
        """`f`: stay at the end, or stand still here."""
        if self._top is None:
            self._top = self._first(self._last_length, self.body.size.height)
        else:
            self._top = None
        self.say("follows the end" if self._top is None else "stands still")
        self._redraw()

    def do_end(self) -> None:
        self._top = None
        self._redraw()

    def do_next_match(self) -> None:
        self._scroll(1)

    def do_last_match(self) -> None:
        self._scroll(-1)

    def do_back(self) -> None:
        """`esc`: all lines again, then the overview."""
        if self._text:
            self._look("")
        else:
            super().do_back()

    def _redraw(self) -> None:
        self.body.redraw()
        self.tabs.redraw()
