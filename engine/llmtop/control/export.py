"""Results of a run, whole or partial, at any time: lines of JSON, or a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from llmtop.adapters.ledger.files import replace_file
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.errors import UsageError
from llmtop.model import ItemStatus

ExportFormat = Literal["jsonl", "csv", "parquet"]

CSV_COLUMNS = (
    *("id", "status", "output", "error_type", "error_message", "http_status", "finish_reason"),
    *("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "cost_usd", "model", "via"),
    *("attempts", "latency_ms", "pack_id", "batch_id", "filters", "started_at", "finished_at", "metadata"),
)

_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PART_BYTES = 1 << 18


def export(
    reader: LedgerReader,
    out: Path | BinaryIO,
    format: ExportFormat,
    statuses: Sequence[ItemStatus],
    raw: bool,
) -> int:
    """Write the results of these statuses in input order; return how many.

    A path is written beside its place and put there in one step (0600, no symbolic link); a stream
    is written as it comes. `raw` switches off the apostrophe before cells that a spreadsheet would
    run as a formula. Raises UsageError for a format that is not there, StateError when the file
    cannot be written.
    """
    counter = _Counter(reader.results(statuses))
    if format == "jsonl":
        parts = _gathered(line + b"\n" for line in counter)
    elif format == "csv":
        parts = _gathered(_csv_rows(counter, raw))
    else:
        raise UsageError("--format", f"{format} is not available yet", "use jsonl or csv")
    if isinstance(out, Path):
        replace_file(out, parts)
    else:
        for part in parts:
            out.write(part)
        out.flush()
    return counter.count


def export_run(
    folder: Path,
    out: Path | BinaryIO,
    format: ExportFormat,
    statuses: Sequence[ItemStatus],
    raw: bool,
) -> int:
    """As `export`, of the run in `folder`. Raises StateError when its ledger cannot be read."""
    with LedgerReader(folder) as reader:
        return export(reader, out, format, statuses, raw)


class _Counter:
    """Counts what passes."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.count += 1
            yield line


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for piece in pieces:
        part += piece
        if len(part) >= _PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def _csv_rows(lines: Iterable[bytes], raw: bool) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    for line in lines:
        cells = [_cell(value) for value in _flat(orjson.loads(line))]
        writer.writerow(cells if raw else [guarded(cell) for cell in cells])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()  # the head alone, where there is no line


def guarded(cell: str) -> str:
    """Return the cell with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _flat(result: dict[str, Any]) -> list[Any]:
    error = result["error"] or {}
    values = {
        **result,
        **result["usage"],
        "error_type": error.get("type"),
        "error_message": error.get("message"),
        "http_status": error.get("http_status"),
    }
    return [values[name] for name in CSV_COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
