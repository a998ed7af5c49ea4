"""Commands and knobs of a live run: all or nothing, recorded, and seen in the next snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from whole_runs import Desk, simulator, until

from llmtop.control.local import LocalRun
from llmtop.engine import Engine
from llmtop.model import Acknowledgement, Command
from llmtop.policy.limiter import Resource
from llmtop.run.opened import StartOptions
from llmtop.run.run import Run
from llmtop.snapshot import Knob

from llmtop.config.loader import load_config  # isort: skip

ADA = "ada@box1"


class Live:
    """A run in this process and its door."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self.engine, self.run, self.door = engine, run, LocalRun(engine, run.id)

    async def do(self, verb: Any, values: dict[str, Any] | None = None, **more: Any) -> Acknowledgement:
        return await self.door.command(Command(verb, ADA, values, **more))

    async def set(self, **values: Any) -> Acknowledgement:
        return await self.do("set", values)

    def knob(self, name: str) -> Knob | None:
        snapshot = self.engine.snapshot(self.run.id)
        return next((knob for knob in snapshot.tuner.knobs if knob.name == name), None)


@asynccontextmanager
async def live(desk: Desk, items: int = 200, latency_s: float = 30.0, **tables: Any) -> AsyncIterator[Live]:
    """A run whose first requests are in flight, until something is done to it."""
    desk.items(items)
    async with (
        simulator(latency_s=latency_s) as server,
        Engine(desk.home, environ=desk.environ) as engine,
    ):
        await engine.open(load_config(desk.config(server.base_url, **tables)), StartOptions())
        engine.start()
        (run,) = engine.runs.values()
        made = Live(engine, run)
        await until(lambda: server.books.in_flight > 0)
        yield made
        await made.door.close()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "say what to set"),
        ({"concurency": "8"}, "did you mean concurrency"),
        ({"concurrency": "0"}, "from 1 to"),
        ({"concurrency": "4097"}, "from 1 to"),
        ({"concurrency": "²"}, "whole number"),
        ({"concurrency": True}, "whole number"),
        ({"concurrency": "auto"}, "not set by hand"),
        ({"concurrency": "9" * 5000}, "whole number"),
        ({"requests_per_second": "nan"}, "must be a number"),
        ({"requests_per_second": "-1"}, "must be a number"),
        ({"requests_per_second": "1e-400"}, "must be a number"),
        ({"tokens_per_minute": "1e999999"}, "must be a number"),
        ({"requests_per_second": "2", "requests_per_minute": "60"}, "the same limit"),
        ({"items_per_request": "0"}, "whole number"),
        ({"max_cost": "0"}, "above 0"),
        ({"max_cost": "inf"}, "above 0"),
        ({"tuner": "maybe"}, "on or off"),
        ({"concurrency": "9", "tuner": "maybe"}, "on or off"),
    ],
)
async def test_a_bad_setting_is_refused_and_nothing_changes(
    desk: Desk, values: dict[str, Any], word: str
) -> None:
    async with live(desk, execution={"concurrency": 4}) as it:
        before = [it.knob(name) for name in ("concurrency", "requests_per_second", "max_cost")]

        answer = await it.do("set", values)

        assert not answer.is_ok
        assert word in answer.message
        assert len(answer.message) < 400
        assert [it.knob(name) for name in ("concurrency", "requests_per_second", "max_cost")] == before


async def test_a_setting_holds_at_once_and_tells_who_set_it_and_when(desk: Desk) -> None:
    async with live(desk, execution={"concurrency": "1-4-64"}) as it:
        assert it.knob("concurrency") == Knob("concurrency", "4", "1", "64", "file")

        answer = await it.set(concurrency="9", requests_per_minute="120", max_cost="$5.50", tuner="off")

        assert answer.is_ok
        assert [(change.key, change.old, change.new) for change in answer.changes] == [
            ("concurrency", "4", "9"),
            ("requests_per_minute", "none", "120"),
            ("max_cost", "none", "5.5"),
            ("tuner", "on", "off"),
        ]
        assert it.run.lane.concurrency == 9
        assert it.run.lane.stated(Resource.REQ) == 2.0
        snapshot = it.engine.snapshot(it.run.id)
        assert snapshot.version >= answer.version
        assert not snapshot.tuner.is_on
        assert snapshot.cost.cap_pusd == 5_500_000_000_000
        for name, value in (("concurrency", "9"), ("requests_per_second", "2"), ("max_cost", "5.5")):
            knob = it.knob(name)
            assert knob is not None
            assert (knob.value, knob.origin) == (value, ADA)
            assert knob.changed_at == pytest.approx(snapshot.at, abs=5.0)


async def test_the_value_that_is_there_already_is_pinned_all_the_same(desk: Desk) -> None:
    async with live(desk, execution={"concurrency": "1-4-64"}) as it:
        assert (await it.set(concurrency="4")).is_ok

        knob = it.knob("concurrency")
        assert knob is not None
        assert (knob.value, knob.origin, knob.is_pinned) == ("4", ADA, True)


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("concurrency", "9", "concurrency"),
        ("items_per_request", "3", "items_per_request"),
        ("requests_per_minute", "120", "requests_per_second"),
        ("tokens_per_minute", "9000", "tokens_per_minute"),
    ],
)
async def test_what_was_set_by_hand_is_handed_back_with_auto_and_nothing_else_is(
    desk: Desk, key: str, value: str, shown: str
) -> None:
    others = {"concurrency": "5", "items_per_request": "2", key: value}
    async with live(desk, execution={"concurrency": "1-4-64", "items_per_request": "1-8"}) as it:
        await it.set(**others)
        answer = await it.set(**{key: "auto"})

        assert answer.is_ok
        assert [(change.key, change.new) for change in answer.changes] == [(key, "auto")]
        pinned = {name for name in ("concurrency", "items_per_request", shown) if it.knob(name).is_pinned}  # type: ignore[union-attr]
        assert pinned == {"concurrency", "items_per_request"} - {key}
        again = await it.do("set", {key: "auto"})
        assert "not set by hand" in again.message


async def test_nothing_is_handed_back_to_a_tuner_that_is_off(desk: Desk) -> None:
    async with live(desk, execution={"concurrency": "1-4-64"}) as it:
        await it.set(concurrency="9", tuner="off")
        answer = await it.do("set", {"concurrency": "auto"})

        assert not answer.is_ok
        assert "tuner=on" in answer.message


async def test_the_state_is_shown_with_the_moment_since_when_it_is_that(desk: Desk) -> None:
    async with live(desk, execution={"concurrency": 4}) as it:
        await it.do("pause")
        first = it.engine.snapshot(it.run.id)
        second = it.engine.snapshot(it.run.id)

        assert first.state in {"pausing", "paused"}
        assert first.state_at is not None
        assert first.state_at <= first.at
        if second.state == first.state:
            assert second.state_at == first.state_at


async def test_a_dry_run_says_what_would_change_and_changes_nothing(desk: Desk) -> None:
    async with live(desk, execution={"concurrency": 4}) as it:
        answer = await it.do("set", {"concurrency": "9"}, is_dry_run=True)

        assert answer.message == "would set concurrency 4 -> 9"
        assert it.run.lane.concurrency == 4
        for verb in ("pause", "hold", "resume", "cancel", "stop", "stop_now"):
            assert "no dry run" in (await it.do(verb, is_dry_run=True)).message
        assert it.engine.snapshot(it.run.id).state == "running"


async def test_pause_resume_and_hold_follow_each_other(desk: Desk) -> None:
    async with live(desk) as it:
        assert not (await it.do("resume")).is_ok
        assert (await it.do("pause")).is_ok
        assert it.engine.snapshot(it.run.id).state == "pausing"
        assert (await it.do("pause")).message == "already paused"
        assert (await it.do("hold")).is_ok
        await until(lambda: it.engine.snapshot(it.run.id).state == "paused")
        assert (await it.do("resume")).is_ok
        await until(lambda: it.run.parts.submitter.flights)
        decisions = [each for each in it.engine.snapshot(it.run.id).tuner.decisions if each.by == ADA]
        assert [(each.old, each.new) for each in decisions] == [
            ("running", "paused"),
            ("running", "paused"),
            ("paused", "running"),
        ]


async def test_a_stop_is_recorded_and_a_stopped_run_goes_on_when_it_is_resumed(desk: Desk) -> None:
    async with live(desk) as it:
        assert (await it.do("stop_now")).is_ok
        await it.run.settled()
        assert it.engine.snapshot(it.run.id).state == "stopped"
        assert not (await it.do("stop")).is_ok

        assert (await it.do("resume")).is_ok
        await until(lambda: it.run.parts.submitter.flights)

        assert it.engine.snapshot(it.run.id).state == "running"
        assert ("stopped", "running") in [(each.old, each.new) for each in it.run.decisions]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (None, "say what to ask again"),
        ({"ids": "m-1"}, "list of item ids"),
        ({"ids": [7]}, "list of item ids"),
        ({"ids": ["nobody"]}, "not in this run"),
    ],
)
async def test_a_retry_that_names_nothing_is_refused(
    desk: Desk, values: dict[str, Any] | None, word: str
) -> None:
    async with live(desk) as it:
        answer = await it.do("retry", values)

        assert not answer.is_ok
        assert word in answer.message


async def test_an_unknown_command_is_refused(desk: Desk) -> None:
    async with live(desk) as it:
        assert "unknown command" in (await it.do("dance" * 1000)).message


async def test_the_guards_bound_lets_fewer_fly_and_a_pause_none(desk: Desk) -> None:
    async with live(desk, 5000, 0.03, execution={"concurrency": 16}) as it:
        submitter = it.run.parts.submitter
        await until(lambda: len(submitter.flights) == 16)

        submitter.bound(5, may_read_ahead=False)
        await until(lambda: len(submitter.flights) <= 5)
        done = it.run.counts.done
        while it.run.counts.done < done + 30:
            assert len(submitter.flights) <= 5
            await until(lambda: True)
            await _turn()
        submitter.bound(0, may_read_ahead=False)
        await until(lambda: not submitter.flights)
        held = it.engine.snapshot(it.run.id).held
        assert (held.cause, held.detail) == ("memory", "the memory guard allows 0 in flight")

        submitter.bound(None, may_read_ahead=True)
        await until(lambda: len(submitter.flights) == 16)


async def _turn() -> None:
    import asyncio

    await asyncio.sleep(0.005)
