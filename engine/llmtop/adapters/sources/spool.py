"""Standard input, kept in a file so that it can be read again: by the run itself, and by a resume."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from llmtop.adapters.sources.lines import shown_name
from llmtop.errors import InputError, StateError

_CHUNK_BYTES = 2**20


def spool_stdin(spool: Path | None, stdin: BinaryIO | None) -> Path:
    """Copy `stdin` to `spool`: mode 0600, never through a symlink.

    Without `stdin` what was copied before is taken.
    Raises InputError when there is nothing to read, StateError when it cannot be kept.
    """
    if spool is None:
        raise InputError("standard input", "cannot be read here", "Name a file in input.path.")
    if stdin is None:
        if not spool.is_file():
            raise InputError("standard input", "was not kept, and is gone", "Name a file in input.path.")
        return spool
    if stdin.isatty():
        raise InputError(
            "standard input", "is a terminal", "Pipe the items in, or name a file in input.path."
        )
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(spool, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for chunk in _chunks(stdin):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = error.strerror or "write error"
        raise StateError(
            shown_name(spool), f"standard input cannot be kept ({reason})", "Free some space."
        ) from None
    return spool


def _chunks(stdin: BinaryIO) -> Iterator[bytes]:
    """Read to the end, past the buffer: who hangs in its read holds its lock, and Python then cannot end."""
    try:
        fd = stdin.fileno()
    except (OSError, AttributeError):  # bytes in memory
        return iter(lambda: stdin.read(_CHUNK_BYTES), b"")
    return iter(lambda: os.read(fd, _CHUNK_BYTES), b"")
