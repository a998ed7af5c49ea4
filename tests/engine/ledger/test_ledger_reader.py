from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from ledger_values import Listener, end, finishes, new_ledger, put_all, result

from llmtop.adapters.ledger import Finish, Ledger, LedgerReader, pages, reader
from llmtop.listing import ItemQuery, ItemRow, ItemState
from llmtop.model import Attempt, RunCounts


async def _mixed(folder: Path, items: int = 40) -> Ledger:
    """Every fifth item rejected, every seventh failed, the last ten without a result, one of them sent."""
    ledger = new_ledger(folder, items)
    results = [
        result(seq, "rejected" if seq % 5 == 0 else "failed" if seq % 7 == 0 else "done")
        for seq in reversed(range(items - 10))
    ]
    await put_all(ledger, [*finishes(*results), Attempt(1, items - 3, 1, 5.0), Attempt(2, items - 2, 1, 5.0)])
    ledger.put(end(2))
    await ledger.flush()
    return ledger


def _all_rows(reader: LedgerReader, limit: int = 3, **query: object) -> Iterator[ItemRow]:
    after: int | None = -1
    while after is not None:
        page = reader.items(ItemQuery(after_seq=after, limit=limit, **query))  # type: ignore[arg-type]
        assert len(page.rows) <= limit
        yield from page.rows
        after = page.next_after_seq


@pytest.mark.parametrize("limit", [1, 3, 40, 100])
async def test_pages_show_every_item_once_in_input_order(folder: Path, limit: int) -> None:
    ledger = await _mixed(folder)
    with LedgerReader(folder) as reader:
        rows = list(_all_rows(reader, limit))
    ledger.close()

    assert [row.seq for row in rows] == list(range(40))
    assert [row.id for row in rows] == [f"m-{seq}" for seq in range(40)]


@pytest.mark.parametrize(
    "states",
    [("done",), ("rejected",), ("failed", "rejected"), ("pending",), ("in_flight",), ("pending", "done"), ()],
)
async def test_a_list_by_state_is_the_whole_list_with_the_others_left_out(
    folder: Path, states: tuple[ItemState, ...]
) -> None:
    ledger = await _mixed(folder)
    with LedgerReader(folder) as reader:
        everything = list(_all_rows(reader, 100))
        chosen = list(_all_rows(reader, 3, states=states))
    ledger.close()

    assert chosen == [row for row in everything if not states or row.state in states]
    assert chosen
    assert [row.seq for row in everything if row.state == "in_flight"] == [37]


async def test_a_list_by_error_holds_that_error_only(folder: Path) -> None:
    ledger = await _mixed(folder)
    with LedgerReader(folder) as reader:
        timeouts = [row.seq for row in _all_rows(reader, 2, error_type="timeout")]
        none = list(_all_rows(reader, 2, error_type="timeout", states=("rejected",)))
    ledger.close()

    assert timeouts == [7, 14, 21, 28]
    assert none == []


@pytest.mark.parametrize(
    ("words", "seqs"), [("M-12", [12]), ("answer 2", [2, *(s for s in range(20, 30) if s % 5 and s % 7)])]
)
async def test_a_search_looks_into_ids_and_outputs_whatever_the_case(
    folder: Path, words: str, seqs: list[int]
) -> None:
    ledger = await _mixed(folder)
    with LedgerReader(folder) as reader:
        found = [row.seq for row in _all_rows(reader, 4, search=words)]
    ledger.close()

    assert found == seqs


async def test_a_search_that_finds_little_ends_its_page_early_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SEARCHED_AT_MOST", 10)
    monkeypatch.setattr(pages, "_STEP", 5)
    ledger = await _mixed(folder)
    with LedgerReader(folder) as reader:
        first = reader.items(ItemQuery(search="m-39"))
        found = [row.seq for row in _all_rows(reader, 4, search="m-39")]
    ledger.close()

    assert (first.rows, first.next_after_seq) == ((), 9)
    assert found == [39]


async def test_a_row_has_what_a_list_shows(folder: Path) -> None:
    ledger = new_ledger(folder)
    await put_all(
        ledger, finishes(result(0, output="x" * 5000), result(1, output={"a": 1}), result(2, "failed"))
    )
    with LedgerReader(folder) as reader:
        long, parsed, failed, waiting = reader.items(ItemQuery(limit=4)).rows
    ledger.close()

    assert len(long.preview) == 200
    assert parsed.preview == '{"a":1}'
    assert (failed.error_type, failed.error_message, failed.preview) == ("timeout", "why 2", "")
    assert (waiting.state, waiting.attempts, waiting.cost_pusd, waiting.latency_ms) == (
        "pending",
        0,
        None,
        None,
    )
    assert (long.latency_ms, long.cost_pusd, long.input_tokens, long.output_tokens) == (
        812,
        27_100_000,
        410,
        82,
    )


async def test_one_item_shows_all_its_tries_with_their_answers(folder: Path) -> None:
    ledger = new_ledger(folder)
    broken = end(
        1, error_type="server_error", error_message="oops \ud800", http_status=500, body=b"\xff" * 70_000
    )
    await put_all(ledger, [Attempt(1, 4, 1, 1.0), broken, Attempt(2, 4, 2, 2.0)])
    with LedgerReader(folder) as reader:
        detail = reader.item("m-4")
        nobody = reader.item("m-400")
    ledger.close()

    assert nobody is None
    assert detail is not None
    assert (detail.row.state, detail.row.attempts, detail.result) == ("in_flight", 2, None)
    first, second = detail.attempts
    assert (first.number, first.http_status, first.error_message) == (1, 500, "oops \ufffd")
    assert first.body == "\ufffd" * 65536
    assert (second.number, second.ended_at, second.outcome, second.body) == (2, None, None, None)


async def test_a_reader_sees_what_a_live_owner_commits_and_never_holds_it_up(folder: Path) -> None:
    ledger = new_ledger(folder, 1200)
    Listener().start(ledger)
    with LedgerReader(folder) as reader:
        before = reader.counts()
        lines = reader.results()
        for seq in range(600):
            ledger.put(Finish(result(seq)))
        await ledger.flush()
        first = next(lines)
        for seq in range(600, 1200):
            ledger.put(Finish(result(seq)))
        await ledger.flush()
        rest = list(lines)
        busy, *_ = ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        after = reader.counts()
    ledger.close()

    assert (before, after) == (RunCounts(1200), RunCounts(1200, done=1200))
    assert len({first, *rest}) == 1200
    assert busy == 0


async def test_results_come_in_input_order_and_by_status(folder: Path) -> None:
    ledger = await _mixed(folder)
    ledger.close()
    with LedgerReader(folder) as reader:
        everything = list(reader.results())
        failed = list(reader.results(["failed"]))

    assert len(everything) == 30
    assert everything[1].startswith(b'{"id":"m-1",')
    assert [line[7:11] for line in failed] == [b'm-7"', b"m-14", b"m-21", b"m-28"]


async def test_a_ledger_in_a_place_that_cannot_be_written_is_still_read(folder: Path) -> None:
    ledger = await _mixed(folder)
    ledger.close()
    folder.chmod(0o500)
    try:
        with LedgerReader(folder) as reader:
            assert reader.counts().finished == 30
    finally:
        folder.chmod(0o700)


async def test_results_that_a_filter_touched_are_found_among_all_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_LINES_A_READ", 3)
    ledger = new_ledger(folder, 12)
    trail = ({"use": "typos", "place": 1, "hits": 1, "what": "x"},)
    results = [
        replace(result(seq, output='not it: "filters":[{'), filters=trail if seq % 4 == 1 else ())
        for seq in reversed(range(11))
    ]
    await put_all(ledger, finishes(*results))
    with LedgerReader(folder) as opened:
        touched = [orjson.loads(line)["id"] for line in opened.results_filtered()]
        numbered = [(seq, orjson.loads(line)["id"]) for seq, line in opened.numbered_results()]
    ledger.close()

    assert touched == ["m-1", "m-5", "m-9"]
    assert numbered == [(seq, f"m-{seq}") for seq in range(11)]
