"""What screens with a table share: moving, copying, saving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmtop_tui.screens.text_screen import TextScreen
from llmtop_tui.table import TableView


class TableScreen(TextScreen):
    """A screen over one session whose keys move in a table. Subclasses make `table` before it is composed."""

    table: TableView[Any]

    def rows(self) -> Sequence[Any]:
        """Return the rows that are shown."""
        return self.table.rows

    def copied(self, row: Any) -> str:
        """Return one row as tab-separated text, cleaned."""
        raise NotImplementedError

    def moved(self) -> None:
        """Called when the cursor has moved, by a key or the mouse."""

    def _move(self, to: str) -> None:
        self.table.move(to)

    def do_up(self) -> None:
        self._move("up")

    def do_down(self) -> None:
        self._move("down")

    def do_page_up(self) -> None:
        self._move("page_up")

    def do_page_down(self) -> None:
        self._move("page_down")

    def do_home(self) -> None:
        self._move("home")

    def do_end(self) -> None:
        self._move("end")

    def do_follow(self) -> None:
        """`f`: the cursor stays with its row, or in its place."""
        is_on = self.table.toggle_follow()
        self.say("the cursor stays with its row" if is_on else "the cursor stays in its place")
        self.tabs.redraw()

    def do_copy(self) -> None:
        """`y`: the row under the cursor goes to the clipboard of the terminal."""
        row = self.table.current
        if row is None:
            self.say("no row to copy", "warn")
        else:
            self.copy_text(self.copied(row), "row")

    def do_copy_all(self) -> None:
        """`Y`: every row that is loaded."""
        self.copy_text("\n".join(map(self.copied, self.rows())), "table")

    def do_save(self) -> None:
        """`o`: the rows that are loaded, into a file."""
        self.save_text("\n".join(map(self.copied, self.rows())), "table")
