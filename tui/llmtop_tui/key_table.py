"""The one table of keys: bindings, footer, help screen and docs are made from it.

Lower case or a symbol is harmless or can be undone; upper case is rarer or stronger. No key that
has no effect stands here, and no function key is the only way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["overview", "batches", "batch", "items", "item", "panel", "errors", "log", "runs", "help"]
Group = Literal["run", "view", "move", "screens", "leave"]

FLIGHTS: tuple[Place, ...] = ("overview", "batches")
JOBS: tuple[Place, ...] = (*FLIGHTS, "batch")
TABLES: tuple[Place, ...] = (*JOBS, "items")
LISTS: tuple[Place, ...] = (*TABLES, "runs")
READ: tuple[Place, ...] = ("panel", "errors", "log")
RUN: tuple[Place, ...] = (*TABLES, *READ)
ALL: tuple[Place, ...] = (*RUN, "item", "runs", "help")
SPOKEN: tuple[Place, ...] = tuple(place for place in ALL if place != "help")
"""Where a screen can say something or ask."""
LETTERS: tuple[Place, ...] = tuple(place for place in ALL if place != "item")
"""Where letters move: not on an item, whose parts have them."""
GROUPS: tuple[tuple[Group, str], ...] = (
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
    Key(
        "open", ("enter",), "enter", "open what is under the cursor", (*LISTS, "errors"), "screens", "open", 3
    ),
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
    Key(
        "tuner", ("t",), "t", "tuner on or off; hands back what was set by hand", RUN, "run", "tuner", 9, True
    ),
    Key("pack_up", ("}",), "}", "items per request one up", RUN, "run", "", 99, True),
    Key("pack_down", ("{",), "{", "items per request one down", RUN, "run", "", 12, True),
    Key(
        "again",
        ("R",),
        "R",
        "ask again: the rejected or failed item, or all of a kind (asks over 100)",
        (*TABLES, "errors", "item"),
        "run",
        "ask again",
        13,
    ),
    Key(
        "cancel_job",
        ("K",),
        "K",
        "cancel the batch job: what is done is kept and paid (asks)",
        JOBS,
        "run",
        "cancel job",
        3,
        True,
    ),
    Key(
        "look_up",
        ("l",),
        "l",
        "look at the batch job now; for one that is held: look for it again",
        JOBS,
        "run",
        "look",
        3,
        True,
    ),
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
    Key(
        "filter",
        ("/", "\\"),
        "/",
        "filter the list; `!` in front inverts",
        (*LISTS, "log"),
        "view",
        "filter",
        4,
    ),
    Key("sort", ("s", ">"), "s >", "sort by the next column", LISTS, "view", "sort", 12),
    Key("sort_back", ("<",), "<", "sort by the column before", LISTS, "view"),
    Key("invert", ("I",), "I", "turn the order round", LISTS, "view"),
    Key("problems", ("e",), "e", "only rows with problems", TABLES, "view", "problems", 13),
    Key(
        "follow",
        ("f",),
        "f",
        "stay with the row under the cursor, or the end of the log",
        (*TABLES, "log"),
        "view",
        "",
        99,
    ),
    Key(
        "copy",
        ("y",),
        "y",
        "copy the row under the cursor, or the part that is shown (OSC 52)",
        (*LISTS, *READ, "item"),
        "view",
        "copy",
        11,
    ),
    Key(
        "copy_all",
        ("Y",),
        "Y",
        "copy the whole table or screen, or everything about the item",
        (*LISTS, *READ, "item"),
        "view",
    ),
    Key("save", ("o",), "o", "save what is shown into a file", (*RUN, "item"), "view", "", 99),
    Key("bare", ("#",), "#", "hide the panels, table only", ("overview",), "view"),
    Key(
        "next_match",
        ("n",),
        "n",
        "next match, or the next item",
        (*TABLES, "log", "item"),
        "view",
        "next",
        15,
    ),
    Key("last_match", ("N",), "N", "match before, or the item before", (*TABLES, "log", "item"), "view"),
    Key("next_panel", ("tab",), "tab", "next panel or state", (*RUN, "item"), "view", "", 99),
    Key("last_panel", ("shift+tab",), "shift+tab", "panel or state before", (*RUN, "item"), "view"),
    Key("part_prompt", ("p",), "p", "prompt as it was sent", ("item",), "view", "prompt", 4),
    Key("part_answer", ("a",), "a", "answer", ("item",), "view", "answer", 4),
    Key(
        "part_filters",
        ("f",),
        "f",
        "filters: what each did, before and after",
        ("item",),
        "view",
        "filters",
        5,
    ),
    Key("part_attempts", ("t",), "t", "attempts: status, wait, request id", ("item",), "view", "attempts", 5),
    Key("part_raw", ("j",), "j", "raw JSON of the answers", ("item",), "view", "raw", 5),
    Key("wrap", ("w",), "w", "wrap long lines or cut them", ("item",), "view", "wrap", 12),
    Key("palette", ("ctrl+p",), "ctrl+p", "palette: every action by name", RUN, "screens"),
    Key("demo", ("D",), "D", "start the demo: no key, no network", ("runs",), "run", "demo", 9),
    Key("new", ("n",), "n", "start a run from a config file", ("runs",), "run", "new", 3),
    Key(
        "resume_run",
        ("r",),
        "r",
        "resume the run under the cursor, or one whose engine is gone",
        ("runs", *RUN),
        "run",
        "resume",
        2,
    ),
    Key("freeze", ("Z",), "Z", "freeze the display, not the run", RUN, "view"),
    Key(
        "mouse",
        ("m",),
        "m",
        "mouse on or off; off gives the terminal's own selection back",
        SPOKEN,
        "view",
        "mouse",
        16,
    ),
    Key("display", ("f2",), "f2", "display: rate, plot, glyphs, colours, mouse, slow line", SPOKEN, "view"),
    Key("repaint", ("ctrl+l",), "ctrl+l", "repaint everything", ALL, "view"),
    Key("up", ("up", "k"), "up k", "one line up", LETTERS, "move"),
    Key("up", ("up",), "up", "one line up", ("item",), "move"),
    Key("down", ("down", "j"), "down j", "one line down", LETTERS, "move"),
    Key("down", ("down",), "down", "one line down", ("item",), "move"),
    Key("page_up", ("pageup",), "pgup", "one page up", ALL, "move"),
    Key("page_down", ("pagedown",), "pgdn", "one page down", ALL, "move"),
    Key("home", ("home", "g"), "home g", "first line", ALL, "move"),
    Key("end", ("end", "G"), "end G", "last line", ALL, "move"),
    Key("screen_1", ("1",), "1", "Overview: everything about the run", RUN, "screens"),
    Key("screen_2", ("2",), "2", "Batches: packs and provider batch jobs", RUN, "screens"),
    Key("screen_3", ("3",), "3", "Items: in flight, waiting, rejected, failed, done", RUN, "screens"),
    Key("screen_4", ("4",), "4", "Tuner: settings, evidence, decisions", RUN, "screens"),
    Key("screen_5", ("5",), "5", "Errors: warnings, kinds, history", RUN, "screens"),
    Key("screen_6", ("6",), "6", "Log: decisions, commands, changes of state", RUN, "screens"),
    Key("screen_7", ("S",), "S", "Settings: every value and where it came from", RUN, "screens"),
    Key("screen_8", ("C",), "C", "Compare this run with the others of its items", (*RUN, "runs"), "screens"),
    Key("screen_next", ("]",), "]", "next screen", RUN, "screens"),
    Key("screen_back", ("[",), "[", "previous screen", RUN, "screens"),
    Key("screen_0", ("0",), "0", "Runs: every run of the state folder", RUN, "screens"),
    Key(
        "back",
        ("escape",),
        "esc",
        "back: close, clear the filter, leave the screen",
        (*RUN, "item", "help"),
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
