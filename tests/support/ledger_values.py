"""Runs, items and results for tests of the ledger and of what reads it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from llmtop.adapters.ledger import Entry, Finish, Ledger, RunRecord
from llmtop.adapters.ledger.lines import result_line
from llmtop.errors import LlmtopError
from llmtop.model import AttemptEnd, ErrorType, ItemError, ItemStatus, Outcome, Result, Usage

USAGE = Usage(input_tokens=410, cached_input_tokens=10, output_tokens=82, reasoning_tokens=2)


def run_record(folder: Path, **changes: Any) -> RunRecord:
    """Return the record of a run in `folder`, with its output beside it."""
    values: dict[str, Any] = {
        "id": folder.name,
        "name": "motions",
        "created_at": 1000.0,
        "llmtop_version": "0.0.1",
        "model": "small",
        "source_path": "motions.jsonl",
        "output_path": str(folder.parent / "out.jsonl"),
    }
    return RunRecord(**(values | changes))


def result(seq: int, status: ItemStatus = "done", output: Any = None, error: ErrorType = "timeout") -> Result:
    """Return the result of item `m-<seq>`."""
    fault = None
    if status != "done":
        fault = ItemError("filtered" if status == "rejected" else error, f"why {seq}", None)
    return Result(
        seq=seq,
        id=f"m-{seq}",
        status=status,
        output=f"answer {seq}" if output is None and status == "done" else output,
        error=fault,
        finish_reason="stop",
        usage=USAGE,
        cost_pusd=27_100_000,
        model="small",
        via="realtime",
        attempts=1,
        latency_ms=812,
        started_at=1000.123,
        finished_at=1000.935,
    )


def end(id: int, **changes: Any) -> AttemptEnd:
    """Return the good end of an attempt."""
    values: dict[str, Any] = {
        "id": id,
        "outcome": Outcome.OK,
        "ended_at": 1000.9,
        "latency_ms": 812,
        "http_status": 200,
        "usage": USAGE,
        "cost_pusd": 27_100_000,
    }
    return AttemptEnd(**(values | changes))


def new_ledger(folder: Path, items: int = 10, **changes: Any) -> Ledger:
    """Return the ledger of a new run with items m-0, m-1 ..."""
    ledger = Ledger.create(folder, run_record(folder, **changes))
    ledger.add_items((seq, f"m-{seq}", seq + 1, seq * 100) for seq in range(items))
    return ledger


class Listener:
    """Hears what the ledger says while it writes."""

    def __init__(self) -> None:
        self.troubles: asyncio.Queue[str | None] = asyncio.Queue()
        self.failures: asyncio.Queue[LlmtopError] = asyncio.Queue()

    def start(self, ledger: Ledger) -> None:
        """Start the ledger's writer."""
        ledger.start(asyncio.get_running_loop(), self.troubles.put_nowait, self.failures.put_nowait)


async def put_all(ledger: Ledger, entries: Iterable[Entry]) -> None:
    """Start the ledger if need be, write the entries and wait for the disk."""
    if ledger._writer is None:
        Listener().start(ledger)
    for entry in entries:
        ledger.put(entry)
    await ledger.flush()


def finishes(*results: Result) -> list[Finish]:
    """Return results as entries."""
    return [Finish(each) for each in results]


def line_of(each: Result) -> bytes:
    """Return a result's line with its end."""
    return result_line(each) + b"\n"


def ids_in(path: Path) -> list[str]:
    """Return the ids in an output file, in its order."""
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


def lines_in_ledger(folder: Path, choose: Callable[[str], bool] = lambda status: True) -> bytes:
    """Return what an output file must hold, by a second, plain reading of the database."""
    connection = sqlite3.connect(folder / "run.db")
    rows = connection.execute(
        "SELECT status, line FROM results JOIN lines ON lines.seq = results.seq ORDER BY file_end"
    ).fetchall()
    connection.close()
    return b"".join(line + b"\n" for status, line in rows if choose(status))
