"""Open and read what a user names, without ever blocking on it or reading without end.

A path may be a folder, a pipe, a device, or far larger than was thought.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_UTF8_MARK = b"\xef\xbb\xbf"
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip file (or a spreadsheet)"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
)


class Unreadable(Exception):
    """Why a file cannot be read, and what would be right."""

    def __init__(self, what: str, remedy: str = "", line: int | None = None) -> None:
        super().__init__(what, remedy, line)
        self.what = what
        self.remedy = remedy
        self.line = line


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises Unreadable for anything else; never blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unreadable("there is no such file", "Check the name and the folder.") from None
    except PermissionError:
        raise Unreadable("may not be read by you", "Check its permissions.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(f"cannot be opened ({reason})") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise Unreadable(f"is {_kind(mode)}", 'Name a regular file (input may also be "-" for stdin).')
    return os.fdopen(descriptor, "rb", buffering=1 << 18)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe (FIFO)"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def foreign_format(start: bytes) -> str | None:
    """Name the format that a file's first bytes belong to when it is not UTF-8 text; None: it may be text."""
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    if start.startswith(_WIDE_MARKS) or (len(start) >= 4 and b"\0" in start[:4] and start[:4] != b"\0\0\0\0"):
        return "UTF-16 or UTF-32 text"
    return None


def read_text(path: Path, limit: int) -> str:
    """Return a whole small UTF-8 file, without its byte order mark and with `\\n` line ends.

    Raises Unreadable for a file that is no regular file, empty, over `limit` bytes, or not UTF-8 text.
    """
    with open_regular(path) as file:
        try:
            raw = file.read(limit + 1)
        except OSError as error:
            raise Unreadable(f"cannot be read ({error.strerror or error})") from None
    if len(raw) > limit:
        raise Unreadable(f"is over {limit // 2**20} MiB", "Is it the right file?")
    if foreign := foreign_format(raw):
        raise Unreadable(f"is {foreign}", "Save it as UTF-8 text.")
    raw = raw.removeprefix(_UTF8_MARK)
    if not raw.strip():
        raise Unreadable("is empty")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable("is not UTF-8", "Save it as UTF-8 text.", line) from None
    if "\0" in text:
        raise Unreadable(
            "has a NUL character in it", "Is it the right file?", text.count("\n", 0, text.index("\0")) + 1
        )
    return text.replace("\r\n", "\n")
