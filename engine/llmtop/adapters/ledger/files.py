"""Private files and folders: their final mode from the start, no planted links, safe in a power cut."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from llmtop.errors import StateError

_NETWORK_TYPES = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "pvfs2", "smb", "smb2", "smb3", "smbfs", "webdav"),
    }
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.lxcfs", "fuse.gocryptfs"})
_MOUNTINFO = Path("/proc/self/mountinfo")


def make_private_folder(folder: Path) -> None:
    """Make the folder and its missing parents, each 0700 from the start. Raises StateError."""
    try:
        _make_missing(folder)
        found = folder.stat()
    except OSError as error:
        raise unwritable(folder, error) from error
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(str(folder), "is not a folder", "name a folder with --home")


def _make_missing(folder: Path) -> None:
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue  # another process made it at the same moment
        path.chmod(0o700)  # a umask may have taken rights away
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of the folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_private(path: Path, flags: int) -> int:
    """Open or create a regular file, 0600 when new; raise StateError for anything else at that place."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise StateError(
                str(path), "is a symbolic link, and is not written through", "name the file itself"
            ) from error
        raise unwritable(path, error) from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise StateError(str(path), "is not a regular file", "name another path")
    if found.st_size == 0 and found.st_mode & 0o600 != 0o600:  # a umask took rights from a new file
        os.fchmod(fd, 0o600)
    return fd


def replace_file(path: Path, parts: Iterable[bytes], *, mode: int = 0o600) -> None:
    """Write the parts to a new file beside `path`, then put it in its place in one step."""
    if path.is_symlink():
        raise StateError(str(path), "is a symbolic link, and is not written through", "name the file itself")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb", buffering=1 << 18) as file:
            os.fchmod(fd, mode)
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(fd)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StateError:
    """Return the StateError for a failed system call on `path`."""
    return StateError(
        str(path), f"cannot be written: {error.strerror or error}", "check free space, quota and permissions"
    )


def refuse_network_file_system(folder: Path, mountinfo: Path = _MOUNTINFO) -> None:
    """Raise StateError where the folder lies on a network file system.

    SQLite's write-ahead log needs memory shared between processes and locks that work, and
    network file systems give neither. Where there is no mountinfo (not Linux) nothing is known.
    """
    kind = file_system_of(folder, mountinfo)
    if kind is None:
        return
    if kind in _NETWORK_TYPES or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        raise StateError(
            str(folder),
            f"is on a network file system ({kind}), where a run's ledger is not safe",
            "put the state on a local disk with --home or LLMTOP_HOME",
        )


def file_system_of(folder: Path, mountinfo: Path) -> str | None:
    """Return the type of the mount that holds the folder, by proc(5) `mountinfo`; None when unknown."""
    try:
        mounts = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    place = folder.resolve()
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        left, found, right = line.partition(" - ")
        if not found:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split(" ")[4]))
        depth = len(point.parts)
        if place.is_relative_to(point) and (best is None or depth >= best[0]):
            best = (depth, right.split(" ")[0])
    return best[1] if best else None
