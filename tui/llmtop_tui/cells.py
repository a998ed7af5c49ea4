"""What a terminal shows, cell by cell, and the shortest bytes from one picture to the next.

Textual sends again whatever was refreshed, changed or not. The driver feeds its output into a
`Grid` and sends only the difference to what the terminal already has, as curses does. A slow
line then costs frames, never order: whatever was skipped is in the next difference.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import cell_len

Cell = tuple[str, str]
"""(character with its combining marks, SGR parameters). The right half of a wide one is ("", sgr)."""

BLANK: Cell = (" ", "")
_MERGE_GAP = 3
_MIN_ERASE = 4

_TOKENS = re.compile(
    "\x1b\\[(?P<row>\\d*)(?:;(?P<column>\\d*))?H"
    "|\x1b\\[(?P<sgr>[\\d;]*)m"
    "|(?P<control>\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x07\r\n])"
    "|(?P<text>[^\x1b\x07\r\n]+)"
)
_IGNORED = {"\n", "\r", "\x1b[?2026h", "\x1b[?2026l"}
SYNC_START = "\x1b[?2026h"
SYNC_END = "\x1b[?2026l"


@lru_cache(maxsize=512)
def _pen(before: str, parameters: str) -> str:
    """SGR state after `parameters`, without what only names the defaults."""
    kept: list[str] = [part for part in before.split(";") if part]
    parts = iter(parameters.split(";"))
    for part in parts:
        if part in {"", "0"}:
            kept.clear()
        elif part in {"38", "48"}:
            mode = next(parts, "5")
            rest = [next(parts, "0") for _ in range(3 if mode == "2" else 1)]
            kept.append(";".join((part, mode, *rest)))
        elif part not in {"39", "49"}:
            kept.append(part)
    return ";".join(kept)


@lru_cache(maxsize=512)
def _shows_on_blank(pen: str) -> bool:
    """Whether a space drawn with this pen differs from no space: background, reverse, underline."""
    parts = pen.split(";")
    return any(
        part in {"4", "7", "9", "21", "48", "53"} or re.fullmatch("4[0-7]|10[0-7]", part) for part in parts
    )


def _is_sure(char: str) -> bool:
    """Whether every terminal draws this character one cell wide."""
    code = ord(char[0])
    return len(char) == 1 and (
        code < 0x300 or 0x2500 <= code < 0x2600 or 0x2800 <= code < 0x2900 or code == 0x2192
    )


class Grid:
    """The cells of one screen, fed with the output of Textual."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows: list[list[Cell]] = [[BLANK] * width for _ in range(height)]
        self.touched: set[int] = set()
        self.is_synchronised = False
        self._x = 0
        self._y = 0
        self._sgr = ""

    def feed(self, data: str) -> list[str]:
        """Take output in; return the control sequences in it that are not drawing."""
        controls: list[str] = []
        for token in _TOKENS.finditer(data):
            if (text := token["text"]) is not None:
                self._put(text)
            elif (sgr := token["sgr"]) is not None:
                self._sgr = _pen(self._sgr, sgr)
            elif (control := token["control"]) is not None:
                if control == SYNC_START:
                    self.is_synchronised = True
                if control not in _IGNORED:
                    controls.append(control)
            else:
                self._y = int(token["row"] or 1) - 1
                self._x = int(token["column"] or 1) - 1
        return controls

    def _put(self, text: str) -> None:
        if not (0 <= self._y < self.height) or self._x >= self.width:
            return
        pen = self._sgr
        blank = (" ", pen) if _shows_on_blank(pen) else BLANK
        if text.isascii():
            fresh = [(char, pen) if char != " " else blank for char in text[: self.width - self._x]]
        else:
            fresh = _cut(_wide_cells(text, pen, blank), self.width - self._x)
        row = self.rows[self._y]
        start, end = self._x, self._x + len(fresh)
        if row[start][0] == "" and start > 0:
            row[start - 1] = BLANK
        if end < self.width and row[end][0] == "":
            row[end] = BLANK
        row[start:end] = fresh
        self._x = end
        self.touched.add(self._y)

    def difference(self, sent: Grid) -> str:
        """Return the bytes that turn `sent`, of the same size, into this picture; `sent` becomes it."""
        pencil = _Pencil(self.width)
        for y in sorted(self.touched):
            row, old = self.rows[y], sent.rows[y]
            if row != old:
                for start, end in _runs(row, old):
                    pencil.draw(y, start, row, end)
                sent.rows[y] = row.copy()
        self.touched.clear()
        return pencil.done()


def _wide_cells(text: str, pen: str, blank: Cell) -> list[Cell]:
    cells: list[Cell] = []
    for char in text:
        width = 1 if char.isascii() else cell_len(char)
        if width == 0:
            if cells and cells[-1][0]:
                cells[-1] = (cells[-1][0] + char, cells[-1][1])
        elif char == " ":
            cells.append(blank)
        else:
            cells.append((char, pen))
            cells.extend([("", pen)] * (width - 1))
    return cells


def _cut(cells: list[Cell], room: int) -> list[Cell]:
    """At most `room` cells; a wide character that does not fit whole is left out."""
    if len(cells) <= room:
        return cells
    return cells[:room] if cells[room][0] else [*cells[: room - 1], BLANK]


def _runs(row: list[Cell], old: list[Cell]) -> list[tuple[int, int]]:
    """Where two rows differ: half-open runs, near ones merged, never inside a wide character."""
    runs: list[tuple[int, int]] = []
    for x, (new, was) in enumerate(zip(row, old, strict=True)):
        if new == was:
            continue
        start = x
        while start > 0 and row[start][0] == "":
            start -= 1
        end = x + 1
        while end < len(row) and row[end][0] == "":
            end += 1
        if runs and start - runs[-1][1] <= _MERGE_GAP:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return runs


class _Pencil:
    """Writes runs of cells with as few bytes for position and style as it can."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._pen = ""
        self._x = -1
        self._y = -1

    def draw(self, y: int, start: int, row: list[Cell], end: int) -> None:
        self._move(start, y)
        last = end
        if end == self._width:
            while last > start and row[last - 1] == BLANK:
                last -= 1
            if end - last < _MIN_ERASE:
                last = end
        for x in range(start, last):
            char, pen = row[x]
            if char == "":
                continue
            if self._x != x:
                self._move(x, y)
            if pen != self._pen and (char != " " or pen or _shows_on_blank(self._pen)):
                self._out.append(f"\x1b[{'0;' if self._pen and pen else ''}{pen}m")
                self._pen = pen
            self._out.append(char)
            self._x = x + 1 if _is_sure(char) else -1
        if last < end:
            if self._x != last:
                self._move(last, y)
            if _shows_on_blank(self._pen):
                self._out.append("\x1b[m")
                self._pen = ""
            self._out.append("\x1b[K")

    def _move(self, x: int, y: int) -> None:
        if self._y == y and self._x == x:
            return
        if self._y == y and 0 <= self._x < x:
            step = x - self._x
            self._out.append("\x1b[C" if step == 1 else f"\x1b[{step}C")
        elif x == 0 and self._y >= 0 and y == self._y + 1:
            self._out.append("\r\n")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
        self._x, self._y = x, y

    def done(self) -> str:
        if self._pen:
            self._out.append("\x1b[m")
        return "".join(self._out)
