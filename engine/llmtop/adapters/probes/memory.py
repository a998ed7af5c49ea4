"""The memory limit that will kill this process, and how close it is.

Of all limits on the way from the own group up to the mount the tightest counts: the one whose
working set (use without page cache that can be dropped) is the largest share of it. Use is
read in the folder that owns the limit. Without any limit the machine's memory stands for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]

from llmtop.adapters.probes.cgroup import Hierarchy, find_hierarchy, read_int, read_text

_NO_LIMIT = 2**60
"""Version 1 writes a number near 2^63 where there is no limit."""
_RESOLVE_EVERY_S = 60.0
_SOME = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Bytes of the tightest group, or of the machine; None: not known."""

    source: Literal["cgroup v2", "cgroup v1", "machine", "unknown"] = "unknown"
    limit_bytes: int | None = None
    usage_bytes: int | None = None
    """Raw, page cache included."""
    working_set_bytes: int | None = None
    """Without inactive file pages."""
    pressure_some_pct: float | None = None
    """Share of the last 10 s in which something waited for memory (PSI), where there is PSI."""
    limit_name: str = ""
    """The file that holds the limit: `memory.max`, `memory.high`, `memory.limit_in_bytes`."""
    group: str = ""
    """The folder that owns the limit."""


@dataclass(frozen=True, slots=True)
class _Files:
    limits: tuple[str, ...]
    usage: str
    inactive: str
    source: Literal["cgroup v2", "cgroup v1"]


_FILES = {
    1: _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file", "cgroup v1"),
    2: _Files(("memory.max", "memory.high"), "memory.current", "inactive_file", "cgroup v2"),
}


class MemoryProbe:
    """Reads the limit and the use; cheap enough for once a second. Never raises.

    `root` stands for `/` (tests build a tree of their own); `pid` is a process number or `self`.
    The groups are looked up again once a minute: a process may be moved.
    """

    def __init__(
        self, root: Path = Path("/"), pid: str = "self", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = root
        self._pid = pid
        self._clock = clock
        self._hierarchy: Hierarchy | None = None
        self._resolve_at = float("-inf")

    def read(self) -> MemoryReading:
        """Return the tightest limit and its use; the machine's where no group has a limit."""
        now = self._clock()
        if now >= self._resolve_at:
            self._hierarchy = find_hierarchy(self._root, self._pid, "memory")
            self._resolve_at = now + _RESOLVE_EVERY_S
        machine = _machine(self._root)
        readings = self._limits(machine.limit_bytes) if self._hierarchy else []
        tightest = max(readings, key=_share, default=machine)
        return _with_pressure(tightest, self._root)

    def _limits(self, total: int | None) -> list[MemoryReading]:
        assert self._hierarchy is not None
        files = _FILES[self._hierarchy.version]
        found = [
            _read_group(folder, files, *limit)
            for folder in self._hierarchy.folders
            if (limit := _lowest_limit(folder, files.limits, total)) is not None
        ]
        return [reading for reading in found if reading is not None]


def _lowest_limit(folder: Path, names: tuple[str, ...], total: int | None) -> tuple[int, str] | None:
    """The lowest limit of one group and its file's name; a limit above the machine's memory is none."""
    highest = min(_NO_LIMIT, total + 1 if total else _NO_LIMIT)
    limits = [(value, name) for name in names if (value := read_int(folder / name)) and value < highest]
    return min(limits, default=None)


def _read_group(folder: Path, files: _Files, limit: int, name: str) -> MemoryReading | None:
    usage = read_int(folder / files.usage)
    if usage is None:
        return None
    inactive = _stat(read_text(folder / "memory.stat"), files.inactive)
    return MemoryReading(
        source=files.source,
        limit_bytes=limit,
        usage_bytes=usage,
        working_set_bytes=max(0, usage - inactive),
        limit_name=name,
        group=str(folder),
    )


def _share(reading: MemoryReading) -> float:
    return (reading.working_set_bytes or 0) / (reading.limit_bytes or 1)


def _stat(text: str | None, name: str) -> int:
    """One value of a `name value` table; 0 where it is missing."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return 0


def _machine(root: Path) -> MemoryReading:
    """The whole machine, from `/proc/meminfo`; where there is no /proc, from psutil."""
    text = read_text(root / "proc" / "meminfo")
    if text is None:
        return _machine_by_psutil() if root == Path("/") else MemoryReading()
    kib = {
        name: int(fields[0])
        for name, _, rest in (line.partition(":") for line in text.splitlines())
        if (fields := rest.split()) and fields[0].isdecimal()
    }
    total = kib.get("MemTotal")
    if not total:
        return MemoryReading()
    free = kib.get("MemFree", 0)
    return MemoryReading(
        source="machine",
        limit_bytes=total * 1024,
        usage_bytes=(total - free) * 1024,
        working_set_bytes=(total - kib.get("MemAvailable", free)) * 1024,
    )


def _machine_by_psutil() -> MemoryReading:
    memory = psutil.virtual_memory()
    used = memory.total - memory.available
    return MemoryReading("machine", memory.total, used, used)


def _with_pressure(reading: MemoryReading, root: Path) -> MemoryReading:
    """Add the pressure of the group that owns the limit, else the machine's."""
    text = read_text(Path(reading.group) / "memory.pressure") if reading.group else None
    text = text or read_text(root / "proc" / "pressure" / "memory")
    match = _SOME.search(text) if text else None
    if match is None:
        return reading
    return replace(reading, pressure_some_pct=float(match[1]))
