from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ledger_values import end, finishes, ids_in, new_ledger, put_all, result

from llmtop.adapters.ledger import Ledger, StateChange, owner_pid
from llmtop.control.archive import ArchivedRun
from llmtop.control.protocol import RunDoor
from llmtop.listing import ItemQuery
from llmtop.model import Attempt, Command, Decision, Outcome
from llmtop.snapshot import RunState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run that is not there yet."""
    return tmp_path / "runs" / "motions-3f9a2c"


async def _stored(folder: Path, state: RunState = "running") -> None:
    """Six items: two done, one failed, one rejected, two left; its process is gone."""
    ledger = new_ledger(
        folder, 6, config={"budget": {"max_cost": 10**12}}, prices={"origin": "config [prices]"}
    )
    refused = end(
        1, outcome=Outcome.REFUSED_RATE, http_status=429, error_type="rate_limit", usage=None, cost_pusd=0
    )
    broken = end(
        3, outcome=Outcome.FAULT, http_status=503, error_type="server_error", usage=None, cost_pusd=0
    )
    await put_all(
        ledger,
        [
            *(Attempt(1, 0, 1, 1.0), refused, Attempt(2, 0, 2, 2.0), end(2), Attempt(3, 1, 1, 3.0), broken),
            *finishes(result(0), result(1, "failed"), result(2, "rejected"), result(3)),
            Decision(4.0, "concurrency", "8", "10", "room", "tuner"),
            StateChange(at=5.0, state=state, elapsed_s=61.5),
        ],
    )
    ledger.close()


def _door(folder: Path) -> ArchivedRun:
    def prompt(place: tuple[int, str, int, int]) -> tuple[tuple[dict[str, str], ...], str]:
        seq, _id, _line, offset = place
        return ({"role": "user", "content": f"{seq}@{offset}"},), "as now"

    return ArchivedRun(folder, prompt)


async def _do(
    folder: Path, verb: str, values: dict[str, object] | None = None, is_dry_run: bool = False
) -> tuple[bool, str]:
    door = _door(folder)
    done = await door.command(Command(verb, "ann@box", values, is_dry_run))  # type: ignore[arg-type]
    await door.close()
    assert owner_pid(folder) is None
    return done.is_ok, done.message


async def test_a_stored_run_shows_all_that_is_known(folder: Path) -> None:
    await _stored(folder)
    door: RunDoor = _door(folder)

    snapshot = await door.snapshot()
    page = await door.items(ItemQuery(states=("done",)))
    item = await door.item("m-3")
    await door.close()

    assert (snapshot.state, snapshot.elapsed_s, snapshot.started_at) == ("stopped", 61.5, 5.0)
    assert (snapshot.counts.done, snapshot.counts.pending) == (2, 2)
    assert (snapshot.cost.spent_pusd, snapshot.cost.cap_pusd, snapshot.cost.price_origin) == (
        *(27_100_000, 10**12, "config [prices]"),
    )
    assert (snapshot.errors.status_429, snapshot.errors.status_5xx) == (1, 1)
    assert [kind.name for kind in snapshot.errors.kinds] == ["rate_limit 429", "server_error 503"]
    assert (snapshot.throughput.requests, snapshot.throughput.retries) == (3, 1)
    assert [line.text for line in snapshot.log] == ["concurrency 8 -> 10: room"]
    assert [row.id for row in page.rows] == ["m-0", "m-3"]
    assert item is not None
    assert (item.messages, item.messages_note) == (({"role": "user", "content": "3@300"},), "as now")


async def test_a_pause_holds_over_restarts_until_it_is_taken_back(folder: Path) -> None:
    await _stored(folder)

    assert await _do(folder, "pause") == (True, "paused: holds over restarts")
    ledger = Ledger.open(folder)
    paused = ledger.record
    ledger.close()
    assert (await _do(folder, "pause"))[1] == "is paused already"
    assert (await _do(folder, "resume"))[0]
    ledger = Ledger.open(folder)
    resumed = ledger.record
    ledger.close()

    assert (paused.is_paused, paused.state) == (True, "paused")
    assert (resumed.is_paused, resumed.state) == (False, "stopped")


async def test_a_cancelled_run_keeps_what_is_finished(folder: Path) -> None:
    await _stored(folder)

    assert (await _do(folder, "cancel"))[0]
    door = _door(folder)
    snapshot = await door.snapshot()
    await door.close()

    assert (snapshot.state, snapshot.exit_code, snapshot.counts.done) == ("cancelled", 8, 2)
    assert snapshot.last_command == "ann@box: cancel"
    is_ok, message = await _do(folder, "pause")
    assert not is_ok
    assert "is cancelled" in message


async def test_a_retry_puts_the_failed_back_and_reopens_a_finished_run(folder: Path) -> None:
    await _stored(folder, state="finished")

    would = await _do(folder, "retry", {"failed": True}, is_dry_run=True)
    did = await _do(folder, "retry", {"failed": True})
    again = await _do(folder, "retry", {"failed": True})
    door = _door(folder)
    snapshot = await door.snapshot()
    await door.close()

    assert would == (True, "would do: put failed items back in the queue")
    assert did == (True, "1 items put back; `llmtop run` asks them again")
    assert again == (True, "no item to put back")
    assert (snapshot.state, snapshot.counts.pending, snapshot.exit_code) == ("stopped", 3, None)
    assert ids_in(folder.parent / "out.jsonl") == ["m-0", "m-2", "m-3"]


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"rejected": True}, ["m-0", "m-1", "m-3"]),
        ({"failed": True, "rejected": True}, ["m-0", "m-3"]),
        ({"ids": ["m-3"]}, ["m-0", "m-1", "m-2"]),
        ({"failed": True, "ids": ["m-3", "m-1"]}, ["m-0", "m-2", "m-3"]),
        (None, ["m-0", "m-2", "m-3"]),
    ],
)
async def test_a_retry_takes_what_it_names(
    folder: Path, values: dict[str, object] | None, left: list[str]
) -> None:
    await _stored(folder)

    assert (await _do(folder, "retry", values))[0]

    assert ids_in(folder.parent / "out.jsonl") == left


async def test_a_retry_of_an_unknown_item_is_refused(folder: Path) -> None:
    await _stored(folder)

    assert await _do(folder, "retry", {"ids": ["zz"]}) == (
        *(False, "item 'zz': is not in this run; `llmtop items` lists its items"),
    )


@pytest.mark.parametrize(("verb", "words"), [("set", "--set KEY=VALUE"), ("stop", "nobody runs")])
async def test_what_needs_an_engine_is_refused_with_the_way_to_do_it(
    folder: Path, verb: str, words: str
) -> None:
    await _stored(folder)

    is_ok, message = await _do(folder, verb, {"concurrency": "9"})

    assert not is_ok
    assert words in message


async def test_a_run_that_somebody_took_meanwhile_is_left_to_them(folder: Path) -> None:
    await _stored(folder)
    door = _door(folder)
    owner = Ledger.open(folder)

    refused = await door.command(Command("cancel", "ann@box"))
    owner.close()
    await door.close()

    assert not refused.is_ok
    assert "is already run by process" in refused.message


async def test_a_dry_run_changes_nothing(folder: Path) -> None:
    await _stored(folder)

    said = await _do(folder, "cancel", is_dry_run=True)
    door = _door(folder)
    snapshot = await door.snapshot()
    await door.close()

    assert said == (True, "would do: cancelled; what is finished stays")
    assert (snapshot.state, snapshot.last_command) == ("stopped", "")


async def test_snapshots_come_until_the_door_is_closed(folder: Path) -> None:
    await _stored(folder)
    door = _door(folder)
    seen = 0

    async for _ in door.snapshots(0.001):
        seen += 1
        if seen == 3:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, door.close())

    assert seen == 3
