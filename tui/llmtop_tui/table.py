"""A list with a cursor over rows of any kind: header, paging, follow, mouse.

It draws the visible rows and no others, so its cost does not depend on their number. The cursor
moves inside the page and scrolls by half pages at its edge: scrolling line by line would send the
whole table for every press.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from textual import events

from llmtop_tui.ink import Line, line
from llmtop_tui.looks import Looks
from llmtop_tui.panel import LineWidget

Row = TypeVar("Row")
Header = Callable[[int], Line]


class TableView(LineWidget, Generic[Row]):
    """Rows with one under the cursor.

    `draw(row, width, is_current)` makes a line; `key_of(row)` names a row for `follow`.
    """

    def __init__(
        self,
        looks: Looks,
        header: Header,
        draw: Callable[[Row, int, bool], Line],
        key_of: Callable[[Row], str],
        *,
        empty: str,
        id: str | None = None,
    ) -> None:
        super().__init__(looks, id=id)
        self._header = header
        self._draw_row = draw
        self._key_of = key_of
        self.empty = empty
        self.rows: Sequence[Row] = ()
        self.cursor = 0
        self._top = 0
        self._followed: str | None = None
        self.on_open: Callable[[], None] | None = None
        self.on_moved: Callable[[], None] | None = None

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def is_following(self) -> bool:
        """Whether the cursor stays with its row when the rows move."""
        return self._followed is not None

    def show(self, rows: Sequence[Row]) -> None:
        """Draw these rows."""
        self.rows = rows
        if self._followed is not None:
            places = [index for index, row in enumerate(rows) if self._key_of(row) == self._followed]
            self.cursor = places[0] if places else self.cursor
        self.cursor = max(0, min(self.cursor, len(rows) - 1))
        self._keep_in_sight()
        self.redraw()

    def toggle_follow(self) -> bool:
        """Stay with the row under the cursor, or with the place; returns whether it follows now."""
        row = self.current
        self._followed = None if self._followed is not None or row is None else self._key_of(row)
        return self._followed is not None

    def move(self, to: str) -> None:
        """Move the cursor: up, down, page_up, page_down, home, end."""
        page = max(self._page() - 1, 1)
        last = max(len(self.rows) - 1, 0)
        targets = {
            "up": self.cursor - 1,
            "down": self.cursor + 1,
            "page_up": self.cursor - page,
            "page_down": self.cursor + page,
            "home": 0,
            "end": last,
        }
        self._put_cursor(targets[to])

    def content(self, width: int, height: int) -> Sequence[Line]:
        head = self._header(width)
        if not self.rows:
            return [head, line((f"  {self.empty}", "muted"))]
        visible = range(self._top, min(self._top + height - 1, len(self.rows)))
        return [head, *(self._draw_row(self.rows[index], width, index == self.cursor) for index in visible)]

    def on_resize(self) -> None:
        self._keep_in_sight()
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the row; a double click opens it."""
        event.stop()
        row = self._top + event.y - 1
        if event.y > 0 and row < len(self.rows):
            self._put_cursor(row)
            if event.chain == 2 and self.on_open is not None:
                self.on_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._put_cursor(self.cursor + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._put_cursor(self.cursor - 3)

    def _put_cursor(self, index: int) -> None:
        self.cursor = max(0, min(index, len(self.rows) - 1))
        if self._followed is not None and (row := self.current) is not None:
            self._followed = self._key_of(row)
        self._keep_in_sight()
        self.redraw()
        if self.on_moved is not None:
            self.on_moved()

    def _page(self) -> int:
        return max(self.size.height - 1, 1)

    def _keep_in_sight(self) -> None:
        page = self._page()
        half = max(page // 2, 1)
        if self.cursor < self._top:
            self._top = max(0, self.cursor - half)
        elif self.cursor >= self._top + page:
            self._top = self.cursor - page + half
        self._top = max(0, min(self._top, len(self.rows) - page))
