"""What is drawn: the engine's snapshot, and the little that only the viewer knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmtop.snapshot import LogLine, Snapshot

Link = Literal["live", "silent", "gone", "ended"]
"""How the engine answers: in time; not for seconds; its process is gone; it has nothing more to say."""

SILENT_AFTER_S = 3.0
ENDED_STATES = frozenset({"stopped", "cancelled", "finished", "failed"})


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the panels of one run are drawn from; `snapshot` is None before the first one."""

    snapshot: Snapshot | None = None
    now: float = 0.0
    """Wall clock."""
    age_s: float = 0.0
    """How old the snapshot is, by the viewer's own monotonic clock."""
    link: Link = "live"
    link_note: str = ""
    """Whether the engine's process is alive, and what it does."""
    wishes: Mapping[str, str] = field(default_factory=dict)
    """Setting -> the value that was asked for and is not confirmed yet."""
    viewer_rss_bytes: int | None = None
    is_frozen: bool = False
    is_read_only: bool = False
    starting: str = ""
    """What is done before the first snapshot can be there; empty: nothing that is known."""
    name: str = ""
    """What the run is called, before the first snapshot."""
    notes: tuple[LogLine, ...] = ()
    """What happened in this viewer: panels that could not be drawn."""

    @property
    def is_live(self) -> bool:
        """Whether there is a run that goes on and hears commands."""
        return (
            self.snapshot is not None
            and self.snapshot.state not in ENDED_STATES
            and self.link in {"live", "silent"}
        )
