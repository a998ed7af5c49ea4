"""Lines of text with roles: what every panel makes, and how lines are cut, padded and framed.

A line is a tuple of (text, role). Widths are terminal cells. Text that others wrote goes
through `said`, the one edge at which it is cleaned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from llmtop.cleaning import clean
from llmtop_tui.looks import Looks, Role

Span = tuple[str, Role]
Line = tuple[Span, ...]
Part = str | Span

EMPTY: Line = ()


def said(text: object, limit: int = 200) -> str:
    """Text that somebody else wrote, safe to draw in one line."""
    return clean(str(text), limit=limit)


def line(*parts: Part) -> Line:
    """Build a line: a bare string is plain."""
    return tuple((part, "plain") if isinstance(part, str) else part for part in parts if part)


def cells(text: str) -> int:
    """Width of a text in terminal cells."""
    return len(text) if text.isascii() else cell_len(text)


def width_of(spans: Line) -> int:
    """Width of a line in terminal cells."""
    return sum(cells(text) for text, _ in spans)


def pad(text: str, width: int) -> str:
    """Exactly `width` cells, from the left."""
    if text.isascii():
        return text[:width].ljust(width)
    return set_cell_size(text, max(width, 0))


def end_of(text: str, width: int) -> str:
    """At most `width` cells, cut at the left: ids differ at their ends."""
    if cells(text) <= width:
        return text
    kept = text[-max(width - 1, 0) :] if width > 1 else ""
    while cells(kept) > width - 1 and kept:
        kept = kept[1:]
    return "…" + kept if width > 0 else ""


def right(text: str, width: int) -> str:
    """Exactly `width` cells, from the right; too long a text loses its end."""
    length = cells(text)
    return pad(text, width) if length >= width else " " * (width - length) + text


def fit(spans: Line, width: int, *, role: Role = "plain") -> Line:
    """Cut or pad a line to exactly `width` cells."""
    kept: list[Span] = []
    left = max(width, 0)
    for text, its_role in spans:
        if left <= 0:
            break
        length = cells(text)
        if length > left:
            text, length = pad(text, left), left
        if text:
            kept.append((text, its_role))
        left -= length
    if left > 0:
        kept.append((" " * left, role))
    return tuple(kept)


def spread(first: Line, last: Line, width: int) -> Line:
    """One line from both ends. The right end stays whole, the left one is cut."""
    room = width - width_of(last)
    if room <= 0:
        return fit(last, width)
    return (*fit(first, room), *last)


def block(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    """Exactly `height` lines of exactly `width` cells."""
    kept = [fit(each, width) for each in lines[: max(height, 0)]]
    return kept + [fit(EMPTY, width)] * (height - len(kept))


def boxed(
    title: Line, body: Sequence[Line], width: int, height: int, looks: Looks, note: Line = EMPTY
) -> list[Line]:
    """A frame with a title in its upper edge; `note` stands at the right of it."""
    glyphs = looks.glyphs
    inner = max(width - 2, 0)
    top_left, top_right, bottom_left, bottom_right = glyphs.corners
    head: list[Span] = [(glyphs.across, "muted"), (" ", "plain"), *title, (" ", "plain")]
    tail: list[Span] = [(" ", "plain"), *note, (" ", "plain"), (glyphs.across, "muted")] if note else []
    if width_of(tuple(head)) + width_of(tuple(tail)) > inner:
        tail = []
    gap = inner - width_of(tuple(head)) - width_of(tuple(tail))
    rule: Line = (*head, (glyphs.across * max(gap, 0), "muted"), *tail)
    framed: list[Line] = [((top_left, "muted"), *fit(rule, inner), (top_right, "muted"))]
    framed += [
        ((glyphs.down + " ", "muted"), *each, (" " + glyphs.down, "muted"))
        for each in block(body, max(inner - 2, 0), height - 2)
    ]
    framed.append(((bottom_left + glyphs.across * inner + bottom_right, "muted"),))
    return block(framed, width, height)


def text_of(spans: Iterable[Span]) -> str:
    """The bare text of a line."""
    return "".join(text for text, _ in spans)


def wrap(text: str, width: int) -> list[str]:
    """Break a cleaned text at blanks into lines of at most `width` cells."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        while cells(word) > width > 0:
            if current:
                lines.append(current)
                current = ""
            piece = pad(word, width).rstrip()
            lines.append(piece)
            word = word[max(len(piece), 1) :]
        joined = f"{current} {word}" if current else word
        if cells(joined) > width:
            lines.append(current)
            current = word
        else:
            current = joined
    return [*lines, current] if current else lines
