"""Every setting of a run with its origin; what differs from the default stands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from llmtop_tui import format as fmt
from llmtop_tui.ink import EMPTY, Line, line, pad, said
from llmtop_tui.scene import Scene


class Setting(Protocol):
    """One setting in words."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def origin(self) -> str: ...


def lines(settings: Sequence[Setting], scene: Scene, width: int) -> list[Line]:
    """The live settings first, then all by section."""
    names, values = (38, 32) if width >= 90 else (28, max(width - 28 - 14, 10))
    body: list[Line] = [line(("LIVE NOW", "muted"))]
    knobs = scene.snapshot.tuner.knobs if scene.snapshot else ()
    for knob in knobs:
        changed = f" at {fmt.clock(knob.changed_at)}" if knob.changed_at else ""
        body.append(
            line(
                pad(said(knob.name, 36), names),
                (pad(said(knob.value, 30), values - 1) + " ", "strong"),
                said(knob.origin, 40),
                changed,
            )
        )
    body += [EMPTY, line((pad("SETTING", names) + pad("AS STARTED", values) + "FROM", "muted"))]
    section = ""
    for each in settings:
        head = each.key.partition(".")[0] if "." in each.key else ""
        if head != section:
            section = head
            body.append(EMPTY)
        is_own = each.origin != "default"
        value = pad(said(each.value, 300), values - 1)
        body.append(
            line(
                pad(said(each.key, 60), names - 1) + " ",
                (value + " ", "strong" if is_own else "muted"),
                (said(each.origin, 60), "you" if is_own else "muted"),
            )
        )
    return body
