"""Our own tree, this user's other Python processes, and the machine that all of them share."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]

from llmtop.adapters.probes.cgroup import Hierarchy, find_hierarchy, read_int, read_text
from llmtop.adapters.probes.sockets import Talk, find_talkers

_SCAN_EVERY_S = 5.0
_SHOWN_PIDS = 20
_INTERPRETERS = ("python", "pypy", "ipython")
_OWN_NAMES = frozenset({"llmtop", "llmtop-run", "llmtop_tui", "llmtop_tui.cli"})
_T = TypeVar("_T")
_GONE = (psutil.Error, OSError)


@dataclass(frozen=True, slots=True)
class OtherProcesses:
    """Python processes of this user that are not llmtop's own."""

    count: int = 0
    pids: tuple[int, ...] = ()
    """The largest first, 20 at most."""
    rss_bytes: int = 0
    largest_rss_bytes: int = 0
    api_count: int | None = None
    """Those with an API connection; None: cannot be seen here."""
    api_rss_bytes: int = 0
    same_count: int = 0
    same_rss_bytes: int = 0
    children: int = 0
    """Of our own: descendants of this process."""


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One look at processes and machine; None: not known (yet)."""

    engine_pid: int
    engine_rss_bytes: int | None
    engine_cpu_pct: float | None
    """100 is one core, since the last reading."""
    open_files: int | None
    open_files_limit: int | None
    """The soft limit that holds for this process; None: no limit."""
    cgroup_processes: int | None
    """In our own group."""
    cores: int
    """That this process may use: affinity and the group's CPU quota, rounded up."""
    machine_cores: int
    load_1m: float | None
    cpu_pct: float | None
    """Of the whole machine, 0 to 100, since the last reading."""
    others: OtherProcesses


class ProcessProbe:
    """Reads about once a second what is cheap; the scan over all processes has a verb of its own.

    `scan` takes 4 to 17 ms for 300 processes and blocks: call it in a thread, as often as you
    like; it looks at most every 5 s. `read` shows what the last scan found. Neither raises.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._me = psutil.Process()
        self._cpu_used: tuple[float, float] | None = None
        self._machine_used: tuple[float, float] | None = None
        self._scanned_at = -math.inf
        self._others = OtherProcesses()
        self._cores = _allowed_cores(find_hierarchy(root, "self", "cpu"))
        self._group = find_hierarchy(root, "self", "memory") or find_hierarchy(root, "self", "pids")

    def read(self) -> ProcessReading:
        """Take the cheap figures; under 1 ms."""
        return ProcessReading(
            engine_pid=self._me.pid,
            engine_rss_bytes=_or_none(lambda: self._me.memory_info().rss),
            engine_cpu_pct=self._engine_cpu(),
            open_files=_open_files(self._root),
            open_files_limit=_open_files_limit(),
            cgroup_processes=self._group_size(),
            cores=self._cores,
            machine_cores=os.cpu_count() or 1,
            load_1m=_or_none(lambda: os.getloadavg()[0]),
            cpu_pct=self._machine_cpu(),
            others=self._others,
        )

    def scan(self) -> OtherProcesses:
        """Look at all processes of this user, unless the last look is less than 5 s old."""
        now = self._clock()
        if now - self._scanned_at >= _SCAN_EVERY_S:
            self._scanned_at = now
            self._others = _scan(self._me.pid)
        return self._others

    def _engine_cpu(self) -> float | None:
        used = time.process_time()
        now = time.monotonic()
        before, self._cpu_used = self._cpu_used, (now, used)
        if before is None or now <= before[0]:
            return None
        return 100.0 * (used - before[1]) / (now - before[0])

    def _machine_cpu(self) -> float | None:
        times = _or_none(psutil.cpu_times)
        if times is None:
            return None
        # `guest` is counted in `user` already, `iowait` is idle time.
        total: float = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        busy: float = total - times.idle - getattr(times, "iowait", 0.0)
        before, self._machine_used = self._machine_used, (total, busy)
        if before is None or total <= before[0]:
            return None
        return min(100.0, max(0.0, 100.0 * (busy - before[1]) / (total - before[0])))

    def _group_size(self) -> int | None:
        text = read_text(self._group.folders[0] / "cgroup.procs") if self._group else None
        return None if text is None else text.count("\n")


def _scan(own: int) -> OtherProcesses:
    seen: dict[int, Any] = {
        process.pid: process for process in psutil.process_iter(["ppid", "uids", "name", "memory_info"])
    }
    tree = _descendants(own, {pid: process.info["ppid"] or 0 for pid, process in seen.items()})
    uid = os.getuid()
    memory = {
        pid: process.info["memory_info"].rss
        for pid, process in seen.items()
        if pid != own
        and pid not in tree
        and process.info["memory_info"] is not None
        and process.info["uids"] is not None
        and process.info["uids"].real == uid
        and _is_other_python(process)
    }
    return _summed(memory, find_talkers(own, memory), len(tree))


def _summed(memory: dict[int, int], talkers: dict[int, Talk] | None, children: int) -> OtherProcesses:
    api = [pid for pid, talk in (talkers or {}).items() if talk.is_api]
    same = [pid for pid, talk in (talkers or {}).items() if talk.is_same]
    return OtherProcesses(
        count=len(memory),
        pids=tuple(sorted(memory, key=lambda pid: -memory[pid])[:_SHOWN_PIDS]),
        rss_bytes=sum(memory.values()),
        largest_rss_bytes=max(memory.values(), default=0),
        api_count=None if talkers is None else len(api),
        api_rss_bytes=sum(memory[pid] for pid in api),
        same_count=len(same),
        same_rss_bytes=sum(memory[pid] for pid in same),
        children=children,
    )


def _descendants(own: int, parents: dict[int, int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [own]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found and pid != own:
                found.add(pid)
                waiting.append(pid)
    return found


def _is_other_python(process: Any) -> bool:
    """Whether a process runs Python and is not llmtop's. A script's own name may hide the interpreter."""
    try:
        name = process.info["name"] or ""
        if not name.startswith(_INTERPRETERS) and not Path(process.exe()).name.startswith(_INTERPRETERS):
            return False
        return _OWN_NAMES.isdisjoint(Path(word).name for word in process.cmdline()[:4])
    except _GONE:
        return False


def _allowed_cores(cpu: Hierarchy | None) -> int:
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for folder in cpu.folders if cpu else ():
        allowed = min(allowed, _quota(folder))
    return max(1, math.ceil(allowed))


def _quota(folder: Path) -> float:
    """Cores that one group may use: `cpu.max` (version 2: `quota period`) or the two files of version 1."""
    quota: int | None
    period: int | None
    words = (read_text(folder / "cpu.max") or "").split()
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal():
        quota, period = int(words[0]), int(words[1])
    else:
        quota, period = read_int(folder / "cpu.cfs_quota_us"), read_int(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else math.inf


def _open_files(root: Path) -> int | None:
    try:
        with os.scandir(root / "proc" / "self" / "fd") as entries:
            return sum(1 for _ in entries) - 1  # without the one that looks
    except OSError:
        return None


def _open_files_limit() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else int(soft)


def _or_none(measure: Callable[[], _T]) -> _T | None:
    """A figure, or None where the system does not tell it."""
    try:
        return measure()
    except (*_GONE, AttributeError):
        return None
