"""One transaction's worth of entries: turned into rows, written with few statements.

Each call into SQLite lets go of the interpreter lock and has to win it back from the event
loop, so rows go in by the hundred per statement and not one by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import orjson

from llmtop.adapters.ledger.jobs import write_jobs
from llmtop.adapters.ledger.lines import result_line, storable
from llmtop.adapters.ledger.output import Output, OutputFile
from llmtop.adapters.ledger.records import (
    BatchIntent,
    BatchLine,
    BatchSaved,
    CommandRecord,
    Entry,
    Finish,
    StateChange,
)
from llmtop.model import Attempt, AttemptEnd, Decision

KEPT_BODY_BYTES = 64 * 1024
"""What is kept of a raw answer."""

_ROWS_A_STATEMENT = 128
_OVER = ("finished", "failed", "cancelled", "stopped")

Row = tuple[Any, ...]


class Statement:
    """A statement over many rows of parameters: `head (?, ?), (?, ?) tail`.

    Rows go in by powers of two: so there are few texts, and SQLite has them all compiled by the
    first seconds of a run. A text for each number of rows was compiled nearly every time.
    """

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        sizes = [_ROWS_A_STATEMENT >> halved for halved in range(_ROWS_A_STATEMENT.bit_length())]
        self._texts = [(size, f"{head} {', '.join([row] * size)} {tail}") for size in sizes]

    def execute(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Run it over all rows, as many at a time as there can be."""
        start, left = 0, len(rows)
        for size, sql in self._texts:
            while left >= size:
                connection.execute(sql, list(chain.from_iterable(rows[start : start + size])))
                start, left = start + size, left - size


def insert(table: str, *columns: str) -> Statement:
    """Return the statement that adds rows to a table."""
    return Statement(f"INSERT INTO {table} ({', '.join(columns)}) VALUES", len(columns))


_END_COLUMNS = (
    *("ended_at", "outcome", "latency_ms", "http_status", "error_type", "error_message", "retry_after_s"),
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    *("is_estimated", "cost_pusd", "is_maybe_billed", "request_id"),
)
_ATTEMPTS = insert("attempts", "id", "seq", "number", "started_at", "reserved_pusd")
_ENDS = Statement(
    "UPDATE attempts SET "
    + ", ".join(f"{name} = ended.column{number}" for number, name in enumerate(_END_COLUMNS, start=2))
    + " FROM (VALUES",
    len(_END_COLUMNS) + 1,
    ") AS ended WHERE attempts.id = ended.column1",
)
_PACKED = insert("packed", "seq", "attempt_id")
_CHECKS = insert("checks", "attempt_id", "is_same")
_OWED = Statement(
    "INSERT INTO owed (seq, cost_pusd) VALUES",
    2,
    "ON CONFLICT (seq) DO UPDATE SET cost_pusd = owed.cost_pusd + excluded.cost_pusd",
)
_ASKED_AGAIN = insert("asked_again", "attempt_id", "seq", "filters")
_RESPONSES = insert("responses", "attempt_id", "body", "body_bytes")
_RESULTS = insert(
    "results",
    *("seq", "id", "status", "file_end", "error_type", "error_message", "cost_pusd", "via", "latency_ms"),
    *("attempts", "input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens", "finished_at"),
    *("saved_pusd", "is_joined"),
)
_LINES = insert("lines", "seq", "line")
_DECISIONS = insert("decisions", "at", "what", "old", "new", "why", "origin")
_COMMANDS = insert("commands", "at", "verb", "origin", "arguments", "is_ok", "message")
_STATEMENTS = (
    *(
        _ATTEMPTS,
        _PACKED,
        _ENDS,
        _CHECKS,
        _OWED,
        _ASKED_AGAIN,
        _RESPONSES,
        _RESULTS,
        _LINES,
        _DECISIONS,
        _COMMANDS,
    ),
)


class Batch:
    """The rows of one transaction, and the lines that follow it into the output files."""

    def __init__(self, entries: Iterable[Entry], output: Output) -> None:
        self.results = 0
        self._rows: dict[Statement, list[Row]] = {statement: [] for statement in _STATEMENTS}
        self._changes: list[StateChange] = []
        self._jobs: list[BatchIntent | BatchSaved | BatchLine] = []
        self._tails: dict[OutputFile, tuple[list[bytes], int]] = {}
        self._output = output
        for entry in entries:
            self._add(entry)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all rows, inside the caller's transaction."""
        for statement, rows in self._rows.items():
            if rows:
                statement.execute(connection, rows)
        for change in self._changes:
            _change_state(connection, change)
        write_jobs(connection, self._jobs)

    def append_lines(self) -> None:
        """After the commit: write the lines to the output files. Raises StateError."""
        for file, (lines, end) in self._tails.items():
            file.append(lines, end)

    def _add(self, entry: Entry) -> None:
        match entry:
            case Finish():
                self._add_finish(entry)
            case Attempt():
                self._add_attempt(entry)
            case BatchLine():
                self._add_attempt(entry.attempt)
                self._add_end(entry.end)
                for result in entry.results:
                    self._add_finish(Finish(result))
                self._jobs.append(entry)
            case BatchIntent() | BatchSaved():
                self._jobs.append(entry)
            case AttemptEnd():
                self._add_end(entry)
            case StateChange():
                self._changes.append(entry)
            case Decision():
                texts = (entry.what, entry.old, entry.new, entry.why, entry.by)
                self._rows[_DECISIONS].append((entry.at, *map(storable, texts)))
            case CommandRecord():
                self._rows[_COMMANDS].append(_command_row(entry))

    def _add_attempt(self, attempt: Attempt) -> None:
        self._rows[_ATTEMPTS].append(
            (attempt.id, attempt.seq, attempt.number, attempt.started_at, attempt.reserved_pusd)
        )
        if attempt.packed:
            self._rows[_PACKED].extend((seq, attempt.id) for seq in attempt.packed)

    def _add_end(self, end: AttemptEnd) -> None:
        usage = end.usage
        tokens: Row = (None,) * 6
        if usage is not None:
            tokens = (
                *(usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens),
                *(usage.output_tokens, usage.reasoning_tokens, usage.is_estimated),
            )
        self._rows[_ENDS].append(
            (
                *(end.id, end.ended_at, end.outcome.value, end.latency_ms, end.http_status),
                *(end.error_type, _text(end.error_message), end.retry_after_s),
                *tokens,
                *(end.cost_pusd, end.is_maybe_billed, _text(end.request_id)),
            )
        )
        if end.is_same is not None:
            self._rows[_CHECKS].append((end.id, end.is_same))
        self._rows[_OWED].extend(end.owed)
        self._rows[_ASKED_AGAIN].extend(
            (end.id, seq, storable(json.dumps(trail, ensure_ascii=False, default=str)))
            for seq, trail in end.asked_again
        )
        if end.body is not None:
            self._rows[_RESPONSES].append((end.id, end.body[:KEPT_BODY_BYTES], len(end.body)))

    def _add_finish(self, finish: Finish) -> None:
        if finish.end is not None:
            self._add_end(finish.end)
        result = finish.result
        line = result_line(result)
        file = self._output.file_for(result.status)
        lines, end = self._tails.get(file) or ([], file.end)
        lines.append(line)
        end += len(line) + 1
        self._tails[file] = (lines, end)
        usage, error = result.usage, result.error
        self._rows[_RESULTS].append(
            (
                *(result.seq, storable(result.id), result.status, end),
                *((error.type, storable(error.message)) if error else (None, None)),
                *(result.cost_pusd, result.via, result.latency_ms, result.attempts),
                *(usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.reasoning_tokens),
                *(result.finished_at, result.saved_pusd, result.is_joined),
            )
        )
        self._rows[_LINES].append((result.seq, line))
        self.results += 1


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _command_row(command: CommandRecord) -> Row:
    values = None if command.values is None else orjson.dumps(dict(command.values), default=str).decode()
    return (
        *(command.at, command.verb, storable(command.origin), values),
        *(command.is_ok, storable(command.message)),
    )


def _change_state(connection: sqlite3.Connection, change: StateChange) -> None:
    is_over = change.state in _OVER
    connection.execute(
        """UPDATE run SET state = ?, state_detail = ?, exit_code = ?,
            is_paused = COALESCE(?, is_paused), elapsed_s = COALESCE(?, elapsed_s),
            started_at = COALESCE(started_at, ?), finished_at = ?""",
        (
            *(change.state, storable(change.detail), change.exit_code),
            *(change.is_paused, change.elapsed_s, change.at, change.at if is_over else None),
        ),
    )
