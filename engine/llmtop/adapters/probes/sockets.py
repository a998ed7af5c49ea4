"""Which processes talk to an API: established TCP connections, by process.

Read from `/proc` in one pass: asking each process for its connections reads the whole table of
the machine again and again. Where there is no `/proc` nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_ESTABLISHED = "01"
_HTTPS = 443


class Remote(NamedTuple):
    """The other end: address as the kernel writes it (hex), and port."""

    address: str
    port: int


class Talk(NamedTuple):
    """What one process is connected to."""

    is_api: bool
    """Port 443, or an address that we are connected to ourselves."""
    is_same: bool
    """An address that we are connected to ourselves."""


def find_talkers(own: int, others: Iterable[int], proc: Path = Path("/proc")) -> dict[int, Talk] | None:
    """Say of each of `others` that has a connection what it is; None where it cannot be seen.

    `own` is our own process: what it is connected to is "the same API".
    """
    remotes = _remotes(proc)
    if remotes is None:
        return None
    ours = _of_process(own, remotes, proc)
    talkers: dict[int, Talk] = {}
    for pid in others:
        theirs = _of_process(pid, remotes, proc)
        is_same = not ours.isdisjoint(theirs)
        is_api = is_same or any(remote.port == _HTTPS for remote in theirs)
        if is_api:
            talkers[pid] = Talk(is_api, is_same)
    return talkers


def _remotes(proc: Path) -> dict[str, Remote] | None:
    """Socket inode -> other end, of all established connections; None where there is no table."""
    remotes: dict[str, Remote] = {}
    is_found = False
    for name in ("tcp", "tcp6"):
        try:
            text = (proc / "net" / name).read_text(encoding="ascii")
        except OSError:
            continue
        is_found = True
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _ESTABLISHED:
                address, _, port = fields[2].rpartition(":")
                remotes[fields[9]] = Remote(address, int(port, 16))
    return remotes if is_found else None


def _of_process(pid: int, remotes: Mapping[str, Remote], proc: Path) -> set[Remote]:
    """Other ends of one process's sockets; empty when it is gone or not ours to look at."""
    found: set[Remote] = set()
    try:
        files = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        return found
    for file in files:
        try:
            target = str(file.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            remote = remotes.get(target[8:-1])
            if remote is not None:
                found.add(remote)
    return found
