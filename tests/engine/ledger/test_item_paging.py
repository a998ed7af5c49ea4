from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledger_values import finishes, new_ledger, put_all, result

from llmtop.adapters.ledger import LedgerReader
from llmtop.listing import ItemQuery, ItemRow

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
