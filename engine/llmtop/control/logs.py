"""What an engine without a terminal says: a private file of bounded size, safe to `cat`."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOBase
from pathlib import Path

from llmtop.cleaning import clean

_LIMIT_BYTES = 1 << 20
_LINE_CHARACTERS = 2000
_KEPT = 10


class EngineLog(TextIOBase):
    """Takes the place of stdout and stderr; full, it takes no more. `close` removes an empty one."""

    def __init__(self, path: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.path = path
        self._fd = os.open(path, flags, 0o600)
        os.fchmod(self._fd, 0o600)  # whatever the umask
        self._left = limit_bytes
        self._line = ""

    def redirect(self) -> None:
        """Send all that this process says here: it has no terminal, and reads nothing any more."""
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)
        sys.stdout = sys.stderr = self

    def write(self, text: str) -> int:
        """Keep whole lines, cleaned."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._put(clean(line, limit=_LINE_CHARACTERS))
        self._line = self._line[:_LINE_CHARACTERS]
        return len(text)

    def bug(self, error: BaseException) -> None:
        """Write down a bug: when, and where it was, without local variables."""
        self.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')} pid {os.getpid()}\n")
        self.write("".join(traceback.format_exception(error)))

    def close(self) -> None:
        """Write what is left; an empty file goes."""
        if not self.closed:
            if self._line:
                self.write("\n")
            with suppress(OSError):
                if os.fstat(self._fd).st_size == 0:
                    self.path.unlink(missing_ok=True)
            os.close(self._fd)
        super().close()

    def _put(self, line: str) -> None:
        data = line.encode(errors="replace") + b"\n"
        if self._left <= 0:
            return
        self._left -= len(data)
        with suppress(OSError):  # a full disk is no reason to end
            os.write(self._fd, data if self._left > 0 else b"(the log is full)\n")


def tidy(folder: Path) -> None:
    """Remove logs of engines that are gone: the empty ones, and all but the newest ten."""
    kept = 0
    for log in sorted(folder.glob("*.log"), key=_changed_at, reverse=True):
        with suppress(OSError, ValueError):
            if _is_alive(int(log.stem)):
                continue
            kept += 1
            if kept > _KEPT or log.lstat().st_size == 0:
                log.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
