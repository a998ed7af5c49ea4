"""Where this process stands in the control groups: the folders from its own group up to the mount.

`psutil` and `free` show the machine; the limit that kills is the group's, or that of a group
above it. Version 1 and 2 and hosts with both are read from `/proc/<pid>/cgroup` and
`/proc/<pid>/mountinfo`, below a root that tests replace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

_OCTAL = re.compile(rb"\\([0-7]{3})")


class _Mount(NamedTuple):
    root: str
    point: str


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The groups of one process for one controller, its own first, the mount's root last."""

    version: Literal[1, 2]
    folders: tuple[Path, ...]


def find_hierarchy(root: Path, pid: str, controller: str) -> Hierarchy | None:
    """Find the groups with `controller` (`memory`, `cpu`); None where there is none or it cannot be read.

    Version 1 wins where it has the controller: a host with both mounts version 2 without it.
    """
    try:
        groups = (root / "proc" / pid / "cgroup").read_bytes()
        mounts = (root / "proc" / pid / "mountinfo").read_bytes()
    except OSError:
        return None
    paths = _group_paths(groups.decode(errors="surrogateescape"), controller)
    for version in (1, 2):
        mount = _find_mount(mounts, version, controller, paths[version])
        path = paths[version]
        if path is not None and mount is not None:
            return Hierarchy(2 if version == 2 else 1, _folders(root, mount, path))
    return None


def read_int(file: Path) -> int | None:
    """Read a file that holds one whole number; None for `max`, no such file, or anything else."""
    text = read_text(file)
    return int(text) if text is not None and text.strip().isdecimal() else None


def read_text(file: Path) -> str | None:
    """Read a small kernel file; None where it cannot be read."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None


def _group_paths(text: str, controller: str) -> dict[int, str | None]:
    """Lines are `id:controllers:path`; version 2 has id 0 and no controllers."""
    paths: dict[int, str | None] = {1: None, 2: None}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = path
        elif controller in controllers.split(","):
            paths[1] = path
    return paths


def _find_mount(mountinfo: bytes, version: int, controller: str, path: str | None) -> _Mount | None:
    """The mount of the hierarchy; of several the one whose root is nearest above `path`."""
    found: list[_Mount] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        fields, tail = left.split(b" "), right.split(b" ")
        if len(fields) < 5 or len(tail) < 3:
            continue
        if version == 2:
            is_wanted = tail[0] == b"cgroup2"
        else:
            is_wanted = tail[0] == b"cgroup" and controller.encode() in tail[2].split(b",")
        if is_wanted:
            found.append(_Mount(_plain(fields[3]), _plain(fields[4])))
    if not found:
        return None
    return max(found, key=lambda mount: len(mount.root) if _is_above(mount.root, path or "/") else -1)


def _plain(field: bytes) -> str:
    r"""Undo the octal escapes (`\040` is a space) that the kernel writes."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 255]), field).decode(errors="surrogateescape")


def _is_above(root: str, path: str) -> bool:
    return root == "/" or path == root or path.startswith(root + "/")


def _folders(root: Path, mount: _Mount, path: str) -> tuple[Path, ...]:
    top = root / mount.point.lstrip("/")
    if mount.root != "/" and _is_above(mount.root, path):
        path = path[len(mount.root) :]
    parts = [part for part in path.split("/") if part]
    if ".." in parts or not top.joinpath(*parts).is_dir():
        parts = []
    return tuple(top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))
