"""The inspector: one item with everything, fetched when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult

from llmtop.errors import LlmtopError
from llmtop.listing import ItemDetail
from llmtop_tui.ink import Line, line, said, spread
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.panel import Panel
from llmtop_tui.panels import item
from llmtop_tui.scene import Scene
from llmtop_tui.screens.panel_screen import PanelScreen
from llmtop_tui.session import Session

Neighbour = Callable[[int], str | None]
"""The id of the item after (1) or before (-1); moves the list's cursor along."""


class ItemScreen(PanelScreen):
    """Parts of one item, one at a time."""

    PLACE: ClassVar[Place] = "item"
    TAB: ClassVar[str] = ""

    def __init__(
        self,
        session: Session,
        looks: Looks,
        hidden: frozenset[str],
        item_id: str,
        neighbour: Neighbour | None = None,
    ) -> None:
        super().__init__(session, looks, hidden)
        self.item_id = item_id
        self.detail: ItemDetail | None = None
        self._neighbour = neighbour
        self._part = "prompt"
        self._is_wrapped = True
        self._fault = ""
        self.title_panel = Panel(self._title, looks, id="title")

    def compose(self) -> ComposeResult:
        yield from self.frame([self.tabs, self.body])

    def on_mount(self) -> None:
        super().on_mount()
        self.fetch()

    @work(exclusive=True, exit_on_error=False)
    async def fetch(self) -> None:
        """Read the item."""
        self.detail, self._fault = None, ""
        try:
            self.detail = await self.session.door.item(self.item_id)
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            self._fault = f"cannot be read: {said(error)}"
        else:
            self._fault = "" if self.detail is not None else "there is no such item"
        self._top = None
        self._redraw()

    def draw(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        if self.detail is None:
            return [line((self._fault or "reading it", "warn" if self._fault else "muted"))]
        return item.part_lines(self.detail, self._part, width, is_wrapped=self._is_wrapped)

    def _title(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        name = said(scene.snapshot.name, 40) if scene.snapshot else ""
        detail = self.detail
        pack = (detail.result or {}).get("pack_id") if detail is not None else None
        middle = f"{said(pack, 30)} {looks.glyphs.cursor} " if pack else ""
        first = line(
            " ", (name, "strong"), f" {looks.glyphs.cursor} {middle}", (said(self.item_id, 512), "strong")
        )
        last = line("  ", *item.outcome(detail), "  ", ("esc", "key"), " back ") if detail is not None else ()
        return [spread(first, last, width), item.head(detail) if detail is not None else ()]

    def _tabs(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        return [item.tabs(self._part, is_wrapped=self._is_wrapped)]

    def _redraw(self) -> None:
        for widget in (self.title_panel, self.tabs, self.body):
            widget.redraw()

    def _turn_to(self, part: str) -> None:
        self._part, self._top = part, None
        self._redraw()

    def do_part_prompt(self) -> None:
        self._turn_to("prompt")

    def do_part_answer(self) -> None:
        self._turn_to("answer")

    def do_part_filters(self) -> None:
        self._turn_to("filters")

    def do_part_attempts(self) -> None:
        self._turn_to("attempts")

    def do_part_raw(self) -> None:
        self._turn_to("raw")

    def do_next_panel(self) -> None:
        self._step_part(1)

    def do_last_panel(self) -> None:
        self._step_part(-1)

    def _step_part(self, step: int) -> None:
        names = [name for name, _, _ in item.PARTS]
        self._turn_to(names[(names.index(self._part) + step) % len(names)])

    def do_wrap(self) -> None:
        """`w`: fold long lines, or cut them."""
        self._is_wrapped = not self._is_wrapped
        self._redraw()

    def do_next_match(self) -> None:
        self._go(1)

    def do_last_match(self) -> None:
        self._go(-1)

    def _go(self, step: int) -> None:
        found = self._neighbour(step) if self._neighbour is not None else None
        if found is None:
            self.say("no item after this one" if step > 0 else "no item before this one")
            return
        self.item_id = found
        self.fetch()

    def do_copy(self) -> None:
        """`y`: the part that is shown."""
        if self.detail is not None:
            self.copy_text(item.text_of_part(self.detail, self._part), self._part)

    def do_copy_all(self) -> None:
        """`Y`: all parts."""
        if self.detail is not None:
            self.copy_text(self._all(self.detail), "item")

    def do_save(self) -> None:
        """`o`: all parts into a file."""
        if self.detail is not None:
            self.save_text(self._all(self.detail), "item")

    def _all(self, detail: ItemDetail) -> str:
        parts = [f"=== {title}\n{item.text_of_part(detail, name)}" for name, _, title in item.PARTS]
        return f"item {said(detail.row.id, 512)}: {detail.row.state}\n\n" + "\n\n".join(parts)

    def do_again(self) -> None:
        """`R`: put it back in the queue."""
        if self.detail is None or self.detail.row.state not in {"rejected", "failed"}:
            self.say("only a rejected or failed item is asked again", "warn")
        else:
            self.ask_again([self.item_id])

    def do_back(self) -> None:
        self.app.pop_screen()
        self.app.call_after_refresh(self.app.redraw)  # type: ignore[attr-defined]
