"""One owner a run: an advisory lock that the kernel drops when the process dies, however it dies.

The file holds the owner's pid for messages; only the lock decides. A child that is forked and
does not exec would inherit the lock, so nothing in llmtop forks that way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from llmtop.adapters.ledger.files import open_private, unwritable
from llmtop.errors import RunOwned, StateError

LOCK_NAME = "lock"

_PATIENCE_S = 0.1  # somebody who asks `owner_pid` holds the lock for some microseconds
_PAUSE_S = 0.01


class RunLock:
    """The lock of one run's folder, held until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises RunOwned with the owner's pid, or StateError."""
        self._fd = open_private(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
        deadline = time.monotonic() + _PATIENCE_S
        while not _try_lock(self._fd, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                pid = _pid_in(self._fd)
                os.close(self._fd)
                raise RunOwned(folder.name, pid)
            time.sleep(_PAUSE_S)
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:  # the disk is full
            os.close(self._fd)
            raise unwritable(folder / LOCK_NAME, error) from error

    def release(self) -> None:
        """Let go of the run. Safe to call twice."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):  # a disk that is full or gone must not keep the lock
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1


def owner_pid(folder: Path) -> int | None:
    """Return the pid of the live process that owns the run in `folder`, None when nobody does.

    0 where somebody holds the lock and has not written a pid.
    """
    try:
        fd = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(str(folder / LOCK_NAME), f"cannot be read: {error.strerror}") from error
    try:
        if _try_lock(fd, fcntl.LOCK_SH):
            return None
        return _pid_in(fd) or 0
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
