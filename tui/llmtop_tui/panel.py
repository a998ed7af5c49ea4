"""Widgets that draw lines: only what changed is refreshed, and a drawing fault stays in its panel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from llmtop_tui.ink import EMPTY, Line, block, boxed, fit, line
from llmtop_tui.looks import Looks
from llmtop_tui.scene import Scene

log = logging.getLogger("llmtop_tui")

Draw = Callable[[Scene, int, int, Looks], Sequence[Line]]
Title = Callable[[Scene, Looks], Line]


class LineWidget(Widget):
    """Draws `content(width, height)`; `redraw` refreshes the lines that differ from before.

    A subclass whose `content` raises shows one line that says so, and tells `on_fault` once.
    """

    DEFAULT_CSS = ""
    ALLOW_SELECT = False
    on_fault: Callable[[str, Exception], None] | None = None

    def __init__(self, looks: Looks, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.looks = looks
        self._lines: list[Line] = []
        self._strips: list[Strip] = []
        self._has_fault = False

    def content(self, width: int, height: int) -> Sequence[Line]:
        """Return what to show, `height` lines at most."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw anew, and refresh what changed."""
        width, height = self.size
        if width <= 0 or height <= 0 or not self._is_shown():
            return
        fresh = block(self._content_or_fault(width, height), width, height)
        if len(fresh) != len(self._lines) or any(strip.cell_length != width for strip in self._strips[:1]):
            self._strips = [self._strip(each, width) for each in fresh]
            self._lines = fresh
            self.refresh()
            return
        changed = [y for y, (new, old) in enumerate(zip(fresh, self._lines, strict=True)) if new != old]
        for y in changed:
            self._strips[y] = self._strip(fresh[y], width)
        self._lines = fresh
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def restyle(self, looks: Looks) -> None:
        """Draw everything in other looks."""
        self.looks = looks
        self._lines = []
        self.redraw()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Hand out the prepared lines; Textual's styles, filters and markup are not involved."""
        width, height = self.size
        if len(self._strips) != height or (self._strips and self._strips[0].cell_length != width):
            fresh = block(self._content_or_fault(width, height), width, height)
            self._lines, self._strips = fresh, [self._strip(each, width) for each in fresh]
        rows = self._strips[crop.y : crop.y + crop.height]
        rows = [*rows, *[Strip.blank(width)] * (crop.height - len(rows))]
        if crop.x == 0 and crop.width == width:
            return rows
        return [row.crop(crop.x, crop.x + crop.width) for row in rows]

    def on_resize(self) -> None:
        self.redraw()

    def on_show(self) -> None:
        self.redraw()

    def _is_shown(self) -> bool:
        return all(getattr(node, "display", True) for node in self.ancestors_with_self)

    def _content_or_fault(self, width: int, height: int) -> Sequence[Line]:
        try:
            return self.content(width, height)
        except Exception as error:
            if not self._has_fault:
                self._has_fault = True
                log.error("panel %s cannot be drawn: %s", self.id, type(error).__name__)
                if self.on_fault is not None:
                    self.on_fault(self.id or type(self).__name__, error)
            return [line((" cannot draw (see log)", "bad"))]

    def _strip(self, spans: Line, width: int) -> Strip:
        styles, safe = self.looks.styles, self.looks.safe
        return Strip([Segment(safe(text), styles[role]) for text, role in fit(spans, width)], width)


class Panel(LineWidget):
    """One pure drawing function over the scene, framed or not."""

    def __init__(
        self,
        draw: Draw,
        looks: Looks,
        *,
        title: str | Title | None = None,
        note: Title | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(looks, id=id, classes=classes)
        self._draw = draw
        self._title = title
        self._note = note
        self._scene = Scene()

    def show(self, scene: Scene) -> None:
        """Draw this scene."""
        self._scene = scene
        self.redraw()

    def content(self, width: int, height: int) -> Sequence[Line]:
        if self._title is None:
            return self._draw(self._scene, width, height, self.looks)
        title = (
            line((self._title, "strong"))
            if isinstance(self._title, str)
            else self._title(self._scene, self.looks)
        )
        note = self._note(self._scene, self.looks) if self._note else EMPTY
        body = self._draw(self._scene, max(width - 4, 0), max(height - 2, 0), self.looks)
        return boxed(title, body, width, height, self.looks, note)
