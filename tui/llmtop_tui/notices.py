"""What a viewer tells the terminal beside its picture: the window's title, and that a run needs a look.

Pure: from two snapshots to sequences. Names were written by others and go through the cleaner.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from llmtop.snapshot import Snapshot
from llmtop_tui import format as fmt
from llmtop_tui.ink import said

SAVE_TITLE, RESTORE_TITLE = "\x1b[22;0t", "\x1b[23;0t"
BELL = "\x07"
_ENDS = {"finished": "finished", "failed": "failed", "cancelled": "was cancelled"}
_WAITS = {"budget": "has reached its budget", "refused": "is refused by the provider", "paused": "is paused"}
_OSC_9 = frozenset({"iTerm.app", "WezTerm", "ghostty", "vscode"})


def title(snapshot: Snapshot) -> str:
    """The sequence that names the window after the run: its state, and how far it is."""
    counts = snapshot.counts
    part = fmt.done_percent(counts.finished, counts.total)
    return f"\x1b]2;llmtop {said(snapshot.name, 40)} {snapshot.state} {part}\x07"


def news(before: Snapshot | None, now: Snapshot) -> str:
    """What a person should look at since the last snapshot, in words; "" where there is nothing.

    A pause that somebody asked for is no news: its command came with it.
    """
    if before is None or before.state == now.state:
        return ""
    if now.state == "paused" and (before.state == "pausing" or now.last_command != before.last_command):
        return ""
    words = _ENDS.get(now.state) or _WAITS.get(now.state)
    if words is None:
        return ""
    counts = now.counts
    numbers = ((counts.done, "done"), (counts.rejected, "rejected"), (counts.failed, "failed"))
    came = ", ".join(f"{fmt.count(number)} {word}" for number, word in numbers)
    return f"{said(now.name, 40)} {words}: {came}"


def notification(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The bell, and a desktop notification where the terminal is known to have them."""
    text = text.replace(";", ",")
    if environ.get("TERM_PROGRAM") in _OSC_9 or environ.get("TERM", "").startswith("xterm-kitty"):
        return f"\x1b]9;{text}\x07{BELL}"
    if environ.get("VTE_VERSION") or environ.get("TERM", "").startswith(("rxvt-unicode", "foot")):
        return f"\x1b]777;notify;llmtop;{text}\x07{BELL}"
    return BELL
