"""Words and pieces that several panels share: causes, states, wishes, skeletons."""

from __future__ import annotations

from collections.abc import Sequence

from llmtop.snapshot import Knob, Snapshot
from llmtop_tui.ink import Line, Span, line, pad, said
from llmtop_tui.looks import Looks, Role
from llmtop_tui.scene import Scene

CAUSES = {
    "requests": "requests/s",
    "tokens": "tokens/min",
    "concurrency": "concurrency",
    "cooldown": "provider cooldown",
    "budget": "budget",
    "memory": "memory",
    "pause": "pause",
    "writer": "disk",
    "loop": "event loop",
}
KNOB_NAMES = {
    "concurrency": "conc",
    "items_per_request": "pack",
    "requests_per_second": "rate",
    "requests_per_minute": "rate/min",
    "tokens_per_minute": "tok/min",
    "max_cost": "cap",
}
STATE_ROLES: dict[str, Role] = {
    "starting": "muted",
    "running": "good",
    "held": "warn",
    "pausing": "warn",
    "paused": "warn",
    "stopping": "warn",
    "waiting": "good",
    "budget": "bad",
    "refused": "bad",
    "stopped": "plain",
    "cancelled": "plain",
    "finished": "good",
    "failed": "bad",
    "silent": "bad",
}


TIGHT = 35
"""A box of fewer cells inside leaves out what is said elsewhere too."""


def cause(name: str) -> str:
    """A cause of waiting in words."""
    return CAUSES.get(name, said(name, 20))


def skeleton(labels: Sequence[str], width: int) -> list[Line]:
    """What a panel shows before the first snapshot: its labels, each unknown."""
    return [line(pad(label, width), ("-", "muted")) for label in labels]


def wished(scene: Scene, key: str, current: str, looks: Looks, role: Role = "strong") -> Span:
    """A value as it is, or `31 » 32` while a change is asked for and not confirmed."""
    wanted = scene.wishes.get(key)
    if wanted is None:
        return (current, role)
    return (f"{current} {looks.glyphs.you} {said(wanted, 12)}", "you")


def open_jobs(snapshot: Snapshot) -> int:
    """Provider batch jobs that are not over."""
    return snapshot.batches.open


def knob(snapshot: Snapshot, name: str) -> Knob | None:
    """The live setting of this name, if the run has it."""
    return next((each for each in snapshot.tuner.knobs if each.name == name), None)
