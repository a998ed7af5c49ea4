"""What is made from the one table of keys: bindings, footer, help screen and docs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from textual.binding import Binding

from llmtop_tui.ink import Line, Span, line, pad, width_of
from llmtop_tui.key_table import GROUPS, TABLE, Place
from llmtop_tui.looks import Looks

_PAIRS = {"conc_up": ("+/-", "conc"), "rate_down": ("( )", "rate")}
"""Two keys that share one word in the footer, at the first one's place."""


def bindings(place: Place) -> list[Binding]:
    """The bindings of one screen."""
    return [
        Binding(
            ",".join("comma" if name == "," else name for name in key.keys), f"do('{key.action}')", key.help
        )
        for key in TABLE
        if place in key.where
    ]


def control_actions() -> frozenset[str]:
    """Actions that change the run."""
    return frozenset(key.action for key in TABLE if key.is_control)


def footer(
    place: Place, width: int, looks: Looks, *, is_paused: bool = False, hidden: Collection[str] = ()
) -> Line:
    """As many keys as fit, the most important ones; `? help` always stands at the end."""
    offers: list[tuple[int, str, str]] = []
    for key in TABLE:
        if place not in key.where or key.action in hidden:
            continue
        label, word = _PAIRS.get(key.action, (key.label.split(" ")[0], key.footer))
        if key.action == "pause" and is_paused:
            word = "resume"
        if word:
            offers.append((key.rank, label, word))
    room = width - 1
    chosen = set()
    gap = 2 if width < 160 else 3
    for offer in sorted(offers):
        size = len(offer[1]) + 1 + len(offer[2]) + gap
        if size <= room:
            chosen.add(offer)
            room -= size
    ordered = [offer for offer in offers if offer in chosen and offer[0] != 0]
    ordered += [offer for offer in offers if offer in chosen and offer[0] == 0]
    return _spelled(ordered, gap)


def _spelled(offers: Iterable[tuple[int, str, str]], gap: int) -> Line:
    spans: list[Span] = [(" ", "plain")]
    for _, label, word in offers:
        spans += [(label, "key"), (f" {word}{' ' * gap}", "plain")]
    return tuple(spans)


def help_lines(place: Place, hidden: Collection[str] = ()) -> list[Line]:
    """Keys of the screen at hand first, then the others."""
    here = [key for key in TABLE if place in key.where and key.action not in hidden]
    other = [key for key in TABLE if place not in key.where and key.action not in hidden]
    lines: list[Line] = []
    for heading, keys in (("", here), ("On other screens", other)):
        for group, title in GROUPS:
            members = [key for key in keys if key.group == group]
            if members:
                lines.append(line((f"{title}{f' ({heading.lower()})' if heading else ''}", "strong")))
                lines += [line("  ", (pad(key.label, 10), "key"), key.help) for key in members]
                lines.append(())
    return lines


def markdown() -> str:
    """The table for the docs."""
    rows = ["| key | action | where |", "|---|---|---|"]
    for key in TABLE:
        label = key.label.replace("|", "\\|").replace("\\", "\\\\")
        rows.append(f"| `{label}` | {key.help} | {', '.join(key.where)} |")
    return "\n".join(rows) + "\n"


def fits(spans: Line, width: int) -> bool:
    """Whether a footer needs no cut."""
    return width_of(spans) <= width
