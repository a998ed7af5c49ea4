"""What a viewer is to show, and how a process turns into one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import NoReturn

SOME_ITEMS = 7
"""The exit code of a run that finished with failed or rejected items: what `--exit-zero` forgives."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to show: one run, or the list where there is none or are several."""

    home: str | None = None
    run: str | None = None
    """What the user calls it; None: the list of runs."""
    started: tuple[str, ...] = ()
    """Runs that were started for this viewer: it ends with their exit code."""
    engine_pid: int | None = None
    """The engine that was started for this viewer: a child of this process."""
    words_fd: int | None = None
    """Where that engine's words are read while it begins; None: it accepts commands already."""
    heard: str = ""
    """What was read from there and not understood yet."""
    name: str = ""
    """What the run is called, while nothing else is known of it."""
    part: float = 0.0
    """Of the input, 0 to 1, that was read so far."""
    exit_zero: bool = False
    is_read_only: bool = False
    is_slow: bool = False


def become(order: Order) -> NoReturn:
    """Turn this process into a viewer: same terminal, same pid, same children."""
    sys.stdout.flush()
    sys.stderr.flush()
    words = [sys.executable, "-P", "-m", "llmtop_tui.viewer", json.dumps(asdict(order))]
    os.execv(sys.executable, words)
