"""Files that clients upload and results that they fetch: on disk beyond a few hundred kilobytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

_IN_MEMORY_BYTES = 256 * 1024
_BLOCK = 256 * 1024


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)


@dataclass(slots=True)
class StoredFile:
    """One file; times are seconds of the batches' own clock, since the epoch."""

    id: str
    name: str
    purpose: str
    created_at: float
    expires_at: float
    size: int = 0
    content: IO[bytes] = field(default_factory=_spool)
    fetches: int = 0
    """How often it was read so far."""
    holders: int = 0
    """Batches that have yet to read it: its content outlives its deletion until they have."""
    is_dropped: bool = False
    owner: str = ""
    """The API whose file it is, where several share their addresses' form."""

    def append(self, block: bytes) -> int:
        """Add bytes at the end; return where they begin."""
        at = self.size
        self.content.seek(at)
        self.content.write(block)
        self.size += len(block)
        return at

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line without its end, and where it begins."""
        at = 0
        while True:
            self.content.seek(at)
            line = self.content.readline()
            if not line:
                return
            yield at, line.rstrip(b"\r\n")
            at += len(line)

    def line_at(self, at: int) -> bytes:
        """Return the line that begins there."""
        self.content.seek(at)
        return self.content.readline().rstrip(b"\r\n")

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in pieces."""
        at = 0
        while True:
            self.content.seek(at)
            block = self.content.read(_BLOCK)
            if not block:
                return
            at += len(block)
            yield block

    def hold(self) -> None:
        """Keep the content for a batch until `let_go`."""
        self.holders += 1

    def let_go(self) -> None:
        """A batch does not need the content any more."""
        self.holders -= 1
        self._close_unused()

    def drop(self) -> None:
        """Forget the content as soon as no batch needs it."""
        self.is_dropped = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self.is_dropped and self.holders <= 0:
            self.content.close()


class Files:
    """All files of one simulated provider, newest last."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def __repr__(self) -> str:
        return f"Files({len(self._files)})"

    def add(self, file: StoredFile) -> StoredFile:
        """Keep a file."""
        self._files[file.id] = file
        return file

    def get(self, file_id: str, now: float) -> StoredFile | None:
        """Return a file that is still kept."""
        file = self._files.get(file_id)
        if file is None:
            return None
        if now >= file.expires_at:
            self.drop(file_id)
            return None
        return file

    def drop(self, file_id: str) -> bool:
        """Delete a file; False where there is none."""
        file = self._files.pop(file_id, None)
        if file is None:
            return False
        file.drop()
        return True

    def all(self, now: float) -> list[StoredFile]:
        """Return what is kept, newest first."""
        return [file for file_id in reversed(list(self._files)) if (file := self.get(file_id, now))]

    def close(self) -> None:
        """Forget everything."""
        for file_id in list(self._files):
            self.drop(file_id)
