"""The output files: what the ledger says is in them is in them, after any crash.

A result's row holds the offset behind its line (`file_end`). The row is committed first, then
the line is written at its offset; so after a crash a file is at most too short, and `restore`
completes it from the ledger. A file that is not this run's is put aside, never overwritten.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmtop.adapters.ledger.files import open_private, replace_file, sync_folder, unwritable
from llmtop.errors import StateError
from llmtop.model import ItemStatus

_CHUNK_BYTES = 1 << 18


class OutputFile:
    """One file of results, or only its bookkeeping where no path was given."""

    def __init__(self, path: Path | None, statuses: Sequence[ItemStatus]) -> None:
        self.path = path
        self.statuses = tuple(statuses)
        self.end = 0
        """Committed length in bytes."""
        self._fd = -1

    def __repr__(self) -> str:
        return f"OutputFile({self.path}, {'/'.join(self.statuses)}, end={self.end})"

    def restore(self, connection: sqlite3.Connection, *, is_clean: bool, is_ours: bool) -> str | None:
        """Open the file and make it what the ledger says; return a sentence when something was amiss.

        `is_clean`: the run was closed in order, so that length and last line are proof enough.
        `is_ours`: whatever stands there may be replaced (a rewrite was cut off).
        """
        self.end = self._committed_end(connection)
        if self.path is None:
            return None
        self.close()
        self._fd = _open_owned(self.path, os.O_CREAT)
        try:
            return self._restore(connection, self.path, is_clean=is_clean, is_ours=is_ours)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _restore(
        self, connection: sqlite3.Connection, path: Path, *, is_clean: bool, is_ours: bool
    ) -> str | None:
        size = os.fstat(self._fd).st_size
        if is_clean and size == self.end and self._ends_as_committed(connection):
            return None
        same, is_alike = self._matching_end(connection, size)
        if same == self.end == size:
            return None
        notice = None
        if size and not is_alike and not is_ours:
            aside = _put_aside(path)
            notice = f"{path} is not from this run: put aside as {aside.name}"
            os.close(self._fd)
            self._fd = _open_owned(path, os.O_CREAT | os.O_EXCL)
            same = 0
        elif size > self.end:
            notice = f"{path} was cut back to its {self.end} committed bytes"
        elif size:
            notice = f"{path} was completed from the ledger"
        os.ftruncate(self._fd, same)
        for part in _chunks(self._lines(connection, after_end=same)):
            same += _write_all(self._fd, part, same)
        os.fsync(self._fd)
        sync_folder(path.parent)
        return notice

    def append(self, lines: Sequence[bytes], end: int) -> None:
        """Write committed lines; `end` is the committed length behind the last. Raises StateError."""
        start, self.end = self.end, end
        if self._fd < 0 or self.path is None or not lines:
            return
        try:
            _write_all(self._fd, b"\n".join(lines) + b"\n", start)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def rewrite(self, connection: sqlite3.Connection) -> None:
        """Put a new file in place of the old one, in one step: results were taken out."""
        self.end = self._committed_end(connection)
        if self.path is None:
            return
        mode = stat.S_IMODE(os.fstat(self._fd).st_mode) if self._fd >= 0 else 0o600
        replace_file(self.path, _chunks(self._lines(connection, after_end=0)), mode=mode)
        self.close()
        self._fd = _open_owned(self.path, 0)

    def settle(self, connection: sqlite3.Connection) -> None:
        """At the end of the run: make sure that the file by this name is complete and on the disk."""
        if self.path is None or self._fd < 0:
            return
        try:
            ours = os.fstat(self._fd)
            there = self.path.lstat() if self.path.exists() else None
            if there is None or there.st_ino != ours.st_ino or ours.st_size != self.end:
                self.restore(connection, is_clean=False, is_ours=False)  # it was moved, deleted or edited
            os.fsync(self._fd)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _committed_end(self, connection: sqlite3.Connection) -> int:
        found = connection.execute(
            f"SELECT MAX(file_end) FROM results WHERE status IN ({_marks(self.statuses)})", self.statuses
        ).fetchone()[0]
        return int(found or 0)

    def _lines(self, connection: sqlite3.Connection, *, after_end: int) -> Iterator[bytes]:
        ordered = connection.execute(
            f"""SELECT seq FROM results WHERE status IN ({_marks(self.statuses)}) AND file_end > ?
            ORDER BY file_end""",
            (*self.statuses, after_end),
        )
        for (seq,) in ordered:  # one by one, so that SQLite sorts numbers and not whole lines
            yield connection.execute("SELECT line FROM lines WHERE seq = ?", (seq,)).fetchone()[0]

    def _ends_as_committed(self, connection: sqlite3.Connection) -> bool:
        if self.end == 0:
            return True
        line: bytes = connection.execute(
            f"""SELECT line FROM lines WHERE seq =
                (SELECT seq FROM results WHERE status IN ({_marks(self.statuses)}) AND file_end = ?)""",
            (*self.statuses, self.end),
        ).fetchone()[0]
        return os.pread(self._fd, len(line) + 1, self.end - len(line) - 1) == line + b"\n"

    def _matching_end(self, connection: sqlite3.Connection, size: int) -> tuple[int, bool]:
        """Return the end of the last line that is as committed, and whether the file looks like ours."""
        same = 0
        is_alike = size == 0
        for part in _chunks(self._lines(connection, after_end=0)):
            found = os.pread(self._fd, len(part), same)
            if found == part:
                same += len(part)
                is_alike = True
                continue
            common = _common_length(found, part)
            whole = part.rfind(b"\n", 0, common) + 1
            is_alike = is_alike or whole > 0 or 0 < common == len(found)
            return same + whole, is_alike
        return same, is_alike


class Output:
    """All output files of a run, and which result belongs in which."""

    def __init__(self, output_path: str | None, rejected_path: str | None) -> None:
        main: list[ItemStatus] = ["done", "failed"]
        if rejected_path is None:
            main.append("rejected")
        elif output_path and Path(output_path) == Path(rejected_path):
            raise StateError("output.rejected_path", "is the same file as output.path", "name another file")
        self.files = [OutputFile(Path(output_path) if output_path else None, main)]
        if rejected_path is not None:
            self.files.append(OutputFile(Path(rejected_path), ["rejected"]))
        self._by_status = {status: file for file in self.files for status in file.statuses}

    def file_for(self, status: ItemStatus) -> OutputFile:
        """Return the file that results of this status go to."""
        return self._by_status[status]

    def restore(self, connection: sqlite3.Connection, *, is_clean: bool, is_ours: bool) -> tuple[str, ...]:
        """Make every file what the ledger says; return what was amiss."""
        notices = (file.restore(connection, is_clean=is_clean, is_ours=is_ours) for file in self.files)
        return tuple(notice for notice in notices if notice)

    def rewrite(self, connection: sqlite3.Connection) -> None:
        """Write every file anew from the ledger."""
        for file in self.files:
            file.rewrite(connection)

    def settle(self, connection: sqlite3.Connection) -> None:
        """Make sure that every file is complete and on the disk."""
        for file in self.files:
            file.settle(connection)

    def close(self) -> None:
        """Let go of every file."""
        for file in self.files:
            file.close()


def _open_owned(path: Path, flags: int) -> int:
    """Open a file for this run alone. Raises StateError while another run writes it."""
    fd = open_private(path, os.O_RDWR | flags)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise StateError(
            str(path), "is being written by another run", "name another file in output.path or with -o"
        ) from error
    except OSError as error:
        os.close(fd)
        raise unwritable(path, error) from error
    return fd


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _chunks(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield whole lines with their ends, joined to parts of some hundred kilobytes."""
    part = bytearray()
    for line in lines:
        part += line
        part += b"\n"
        if len(part) >= _CHUNK_BYTES:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _write_all(fd: int, data: bytes, offset: int) -> int:
    view = memoryview(data)
    written = 0
    while written < len(data):
        written += os.pwrite(fd, view[written:], offset + written)
    return written


def _common_length(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _put_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists() or aside.is_symlink():
        number += 1
    path.rename(aside)
    return aside
