"""An engine's process as the viewer sees it from outside: alive and busy, or gone and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from llmtop_tui.ink import said

_TICKS = os.sysconf("SC_CLK_TCK")
_LOG_TAIL_BYTES = 4096


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be reaped is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state = _stat(pid)
    return not state or state[0] != "Z"


def is_stopped(pid: int) -> bool:
    """Whether somebody has stopped the process with a signal: it goes on at SIGCONT."""
    return _stat(pid)[:1] in (["T"], ["t"])


class Pulse:
    """How much of a core a process took between two looks."""

    def __init__(self) -> None:
        self._last: tuple[int, float, float] | None = None
        """(pid, moment, CPU seconds)."""

    def busy(self, pid: int, now: float) -> float | None:
        """Share of a core since the last look; None at the first, and where it cannot be read."""
        fields = _stat(pid)
        if len(fields) < 13:
            return None
        spent = (int(fields[11]) + int(fields[12])) / _TICKS
        before, self._last = self._last, (pid, now, spent)
        if before is None or before[0] != pid or now - before[1] < 0.2:
            return None
        return max(spent - before[2], 0.0) / (now - before[1])


def why_gone(pid: int, codes: Mapping[int, int] | None, engines_folder: Path | None) -> str:
    """The exit code, where it was this viewer's child, and the last line of its log, where it left one."""
    parts = []
    code = (codes or {}).get(pid)
    if code is not None:
        parts.append(f"signal {-code}" if code < 0 else f"exit code {code}")
    if engines_folder is not None and (line := _last_line(engines_folder / f"{pid}.log")):
        parts.append(f"its log ends: {line}")
    return "; ".join(parts)


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _LOG_TAIL_BYTES, 0))
            lines = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return said(lines[-1], 120) if lines else ""


def _stat(pid: int) -> list[str]:
    """State and what follows it in /proc; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
