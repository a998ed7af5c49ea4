"""Decisions, commands and changes of state, newest last."""

from __future__ import annotations

from llmtop.snapshot import LogLine
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, line, said
from llmtop_tui.looks import Looks
from llmtop_tui.panels.words import skeleton
from llmtop_tui.scene import Scene

TITLE = "Log"


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """As many of the newest lines as fit."""
    return some(scene, height, "")


def some(scene: Scene, height: int, text: str) -> list[Line]:
    """The newest lines that hold a text, in whatever case; `!` in front: that do not."""
    wanted = text.removeprefix("!").lower()
    is_inverted = text.startswith("!")
    entries = [
        each
        for each in shown(scene)
        if not wanted or (wanted in f"{each.who} {each.text}".lower()) != is_inverted
    ]
    if not entries:
        return (
            [line(("no entry fits the filter (esc clears it)", "muted"))]
            if wanted
            else skeleton(("no entry yet",), 13)
        )
    return [draw(each) for each in entries[-height:]] if height > 0 else []


def shown(scene: Scene) -> tuple[LogLine, ...]:
    """The run's log, and what this viewer has to say."""
    log = scene.snapshot.log if scene.snapshot else ()
    return tuple(sorted((*log, *scene.notes), key=lambda each: each.at)) if scene.notes else log


def draw(each: LogLine) -> Line:
    """Time, who, what."""
    who = said(each.who, 40)
    return line(
        (fmt.clock(each.at) + " ", "muted"),
        (who + " " if who else "", "you" if "@" in who else "muted"),
        (said(each.text, 400), each.role),
    )
