"""The one table of keys: bindings, footer, help screen and docs are made from it.

Lower case or a symbol is harmless or can be undone; upper case is rarer or stronger. No key that
has no effect stands here, and no function key is the only way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

from llmtop_tui.ink import Line, Span, line, pad, width_of
from llmtop_tui.looks import Looks

Place = Literal["overview", "panel", "runs", "help"]
Group = Literal["run", "view", "move", "screens", "leave"]

RUN: tuple[Place, ...] = ("overview", "panel")
ALL: tuple[Place, ...] = ("overview", "panel", "runs", "help")
LISTS: tuple[Place, ...] = ("overview", "runs")
_GROUPS: tuple[tuple[Group, str], ...] = (
    ("run", "Steering the run"),
    ("view", "Looking at it"),
    ("move", "Moving"),
    ("screens", "Screens"),
    ("leave", "Leaving"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    action: str
    keys: tuple[str, ...]
    """As Textual names them; characters stand for themselves."""
    label: str
    """As people read it."""
    help: str
    where: tuple[Place, ...]
    group: Group
    footer: str = ""
    """Word in the footer; "" keeps it out."""
    rank: int = 99
    """Which keys the footer drops first where there is no room: the highest."""
    is_control: bool = False
    """Whether it changes the run: refused with --read-only."""


TABLE: tuple[Key, ...] = (
    Key("open", ("enter",), "enter", "open the run under the cursor", ("runs",), "screens", "open", 1),
    Key("pause", ("space",), "space", "pause or resume: calls in flight land", RUN, "run", "pause", 1, True),
    Key(
        "hold",
        ("H",),
        "H",
        "pause at once: calls in flight go back to the queue (asks)",
        RUN,
        "run",
        "pause now",
        14,
        True,
    ),
    Key("conc_up", ("+",), "+", "concurrency one up", RUN, "run", "", 2, True),
    Key("conc_down", ("-",), "-", "concurrency one down", RUN, "run", "", 2, True),
    Key("conc_double", ("*",), "*", "concurrency doubled", RUN, "run", "", 99, True),
    Key("conc_halve", ("_",), "_", "concurrency halved", RUN, "run", "", 99, True),
    Key(
        "rate_up",
        (")",),
        ")",
        "request rate 10 % up (asks above the config's limit)",
        RUN,
        "run",
        "",
        7,
        True,
    ),
    Key("rate_down", ("(",), "(", "request rate 10 % down", RUN, "run", "", 7, True),
    Key("budget", ("b",), "b", "type a new cap on the money (asks)", RUN, "run", "budget", 8, True),
    Key("tuner", ("t",), "t", "tuner on or off", RUN, "run", "tuner", 9, True),
    Key("undo", ("z",), "z", "undo my last change (20 deep)", RUN, "run", "", 99, True),
    Key(
        "stop", ("X", "f9"), "X f9", "stop menu: drain, stop now, cancel (asks)", RUN, "run", "stop", 10, True
    ),
    Key(
        "command",
        (":",),
        ":",
        "command line: `:set concurrency=64`, `:pause`; tab completes",
        RUN,
        "view",
        "set",
        3,
    ),
    Key("filter", ("/", "\\"), "/", "filter the list; `!` in front inverts", LISTS, "view", "filter", 4),
    Key("sort", ("s", ">"), "s >", "sort by the next column", ("overview",), "view", "sort", 12),
    Key("sort_back", ("<",), "<", "sort by the column before", ("overview",), "view"),
    Key("invert", ("I",), "I", "turn the order round", ("overview",), "view"),
    Key("problems", ("e",), "e", "only rows with problems", ("overview",), "view", "problems", 13),
    Key("follow", ("f",), "f", "stay with the row under the cursor", ("overview",), "view", "", 99),
    Key("copy", ("y",), "y", "copy the row under the cursor (OSC 52)", LISTS, "view", "copy", 11),
    Key("bare", ("#",), "#", "hide the panels, table only", ("overview",), "view"),
    Key("freeze", ("Z",), "Z", "freeze the display, not the run", RUN, "view"),
    Key(
        "mouse",
        ("m",),
        "m",
        "mouse on or off; off gives the terminal's own selection back",
        ALL,
        "view",
        "mouse",
        16,
    ),
    Key("display", ("f2",), "f2", "display: plot, glyphs, colours, slow line", ALL, "view"),
    Key("repaint", ("ctrl+l",), "ctrl+l", "repaint everything", ALL, "view"),
    Key("up", ("up", "k"), "up k", "one line up", ALL, "move"),
    Key("down", ("down", "j"), "down j", "one line down", ALL, "move"),
    Key("page_up", ("pageup",), "pgup", "one page up", ALL, "move"),
    Key("page_down", ("pagedown",), "pgdn", "one page down", ALL, "move"),
    Key("home", ("home", "g"), "home g", "first line", ALL, "move"),
    Key("end", ("end", "G"), "end G", "last line", ALL, "move"),
    Key("screen_1", ("1",), "1", "Overview: everything about the run", RUN, "screens"),
    Key("screen_4", ("4",), "4", "Tuner: settings, evidence, decisions", RUN, "screens"),
    Key("screen_5", ("5",), "5", "Errors: warnings, kinds, history", RUN, "screens"),
    Key("screen_6", ("6",), "6", "Log: decisions, commands, changes of state", RUN, "screens"),
    Key("screen_next", ("]",), "]", "next screen", RUN, "screens"),
    Key("screen_back", ("[",), "[", "previous screen", RUN, "screens"),
    Key("screen_0", ("0",), "0", "Runs: every run of the state folder", RUN, "screens"),
    Key(
        "back",
        ("escape",),
        "esc",
        "back: close, clear the filter, leave the screen",
        ("overview", "panel", "help"),
        "screens",
    ),
    Key("help", ("?", "h", "f1"), "? h f1", "this help", ALL, "screens", "help", 0),
    Key("detach", ("d",), "d", "detach: the screen goes, the engine goes on", RUN, "leave", "detach", 5),
    Key("quit", ("q", "f10"), "q f10", "leave; asks where that could end a run", ALL, "leave", "leave", 6),
    Key(
        "interrupt",
        ("ctrl+c",),
        "ctrl+c",
        "in `run`: stop gently, again: at once; in `attach`: leave",
        ALL,
        "leave",
    ),
    Key("suspend", ("ctrl+z",), "ctrl+z", "suspend this viewer; `fg` brings it back", ALL, "leave"),
)

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
        for group, title in _GROUPS:
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
