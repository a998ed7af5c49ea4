"""Full-width screens of one panel each: tuner, log, and what else is one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from llmtop_tui.ink import Line, text_of
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import tuner
from llmtop_tui.scene import Scene
from llmtop_tui.screens.text_screen import TextScreen
from llmtop_tui.session import Session

_LONG = 1000
"""Lines that a screen of one panel may have; the log and the decisions have far fewer."""


class PanelScreen(TextScreen):
    """One panel with the whole room, scrolled by the keys that move."""

    PLACE: ClassVar[Place] = "panel"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._top: int | None = None
        """First line shown; None: the panel's own choice."""
        self._last_length = 0
        self.body = Panel(self._body, looks, id="body")

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        """All lines of the panel, `height` of them at most."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield from self.frame([self.tabs, self.body])

    def _body(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        lines = self.draw(scene, width, _LONG, looks)
        self._last_length = len(lines)
        top = self._first(len(lines), height) if self._top is None else self._top
        top = max(0, min(top, len(lines) - height))
        if self._top is not None:
            self._top = top
        return [((" ", "plain"), *each) for each in lines[top : top + height]]

    def _first(self, length: int, height: int) -> int:
        """Where the panel starts before anybody scrolled."""
        return 0

    def _scroll(self, step: int) -> None:
        height = self.body.size.height
        start = self._first(self._last_length, height) if self._top is None else self._top
        self._top = max(0, min(start + step, max(self._last_length - height, 0)))
        self.body.redraw()

    def do_save(self) -> None:
        """`o`: the whole panel into a file."""
        self.save_text(self._whole(), "screen")

    def do_copy(self) -> None:
        """`y`: what is in sight."""
        self.copy_text("\n".join(text_of(each).rstrip() for each in self.shown_lines()), "text in sight")

    def do_copy_all(self) -> None:
        """`Y`: the whole panel."""
        self.copy_text(self._whole(), "screen")

    def shown_lines(self) -> Sequence[Line]:
        """What `y` copies: the lines in sight."""
        width, height = self.body.size
        return self._body(self.session.scene(), width, height, self.looks)

    def _whole(self) -> str:
        lines = self.draw(self.session.scene(), 200, _LONG, self.looks)
        return "\n".join(text_of(each).rstrip() for each in lines)

    def do_up(self) -> None:
        self._scroll(-1)

    def do_down(self) -> None:
        self._scroll(1)

    def do_page_up(self) -> None:
        self._scroll(1 - self.body.size.height)

    def do_page_down(self) -> None:
        self._scroll(self.body.size.height - 1)

    def do_home(self) -> None:
        self._scroll(-_LONG)

    def do_end(self) -> None:
        self._scroll(_LONG)


class TunerScreen(PanelScreen):
    """Settings with ranges and origins, evidence, decisions."""

    TAB: ClassVar[str] = "4"

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        return tuner.screen(scene, width - 2, height, looks)
