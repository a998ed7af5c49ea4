"""The items of one batch job or pack, page by page, and what the requests of a job came to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ledger_values import end, new_ledger, put_all, result

from llmtop.adapters.ledger import BatchIntent, BatchLine, Finish, LedgerReader
from llmtop.batch_jobs import BatchRecord
from llmtop.listing import ItemQuery
from llmtop.model import Attempt, ItemStatus, Outcome, RunCounts

JOB_ITEMS = tuple(range(0, 30, 2))
OTHERS = tuple(range(1, 30, 2))


def job(number: int, requests: int, **changes: Any) -> BatchRecord:
    values: dict[str, Any] = {
        "number": number, "tag": f"lt-{number}", "state": "completed", "model": "m", "requests": requests,
        "input_bytes": 1, "input_sha256": "", "tokens": 1, "reserved_pusd": 0, "intended_at": 1.0,
    }  # fmt: skip
    return BatchRecord(**(values | changes))


async def two_jobs(folder: Path) -> None:
    """Job 1 has the even items: six done, two failed, one timed out and open again, six not yet known."""
    ledger = new_ledger(folder, items=30)
    intents = [
        BatchIntent(job(number, len(seqs)), [(seq, f"lt-{number}-{seq}", 0) for seq in seqs])
        for number, seqs in ((1, JOB_ITEMS), (2, OTHERS))
    ]
    await put_all(ledger, intents)
    came: list[tuple[int, ItemStatus | None]] = [(seq, "done") for seq in JOB_ITEMS[:6]]
    came += [(JOB_ITEMS[6], "failed"), (JOB_ITEMS[7], "failed"), (JOB_ITEMS[8], None)]
    lines = []
    for id_, (seq, status) in enumerate(came, 1):
        is_good = status == "done"
        trouble = {} if is_good else {"error_type": "timeout", "error_message": f"late {seq}"}
        ended = end(id_, outcome=Outcome.OK if is_good else Outcome.FAULT, ended_at=float(id_), **trouble)
        outcome = (result(seq, status),) if status else ()
        word = "answered" if is_good else "timeout"
        lines.append(BatchLine(1, [(seq, word)], Attempt(id_, seq, 1, 1.0), ended, outcome))
    await put_all(ledger, [*lines, Finish(result(OTHERS[0]))])
    ledger.close()


def seqs_of(reader: LedgerReader, query: dict[str, Any], *, is_backward: bool = False) -> list[int]:
    found: list[int] = []
    place: int | None = 10**9 if is_backward else -1
    while place is not None:
        where = {"before_seq": place} if is_backward else {"after_seq": place}
        page = reader.items(ItemQuery(**query, **where, limit=4))
        rows = [row.seq for row in page.rows]
        found = [*rows, *found] if is_backward else [*found, *rows]
        place = page.next_after_seq
    return found


@pytest.mark.parametrize("is_backward", [False, True])
async def test_the_pages_of_a_job_hold_its_items_and_no_others(is_backward: bool, folder: Path) -> None:
    await two_jobs(folder)
    with LedgerReader(folder) as reader:
        by_state = {
            state: seqs_of(reader, {"of_row": "b0001", "states": (state,)}, is_backward=is_backward)
            for state in ("in_flight", "pending", "rejected", "failed", "done")
        }
        everything = seqs_of(reader, {"of_row": "b0001"}, is_backward=is_backward)
        late = seqs_of(reader, {"of_row": "b0001", "error_type": "timeout"}, is_backward=is_backward)
        one = seqs_of(reader, {"of_row": "b0001", "search": "m-14"}, is_backward=is_backward)
        nobodys = seqs_of(reader, {"of_row": "b0003"}, is_backward=is_backward)

    assert by_state == {
        "in_flight": [],
        "pending": list(JOB_ITEMS[8:]),
        "rejected": [],
        "failed": list(JOB_ITEMS[6:8]),
        "done": list(JOB_ITEMS[:6]),
    }
    assert everything == list(JOB_ITEMS)
    assert late == list(JOB_ITEMS[6:8])
    assert (one, nobodys) == ([14], [])


async def test_each_job_has_the_lines_and_the_cost_of_its_own_requests(folder: Path) -> None:
    ledger = new_ledger(folder, items=3)
    intents = [BatchIntent(job(seq + 1, 1), [(seq, f"lt-{seq}", 0)]) for seq in range(3)]
    lines = [
        BatchLine(n, [(seq, "answered")], Attempt(n, seq, 1, 1.0), end(n, cost_pusd=cost), [result(seq)])
        for n, seq, cost in ((1, 0, 10), (2, 1, 500))
    ]
    await put_all(ledger, [*intents, *lines])
    ledger.close()
    with LedgerReader(folder) as reader:
        jobs = reader.jobs()

    assert [(each.retrieved, each.cost_pusd) for each in jobs] == [(1, 10), (1, 500), (0, 0)]


async def test_what_requests_of_a_job_came_to_is_counted_with_the_last_message_of_each_error(
    folder: Path,
) -> None:
    await two_jobs(folder)
    with LedgerReader(folder) as reader:
        detail, nobodys = reader.job(1), reader.job(3)

    assert nobodys is None
    assert detail is not None
    assert [(each.name, each.count, each.last_message) for each in detail.outcomes] == [
        ("timeout", 3, f"late {JOB_ITEMS[8]}"),
        ("answered", 6, ""),
        ("open", 6, ""),
    ]
    assert detail.outcomes[0].last_at == 9.0
    assert detail.counts == RunCounts(15, done=6, failed=2)


async def test_the_pages_of_a_pack_hold_all_that_shared_its_request(folder: Path) -> None:
    ledger = new_ledger(folder, items=30)
    pack = Attempt(5, 3, 1, 1.0, packed=(4, 9))
    await put_all(ledger, [Attempt(4, 2, 1, 1.0, packed=(7,)), pack, Finish(result(9), end(5))])
    ledger.close()
    with LedgerReader(folder) as reader:
        members = seqs_of(reader, {"of_row": "p00005"})
        done = seqs_of(reader, {"of_row": "p00005", "states": ("done",)})

    assert (members, done) == ([3, 4, 9], [9])


async def test_jobs_of_the_version_before_are_read_beside_their_owner(folder: Path) -> None:
    await two_jobs(folder)
    with closing(sqlite3.connect(folder / "run.db")) as old:
        old.execute("ALTER TABLE batches DROP COLUMN uploaded_at")
        old.execute("PRAGMA user_version = 8")
        old.commit()
    with LedgerReader(folder) as reader:
        jobs = reader.jobs()

    assert [(each.number, each.retrieved, each.uploaded_at) for each in jobs] == [(1, 9, None), (2, 0, None)]
