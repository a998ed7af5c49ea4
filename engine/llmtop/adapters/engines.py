"""Which engine processes are alive, and where their control sockets are.

Each writes `<pid>.json` and holds a lock on it, which the kernel drops when the process dies: so a
record that can be locked is stale, whoever has its pid by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from llmtop.adapters.ledger.files import unwritable
from llmtop.errors import StateError

SOCKET_PATH_BYTES = 100
"""A Unix socket's path must be shorter (the kernel takes 108 with the final zero, other systems 104)."""


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """A live engine process and its control socket."""

    pid: int
    socket: str
    started_at: float
    version: str = ""


class EngineEntry:
    """An engine's record in the state folder, locked until `withdraw` or the end of the process."""

    def __init__(self, path: Path, fd: int) -> None:
        """Use `announce`."""
        self._path = path
        self._fd = fd

    def withdraw(self) -> None:
        """Take the record away. Safe to call twice."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def announce(folder: Path, record: EngineRecord) -> EngineEntry:
    """Make this engine known in `folder`, until it withdraws or its process ends. Raises StateError.

    What dead engines left there is removed.
    """
    live_engines(folder)
    path = folder / f"{record.pid}.json"
    draft = folder / f".{record.pid}.{secrets.token_hex(4)}.tmp"
    try:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.fchmod(fd, 0o600)  # whatever the umask
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # locked before it can be seen
        os.write(fd, json.dumps(asdict(record)).encode())
        draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    return EngineEntry(path, fd)


def live_engines(folder: Path) -> tuple[EngineRecord, ...]:
    """Return the live engines, oldest first; remove what dead ones left."""
    live = [record for path in folder.glob("*.json") for record in _live(path)]
    return tuple(sorted(live, key=lambda record: (record.started_at, record.pid)))


def socket_path(folder: Path, pid: int, environ: Mapping[str, str]) -> Path:
    """Return where this engine's control socket goes, in a folder that only this user can enter."""
    path = folder / f"{pid}.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_BYTES:
        return path
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    runtime = environ.get("XDG_RUNTIME_DIR")
    place = Path(runtime or tempfile.gettempdir()) / f"llmtop-{os.geteuid()}-{mark}"
    _make_own_folder(place)
    path = place / f"{pid}.sock"
    if len(os.fsencode(path)) >= SOCKET_PATH_BYTES:
        raise StateError(str(path), "is too long for a socket", "set XDG_RUNTIME_DIR to a short path")
    return path


def _live(path: Path) -> Iterator[EngineRecord]:
    """Yield the record when its process lives; else remove it and its socket."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # withdrawn just now, or planted
    try:
        data = os.read(fd, 1 << 16)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(ValueError, TypeError):
                yield EngineRecord(**json.loads(data))
            return
        path.unlink(missing_ok=True)
        with contextlib.suppress(ValueError, TypeError, OSError):
            socket = Path(EngineRecord(**json.loads(data)).socket)
            if stat.S_ISSOCK(socket.lstat().st_mode):
                socket.unlink()
    finally:
        os.close(fd)


def _make_own_folder(place: Path) -> None:
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
        place.chmod(0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StateError(
            str(place), "is not a folder that only this user can enter", "remove it, or set XDG_RUNTIME_DIR"
        )
