"""What to do while there is no run yet."""

from __future__ import annotations

from llmtop_tui.ink import EMPTY, Line, line, pad
from llmtop_tui.looks import Looks

_COMMANDS = (
    ("llmtop demo", "a run on the simulator: no key, no network"),
    ("llmtop init", "writes a commented config to start from"),
    ("llmtop plan FILE", "items, requests, cost and time; nothing is sent"),
    ("llmtop run FILE", "starts it, with this screen"),
)


def lines(width: int, height: int, looks: Looks) -> list[Line]:
    """Four commands."""
    body = [EMPTY, line("  ", ("No runs yet.", "strong")), EMPTY]
    body += [line("    ", (pad(command, 22), "key"), meaning) for command, meaning in _COMMANDS]
    body += [EMPTY, line(("  A run that is started in another terminal appears here by itself.", "muted"))]
    return body[:height]
