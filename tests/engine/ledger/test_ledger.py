from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_values import Listener, end, finishes, ids_in, new_ledger, put_all, result, run_record

from llmtop.adapters.ledger import CommandRecord, Finish, Ledger, LedgerReader, StateChange
from llmtop.errors import InputError, RunOwned, StateError, UsageError
from llmtop.model import Attempt, Decision, ItemStatus, Outcome, RunCounts


async def test_what_was_put_is_there_after_a_restart(folder: Path) -> None:
    ledger = new_ledger(folder, items=3)
    await put_all(
        ledger,
        [
            Attempt(1, 0, 1, 1000.0, reserved_pusd=50),
            Finish(result(0), end(1, body=b"{}")),
            Decision(1001.0, "concurrency", "8", "10", "queue is long", "tuner"),
            CommandRecord(1002.0, "set", "ann@box", True, "done", {"concurrency": 10}),
            StateChange(at=1003.0, state="running", elapsed_s=3.0, is_paused=False),
        ],
    )
    ledger.close()

    with LedgerReader(folder) as reader:
        detail = reader.item("m-0")
        decisions = reader.decisions(10)
        record = reader.record()

    assert detail is not None
    assert detail.result is not None
    assert detail.result["output"] == "answer 0"
    assert [(a.id, a.outcome, a.body) for a in detail.attempts] == [(1, "ok", "{}")]
    assert [(d.what, d.new) for d in decisions] == [
        ("concurrency", "10"),
        ("command", 'set {"concurrency":10}'),
    ]
    assert (record.state, record.elapsed_s, record.started_at, record.item_count) == (
        "running",
        3.0,
        1003.0,
        3,
    )


async def test_a_callback_comes_after_the_commit_and_in_the_loop(folder: Path) -> None:
    ledger = new_ledger(folder)
    Listener().start(ledger)
    loop = asyncio.get_running_loop()
    seen: asyncio.Future[tuple[int, bool]] = loop.create_future()

    def committed() -> None:
        with LedgerReader(folder) as reader:
            seen.set_result((reader.counts().done, asyncio.get_running_loop() is loop))

    ledger.put(Finish(result(0)), committed)

    assert ledger.backlog == 1
    assert await seen == (1, True)
    assert ledger.backlog == 0
    ledger.close()


async def test_a_callback_that_fails_does_not_keep_others_from_theirs(folder: Path) -> None:
    ledger = new_ledger(folder)
    Listener().start(ledger)
    loop = asyncio.get_running_loop()
    reported: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    other = asyncio.Event()

    ledger.put(Finish(result(0)), lambda: 1 // 0)
    ledger.put(Finish(result(1)), other.set)
    await other.wait()
    ledger.close()

    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_a_second_result_of_an_item_changes_nothing(folder: Path) -> None:
    ledger = new_ledger(folder, items=3)
    Listener().start(ledger)
    ledger.put(Finish(result(0)))
    await ledger.flush()

    for entry in finishes(result(0, output="other"), result(1), result(1, "failed")):
        ledger.put(entry)
    await ledger.flush()

    assert ledger.counts() == RunCounts(3, done=2)
    ledger.close()
    assert ids_in(folder.parent / "out.jsonl") == ["m-0", "m-1"]
    assert b"other" not in (folder.parent / "out.jsonl").read_bytes()


async def test_pending_items_come_in_input_order_page_by_page(folder: Path) -> None:
    ledger = new_ledger(folder, items=9)
    await put_all(ledger, finishes(result(0), result(4, "failed"), result(8, "rejected")))

    assert ledger.pending(-1, 4) == [1, 2, 3, 5]
    assert ledger.pending(5, 4) == [6, 7]
    assert ledger.places([6]) == [(6, "m-6", 7, 600)]
    ledger.close()


async def test_totals_count_every_try_over_all_starts(folder: Path) -> None:
    ledger = new_ledger(folder, items=4)
    refused = end(
        1, outcome=Outcome.REFUSED_RATE, http_status=429, error_type="rate_limit", usage=None, cost_pusd=0
    )
    await put_all(
        ledger,
        [
            Attempt(1, 0, 1, 1000.0),
            refused,
            Attempt(2, 0, 2, 1001.0),
            Finish(result(0), end(2)),
            Attempt(3, 1, 1, 1001.0),
            Finish(result(1), end(3, cost_pusd=None)),
            Finish(replace(result(2), via="cache", saved_pusd=70)),
            Finish(replace(result(3), via="cache", saved_pusd=30, is_joined=True)),
        ],
    )
    live = ledger.totals()
    ledger.close()
    with LedgerReader(folder) as reader:
        stored = reader.totals()

    assert stored == live
    assert (live.requests, live.retries, live.throttled_429, live.cache_hits) == (3, 1, 1, 1)
    assert (live.spent_pusd, live.unknown_cost, live.input_tokens) == (27_100_000, 1, 820)
    assert (live.dup_joined, live.saved_cache_pusd) == (1, 100)
    assert (live.last_attempt_id, live.counts) == (3, RunCounts(4, done=4))
    assert [(e.error_type, e.http_status, e.count) for e in live.errors] == [("rate_limit", 429, 1)]


async def test_a_ledger_of_the_version_before_the_cache_is_read_and_goes_on(folder: Path) -> None:
    ledger = new_ledger(folder, items=2)
    await put_all(ledger, [Attempt(1, 0, 1, 1.0), Finish(result(0), end(1))])
    ledger.close()
    with closing(sqlite3.connect(folder / "run.db")) as old:
        old.execute("UPDATE run SET totals = NULL")
        for column in ("saved_pusd", "is_joined"):
            old.execute(f"ALTER TABLE results DROP COLUMN {column}")
        for table in ("checks", "batches", "batch_items", "owed", "asked_again"):
            old.execute(f"DROP TABLE {table}")
        old.execute("DROP INDEX packed_by_attempt")
        old.execute("ALTER TABLE run DROP COLUMN plan")
        old.execute("PRAGMA user_version = 1")
        old.commit()

    with LedgerReader(folder) as reader:
        before = reader.totals()
    again = Ledger.open(folder)
    await put_all(again, [Finish(replace(result(1), via="cache", saved_pusd=5))])
    after = again.totals()
    again.close()

    assert (before.counts, before.cache_hits) == (RunCounts(2, done=1), 0)
    assert (after.counts, after.cache_hits, after.saved_cache_pusd) == (RunCounts(2, done=2), 1, 5)


async def test_requests_without_an_end_are_listed_as_possibly_billed_by_the_next_owner(folder: Path) -> None:
    ledger = new_ledger(folder)
    await put_all(
        ledger,
        [Attempt(1, 0, 1, 1.0, reserved_pusd=70), Attempt(2, 1, 1, 1.0, 30), Finish(result(1), end(2))],
    )
    ledger.close()

    again = Ledger.open(folder)

    totals = again.totals()
    assert (totals.maybe_billed, totals.maybe_billed_pusd) == (1, 70)
    assert "1 requests were cut off" in again.notices[0]
    assert again.pending(-1, 1) == [0]
    again.close()
    once_more = Ledger.open(folder)
    assert (once_more.notices, once_more.totals().maybe_billed) == ((), 1)
    once_more.close()


async def test_a_requeued_item_is_pending_again_and_leaves_the_output(folder: Path) -> None:
    ledger = new_ledger(folder, items=5)
    await put_all(
        ledger,
        [
            Attempt(1, 1, 1, 1.0),
            Finish(result(1, "failed"), end(1)),
            *finishes(result(0), result(3, "failed")),
        ],
    )

    count = (await asyncio.wrap_future(ledger.requeue_soon(["failed"]))).total
    ledger.put(Finish(result(3)))
    await ledger.flush()

    assert count == 2
    assert ledger.pending(-1, 9) == [1, 2, 4]
    past = ledger.past(1)
    assert past is not None and past.sends == 1
    assert ids_in(folder.parent / "out.jsonl") == ["m-0", "m-3"]
    ledger.close()
    again = Ledger.open(folder)
    assert again.notices == ()
    again.close()


@pytest.mark.parametrize(("statuses", "left"), [(("done",), 1), (("failed",), 0)])
async def test_a_requeue_by_id_takes_only_that_item(
    folder: Path, statuses: tuple[ItemStatus, ...], left: int
) -> None:
    ledger = new_ledger(folder, items=2)
    await put_all(ledger, finishes(result(0), result(1)))

    assert ledger.requeue(statuses, ["m-1"]) == left
    assert ledger.counts().done == 2 - left
    ledger.close()


def test_a_requeue_of_an_unknown_id_names_it_and_changes_nothing(folder: Path) -> None:
    ledger = new_ledger(folder)

    with pytest.raises(UsageError, match="item 'x-9': is not in this run"):
        ledger.requeue(["failed"], ["m-1", "x-9"])
    assert ledger.requeue(["failed"]) == 0
    ledger.close()


def test_an_id_that_comes_twice_is_refused_with_both_lines(folder: Path) -> None:
    ledger = Ledger.create(folder, run_record(folder))

    with pytest.raises(InputError, match=r"motions\.jsonl: line 7: has the id 'a' of line 2 again"):
        ledger.add_items([(0, "a", 2, 0), (1, "b", 3, 9), (2, "a", 7, 20)])
    ledger.close()


def test_an_id_that_comes_again_much_later_is_found_too(folder: Path) -> None:
    ledger = Ledger.create(folder, run_record(folder))
    many = [(seq, f"m-{seq % 12_000}", seq + 1, 0) for seq in range(12_001)]

    with pytest.raises(InputError, match="line 12001: has the id 'm-0' of line 1 again"):
        ledger.add_items(many)
    assert ledger.record.item_count is None
    assert ledger.add_items(many[:12_000]) == 12_000
    ledger.close()


def test_a_run_has_one_owner(folder: Path) -> None:
    ledger = new_ledger(folder)

    with pytest.raises(RunOwned, match=f"process {os.getpid()}"):
        Ledger.open(folder)
    ledger.close()
    Ledger.open(folder).close()


def test_a_ledger_is_not_made_over_another(folder: Path) -> None:
    new_ledger(folder).close()

    with pytest.raises(StateError, match="is there already"):
        Ledger.create(folder, run_record(folder))
    Ledger.open(folder).close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
async def test_files_are_private_whatever_the_umask(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ledger = new_ledger(folder)
        await put_all(ledger, finishes(result(0)))
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes.keys() == {"run.db", "run.db-wal", "run.db-shm", "lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((folder.parent / "out.jsonl").stat().st_mode) == 0o600
    ledger.close()


def test_every_commit_is_forced_to_the_disk(folder: Path) -> None:
    ledger = new_ledger(folder)

    pragmas = [
        ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
    ]

    assert pragmas == [2, "wal"]
    ledger.close()


async def test_closing_leaves_one_database_file_without_a_log(folder: Path) -> None:
    ledger = new_ledger(folder)
    await put_all(ledger, finishes(result(0)))
    ledger.close()
    ledger.close()

    assert sorted(path.name for path in folder.iterdir()) == ["lock", "run.db"]
    plain = sqlite3.connect(folder / "run.db")
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    plain.close()
