from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_values import end, finishes, new_ledger, put_all, result

from llmtop.adapters.ledger import LedgerReader
from llmtop.adapters.ledger.records import BatchIntent
from llmtop.batch_jobs import BatchRecord
from llmtop.errors import UsageError
from llmtop.listing import ItemQuery, ItemRow
from llmtop.model import Attempt

ITEMS = 37


def _all(reader: LedgerReader, query: dict[str, Any], *, is_backward: bool) -> list[ItemRow]:
    found: list[ItemRow] = []
    place: int | None = 10**9 if is_backward else -1
    while place is not None:
        where = {"before_seq": place} if is_backward else {"after_seq": place}
        page = reader.items(ItemQuery(**query, **where, limit=5))
        found = [*page.rows, *found] if is_backward else [*found, *page.rows]
        place = page.next_after_seq
    return found


@pytest.mark.parametrize("states", [(), ("done",), ("pending",), ("failed", "rejected"), ("in_flight",)])
@pytest.mark.parametrize("more", [{}, {"search": "1"}, {"error_type": "timeout"}])
async def test_pages_from_the_end_hold_what_pages_from_the_start_hold(
    states: tuple[Any, ...], more: dict[str, Any], folder: Path
) -> None:
    ledger = new_ledger(folder, items=ITEMS)
    statuses = ("done", "failed", "rejected", "done")
    await put_all(ledger, finishes(*(result(seq, statuses[seq % 4]) for seq in range(0, ITEMS - 8, 2))))
    ledger.close()

    with LedgerReader(folder) as reader:
        query = {"states": states, **more}
        forward, backward = (_all(reader, query, is_backward=way) for way in (False, True))

    assert forward == backward
    assert [row.seq for row in forward] == sorted({row.seq for row in forward})


@pytest.mark.parametrize(
    ("states", "expected"),
    [((), [3, 5, 8, 9]), (("done",), [5]), (("in_flight",), [3, 9]), (("failed", "in_flight"), [3, 8, 9])],
)
async def test_a_pack_has_its_own_items_and_no_others_both_ways(
    states: tuple[Any, ...], expected: list[int], folder: Path
) -> None:
    ledger = new_ledger(folder, items=ITEMS)
    others = [Attempt(1, 1, 1, 5.0, packed=(2, 4)), end(1), Attempt(12, 6, 1, 5.0, packed=(7,))]
    await put_all(ledger, [*others, Attempt(2, 3, 1, 5.0, packed=(9, 5, 8))])
    await put_all(ledger, finishes(result(5), result(8, "failed"), result(1)))
    ledger.close()

    with LedgerReader(folder) as reader:
        forward, backward = (
            _all(reader, {"of_row": "p00002", "states": states}, is_backward=way) for way in (False, True)
        )
        lone = _all(reader, {"of_row": "r00012"}, is_backward=False)

    assert [row.seq for row in forward] == [row.seq for row in backward] == expected
    assert [row.seq for row in lone] == [6, 7]


async def test_a_batch_job_has_its_items_whatever_they_came_to(folder: Path) -> None:
    ledger = new_ledger(folder, items=ITEMS)
    job = BatchRecord(
        number=3,
        tag="llmtop-3",
        state="in_progress",
        model="small",
        requests=12,
        input_bytes=1,
        input_sha256="00",
        tokens=1,
        reserved_pusd=1,
        intended_at=1.0,
    )
    await put_all(ledger, [BatchIntent(job, [(seq, f"c{seq}", 1) for seq in range(4, 16)])])
    await put_all(ledger, finishes(result(4, "failed"), result(5), result(20, "failed")))
    ledger.close()

    with LedgerReader(folder) as reader:
        rows = _all(reader, {"of_row": "b0003"}, is_backward=False)
        failed = _all(reader, {"of_row": "b0003", "error_type": "timeout"}, is_backward=True)

    assert [row.seq for row in rows] == list(range(4, 16))
    assert [row.state for row in rows][:3] == ["failed", "done", "pending"]
    assert [row.seq for row in failed] == [4]


@pytest.mark.parametrize("key", ["", "p", "x00001", "p-1", "p1; DROP", "b" + "9" * 40, "p²"])
def test_what_names_no_row_is_said_in_words(key: str, folder: Path) -> None:
    new_ledger(folder).close()

    with LedgerReader(folder) as reader, pytest.raises(UsageError, match="is no row of a run"):
        reader.items(ItemQuery(of_row=key))
