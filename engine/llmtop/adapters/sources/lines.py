"""Lines of a file as bytes, each with its number and offset, and none longer than the limit.

A line ends at a line feed only, so that U+2028 and its like may stand inside. gzip is read through.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from llmtop.cleaning import clean
from llmtop.config.files import Unreadable, foreign_format, open_regular
from llmtop.config.input_format import is_gzip_name
from llmtop.errors import InputError

MAX_LINE_BYTES = 16 * 2**20
_UTF8_MARK = b"\xef\xbb\xbf"
_ONE_A_LINE = "One item a line; is it the right file?"


class Line(NamedTuple):
    """One line without its end. `offset` is where it starts in a plain file, -1 in a compressed one."""

    number: int
    offset: int
    raw: bytes
    end: bytes
    """What ended it: LF, CR LF, or nothing at the end of the file."""


class LineFile:
    """An open input file. A context manager: leaving it closes the file.

    Raises InputError where it is opened when it is no regular file or not the format of its name,
    and while it is read when a line is too long or the compressed data are damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._is_gzip = is_gzip_name(path)
        try:
            self._raw: BinaryIO = open_regular(path)
        except Unreadable as error:
            raise InputError(name, error.what, error.remedy) from None
        try:
            self.size = self._raw.seek(0, 2)
            self._raw.seek(0)
            self._refuse_foreign(self._raw.read(8))
            self._raw.seek(0)
        except BaseException:
            self._raw.close()
            raise
        self._file: BinaryIO = gzip.GzipFile(fileobj=self._raw) if self._is_gzip else self._raw  # type: ignore[assignment]

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    def __repr__(self) -> str:
        return f"LineFile({self._name!r}, {self.progress():.0%} read)"

    def _refuse_foreign(self, start: bytes) -> None:
        foreign = foreign_format(start)
        if self._is_gzip and start and foreign != "a gzip file":
            raise InputError(
                self._name, "is not a gzip file, though its name says so", "Take .gz off its name."
            )
        if not self._is_gzip and foreign == "a gzip file":
            raise InputError(
                self._name, "is a gzip file, and its name does not say so", "Add .gz to its name."
            )
        if not self._is_gzip and foreign is not None:
            raise InputError(self._name, f"is {foreign}", "Save it as UTF-8 text.")

    def progress(self) -> float:
        """Return which part of the file has been read, from 0 to 1."""
        return min(1.0, self._raw.tell() / self.size) if self.size else 1.0

    def lines(self) -> Iterator[Line]:
        """Yield every line from the start of the file."""
        number = 0
        offset = 0
        while line := self._read_line(number + 1):
            number += 1
            start = offset
            offset += len(line)
            if number == 1:
                if self._is_gzip and (foreign := foreign_format(line[:8])):
                    raise InputError(self._name, f"holds {foreign}", "Save it as UTF-8 text.")
                line = line.removeprefix(_UTF8_MARK)
            raw, end = _without_end(line)
            yield Line(number, -1 if self._is_gzip else start, raw, end)

    def line_at(self, offset: int, number: int) -> Line:
        """Return the line that starts at `offset` of a plain file."""
        self._file.seek(offset)
        line = self._read_line(number)
        return Line(number, offset, *_without_end(line.removeprefix(_UTF8_MARK) if offset == 0 else line))

    def _read_line(self, number: int) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES + 2)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            what = "the compressed data end in the middle, or are damaged"
            raise InputError(at_line(self._name, number), what, "Fetch or compress the file again.") from None
        except OSError as error:
            raise InputError(self._name, f"cannot be read ({error.strerror or 'read error'})") from None
        if len(line) > MAX_LINE_BYTES and len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
            what = f"is longer than {MAX_LINE_BYTES // 2**20} MiB"
            raise InputError(at_line(self._name, number), what, _ONE_A_LINE)
        return line


def _without_end(line: bytes) -> tuple[bytes, bytes]:
    if line[-1:] != b"\n":
        return line, b""
    return (line[:-2], b"\r\n") if line[-2:-1] == b"\r" else (line[:-1], b"\n")


def at_line(name: str, number: int) -> str:
    """Name a line of a file in a message."""
    return f"{name}: line {number}"


def shown_name(path: Path) -> str:
    """Return a path for a message."""
    return clean(str(path), limit=300)


def decoded(line: Line, name: str) -> str:
    """Return a line as text. Raises InputError when it is not UTF-8."""
    try:
        return line.raw.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start + 1} of the line)"
        raise InputError(at_line(name, line.number), what, "Save the file as UTF-8 text.") from None
