"""What a viewer is told when it starts and says when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmtop.snapshot import Snapshot
from llmtop_tui.looks import GlyphSet, ThemeName

EndReason = Literal["left", "detached", "stopped", "finished", "engine_gone", "hangup"]
"""left: the operator went, nothing changed · detached: by `d` · stopped: the stop that was asked for here is done ·
finished: the run had ended when the operator left · engine_gone: its process died · hangup: the terminal went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """How a viewer behaves and looks. None: by the environment."""

    origin: str
    """`user@host`: stands beside every change in the ledger."""
    is_run_owner: bool = False
    """`llmtop run`: ctrl+c stops the run. Otherwise it leaves the viewer."""
    is_read_only: bool = False
    is_slow: bool = False
    mouse: bool = False
    glyphs: GlyphSet | None = None
    theme: ThemeName | None = None
    interval_s: float = 1.0
    """Seconds between two snapshots."""


@dataclass(frozen=True, slots=True)
class ViewEnd:
    """Why a viewer ended, and the last picture it had."""

    reason: EndReason
    snapshot: Snapshot | None
