"""A file's records in order, not yet checked: one per item, blank lines left out.

Each format says where its records start and how one is read; `source` does the rest.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from llmtop.adapters.sources.jsonl import parse_object
from llmtop.adapters.sources.lines import MAX_LINE_BYTES, Line, LineFile, at_line, decoded
from llmtop.cleaning import clean
from llmtop.errors import InputError


class Record(NamedTuple):
    """One item's place and raw content: a `Line`, or a row that is read already."""

    line: int
    offset: int
    content: Any


class Digest(Protocol):
    """What the bytes of the records are added to."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class Format(Protocol):
    """How records are found in a file and read."""

    def records(self, file: LineFile, digest: Digest) -> Iterator[Record]:
        """Yield the records; before one is yielded its bytes are added to `digest`."""

    def fields(self, record: Record) -> dict[str, Any]:
        """Return the fields of a record. Raises InputError."""


class NoDigest:
    """Forgets what it is given."""

    def update(self, data: bytes, /) -> None:
        """Do nothing."""


class _OneALine:
    """Formats in which an item is a line that is not blank."""

    def __init__(self, name: str) -> None:
        self._name = name

    def records(self, file: LineFile, digest: Digest) -> Iterator[Record]:
        """Yield a record for each line that is not blank."""
        for line in file.lines():
            number, offset, raw, _ = line
            if raw and not raw.isspace():
                digest.update(raw)
                digest.update(b"\n")
                yield Record(number, offset, line)


class Jsonl(_OneALine):
    """An object a line."""

    def fields(self, record: Record) -> dict[str, Any]:
        """Return the line's object."""
        return parse_object(record.content, self._name)


class Txt(_OneALine):
    """A text a line, under the name `text`."""

    def fields(self, record: Record) -> dict[str, Any]:
        """Return the line under `text`."""
        line: Line = record.content
        return {"text": decoded(line, self._name)}


class Table:
    """CSV or TSV: a header row, then a row an item. Cells may hold line ends; no byte is lost."""

    def __init__(self, name: str, delimiter: str) -> None:
        self._name = name
        self._delimiter = delimiter

    def records(self, file: LineFile, digest: Digest) -> Iterator[Record]:
        """Yield a record for each row below the header that is not blank."""
        csv.field_size_limit(MAX_LINE_BYTES)  # holds for the whole process; `_Feed` bounds each row
        feed = _Feed(file, self._name, digest)
        rows = csv.reader(feed, delimiter=self._delimiter, strict=True)
        header: list[str] | None = None
        while (row := self._next(rows, feed)) is not None:
            start = feed.start_record()
            if not row:
                continue
            if header is None:
                header = self._checked_header(row, start)
            elif len(row) != len(header):
                what = f"has {len(row)} cells, and the header has {len(header)}"
                raise InputError(at_line(self._name, start), what, "Quote cells that hold the separator.")
            else:
                yield Record(start, -1, dict(zip(header, row, strict=True)))

    def fields(self, record: Record) -> dict[str, Any]:
        """Return the row."""
        fields: dict[str, Any] = record.content
        return fields

    def _next(self, rows: Iterator[list[str]], feed: _Feed) -> list[str] | None:
        try:
            return next(rows, None)
        except csv.Error as error:
            what = f"is not {'CSV' if self._delimiter == ',' else 'TSV'} ({clean(str(error), limit=80)})"
            where = at_line(self._name, feed.record_line)
            raise InputError(where, what, 'Double the quotes inside a quoted cell: "".') from None

    def _checked_header(self, row: list[str], line: int) -> list[str]:
        twice = next((name for at, name in enumerate(row) if name in row[:at]), None)
        if twice is not None:
            what = f'the header names "{clean(twice, limit=60)}" twice'
            raise InputError(at_line(self._name, line), what, "Give each column its own name.")
        return row


class _Feed:
    """Gives lines to the csv reader, and knows where the record began that it is reading."""

    def __init__(self, file: LineFile, name: str, digest: Digest) -> None:
        self._lines = file.lines()
        self._name = name
        self._digest = digest
        self._bytes = 0
        self.record_line = 1
        self._is_between = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if self._is_between:
            self.record_line = line.number
            self._is_between = False
            self._bytes = 0
        self._bytes += len(line.raw) + 1
        if self._bytes > MAX_LINE_BYTES:
            what = f"the row is longer than {MAX_LINE_BYTES // 2**20} MiB"
            raise InputError(at_line(self._name, self.record_line), what, "Is a quote never closed?")
        self._digest.update(line.raw)
        self._digest.update(b"\n")
        return decoded(line, self._name) + line.end.decode()

    def start_record(self) -> int:
        """Return the first line of the record that was just read; the next line begins another."""
        self._is_between = True
        return self.record_line


def format_of(kind: str, name: str) -> Format:
    """Return how files of a format are read."""
    if kind == "csv":
        return Table(name, ",")
    if kind == "tsv":
        return Table(name, "\t")
    return Txt(name) if kind == "txt" else Jsonl(name)
