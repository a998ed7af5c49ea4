"""Warnings, kinds of errors with a cursor, history: from a kind to its items, and back into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work

from llmtop.errors import LlmtopError
from llmtop.listing import ItemQuery
from llmtop.snapshot import ErrorKind
from llmtop_tui.ink import Line, said
from llmtop_tui.item_pages import ItemView
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panels import errors
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session

_PAGE = 1000
_AT_MOST = 20_000
"""Items that one `R` puts back; the command line puts back any number."""


class ErrorsScreen(PanelScreen):
    """The cursor stands on a kind of error."""

    PLACE: ClassVar[Place] = "errors"
    TAB: ClassVar[str] = "5"

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__(session, looks, hidden)
        self._cursor = 0

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        return errors.screen(scene, width - 2, height, looks, self._cursor)

    def do_up(self) -> None:
        self._move(-1)

    def do_down(self) -> None:
        self._move(1)

    def _move(self, step: int) -> None:
        self._cursor = max(0, min(self._cursor + step, len(self._kinds()) - 1))
        width, height = self.body.size
        row = errors.line_of_kind(self.session.scene(), width - 2, self._cursor)
        top = self._top or 0
        if not top <= row < top + height:
            self._top = max(0, row - height // 2)
        self.body.redraw()

    def _kinds(self) -> tuple[ErrorKind, ...]:
        return self.session.snapshot.errors.kinds if self.session.snapshot else ()

    def _error_type(self) -> str | None:
        kinds = self._kinds()
        return kinds[min(self._cursor, len(kinds) - 1)].name.split(" ")[0] if kinds else None

    def do_copy(self) -> None:
        """`y`: the kind under the cursor."""
        kinds = self._kinds()
        if not kinds:
            self.say("no error so far")
            return
        kind = kinds[min(self._cursor, len(kinds) - 1)]
        cells = (kind.name, str(kind.count), kind.cost, kind.last_message)
        self.copy_text("\t".join(said(each, 400) for each in cells), "row")

    def do_open(self) -> None:
        """`enter`: the rejected and failed items of this kind."""
        kind = self._error_type()
        if kind is None:
            self.say("no error so far")
            return
        self.session.item_view = ItemView(error_type=kind, back_to=self.TAB)
        self._switch("3")

    def do_again(self) -> None:
        """`R`: put every rejected or failed item of this kind back in the queue."""
        kind = self._error_type()
        if kind is None:
            self.say("no error so far")
        else:
            self.collect(kind)

    @work(exclusive=True, exit_on_error=False)
    async def collect(self, kind: str) -> None:
        """Read the ids of a kind, then ask."""
        ids: list[str] = []
        after: int | None = -1
        try:
            while after is not None and len(ids) < _AT_MOST:
                query = ItemQuery(("rejected", "failed"), kind, after_seq=after, limit=_PAGE)
                page = await self.session.door.items(query)
                ids += [row.id for row in page.rows]
                after = page.next_after_seq
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            self.say(f"cannot read the items: {said(error)}", "warn")
            return
        if ids:
            self.ask_again(ids, f"Items with {said(kind, 40)}")
        else:
            self.say(f"no item ended with {said(kind, 40)}: its tries were repeated", "warn")
