"""A finished-looking run with any number of items, made in seconds: what must not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from ledger_values import new_ledger

_CHUNK = 50_000


def make(folder: Path, items: int, finished: int) -> None:
    """Write a ledger whose first `finished` items have results: of a hundred one failed, two rejected."""
    ledger = new_ledger(folder, items=items, state="stopped", item_count=items)
    connection = ledger._connection
    connection.execute("PRAGMA synchronous = OFF")
    for start in range(0, finished, _CHUNK):
        seqs = range(start, min(start + _CHUNK, finished))
        connection.execute("BEGIN")
        connection.executemany(
            """INSERT INTO results (seq, id, status, file_end, error_type, error_message, cost_pusd, via,
                latency_ms, attempts, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
                finished_at) VALUES (?, ?, ?, 0, ?, ?, 6800000, 'realtime', 812, 1, 410, 0, 82, 0, 1.0)""",
            _results(seqs),
        )
        connection.executemany("INSERT INTO lines VALUES (?, ?)", _lines(seqs))
        connection.execute("COMMIT")
    ledger.close()


def _status(seq: int) -> str:
    return "failed" if seq % 100 == 7 else "rejected" if seq % 100 in (11, 12) else "done"


def _results(seqs: range) -> Iterator[tuple[Any, ...]]:
    for seq in seqs:
        status = _status(seq)
        kind = {"failed": "timeout", "rejected": "filtered"}.get(status)
        yield seq, f"m-{seq}", status, kind, "why" if kind else None


def _lines(seqs: range) -> Iterator[tuple[int, bytes]]:
    for seq in seqs:
        is_done = _status(seq) == "done"
        line = {
            "id": f"m-{seq}",
            "status": _status(seq),
            "output": f"answer {seq} of it" if is_done else None,
        }
        yield seq, orjson.dumps(line)
