"""What a viewer is told when it starts and says when it ends."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from llmtop.snapshot import Snapshot
from llmtop_tui.looks import GlyphSet, ThemeName

if TYPE_CHECKING:
    from llmtop.control.library import Home
    from llmtop_tui.beginning import Beginning

EndReason = Literal["left", "detached", "stopped", "finished", "engine_gone", "hangup", "called_off"]
"""left: the operator went, nothing changed · detached: by `d` · stopped: the stop asked for here is done ·
finished: the run had ended before · engine_gone: its process died · hangup: the terminal went ·
called_off: stopped before anything was sent."""


def own_origin() -> str:
    """`user@host` of this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """How a viewer behaves and looks. None: by the environment."""

    origin: str = field(default_factory=own_origin)
    """`user@host`: stands beside every change in the ledger."""
    is_run_owner: bool = False
    """`llmtop run`: ctrl+c stops the run. Otherwise it leaves the viewer."""
    started: tuple[str, ...] = ()
    """Runs that were started for this viewer."""
    is_read_only: bool = False
    is_slow: bool = False
    mouse: bool | None = None
    """None: on, but off over SSH, where the terminal's own selection is worth more."""
    glyphs: GlyphSet | None = None
    theme: ThemeName | None = None
    interval_s: float = 1.0
    """Seconds between two snapshots."""
    engine_code: Mapping[int, int] | None = None
    """pid -> exit code of an engine that was this viewer's child and has ended."""
    notices: bool = field(default_factory=lambda: os.environ.get("LLMTOP_NOTICES", "on") != "off")
    """Whether the window's title, the bell and desktop notifications are used."""
    beginning: Beginning | None = None
    """The engine that still reads its input, where the run is not there yet."""
    home: Home | None = None
    """The state folder, for settings, resuming and comparing; None where there is only a door."""

    @property
    def has_mouse(self) -> bool:
        """Whether to start with the mouse on."""
        return self.mouse if self.mouse is not None else "SSH_CONNECTION" not in os.environ


@dataclass(frozen=True, slots=True)
class ViewEnd:
    """Why a viewer ended, and the last picture it had."""

    reason: EndReason
    snapshot: Snapshot | None
