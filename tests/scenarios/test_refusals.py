"""A provider that refuses for good stops the run, fails no item, and the same command goes on later."""

from __future__ import annotations

import socket
import time

import pytest
from whole_runs import Desk, each_once, simulator, until

WRONG_KEY = {"require_key": "sk-another-5678"}
NO_MONEY = {"quota_requests": 5}
NO_MODEL = {"missing_models": ["sim-small"]}


@pytest.mark.parametrize(
    ("trouble", "mended", "words"),
    [
        (WRONG_KEY, {"require_key": ""}, "key"),
        (NO_MONEY, {"quota_requests": 0}, "quota"),
        (NO_MODEL, {"missing_models": []}, "model"),
    ],
    ids=["key", "quota", "model"],
)
async def test_a_refusal_stops_the_run_fails_nothing_and_the_same_command_finishes_it(
    desk: Desk, trouble: dict[str, object], mended: dict[str, object], words: str
) -> None:
    ids = desk.items(60)
    async with simulator(latency_s=0.02, **trouble) as server:
        config = desk.config(server.base_url, execution={"concurrency": 6})
        first = await desk.llmtop("run", config)

        assert first.code == 3
        assert words in first.out
        assert "sk-simulated" not in first.out + first.err
        assert server.books.received - server.books.served <= 6 + 6
        assert {result["status"] for result in desk.results()} <= {"done"}
        server.change(mended)
        assert await desk.goes_on(config) == 0
        assert desk.written_ids() == each_once(ids)
        assert server.books.served == len(ids)


async def test_two_runs_on_a_refused_key_both_end(desk: Desk) -> None:
    desk.items(20)
    async with simulator(latency_s=0.05, **WRONG_KEY) as server:
        one = desk.config(server.base_url, "one", execution={"concurrency": 1}, output={"path": "one.jsonl"})
        two = desk.config(server.base_url, "two", execution={"concurrency": 1}, output={"path": "two.jsonl"})

        said = await desk.llmtop("run", one, two, timeout_s=15)

        assert said.code == 3
        assert server.books.received <= 4


async def test_throttling_for_ever_ends_with_3_after_the_patience_and_fails_nothing(desk: Desk) -> None:
    desk.items(10)
    async with simulator(quota_requests=2, quota_code="rate_limit_exceeded") as server:
        config = desk.config(server.base_url, retry={"give_up_throttled_after": "1s", "max_wait": "0.3s"})
        began = time.monotonic()
        async with desk.engine(config) as (run,):
            await run.settled()

            assert run.exit_code == 3
            assert (run.counts.done, run.counts.failed) == (2, 0)
        assert time.monotonic() - began < 6
        assert server.books.status_429 < 40


async def test_a_provider_that_is_down_and_comes_back_fails_no_item(desk: Desk) -> None:
    ids = desk.items(30)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = desk.config(
        f"http://127.0.0.1:{port}/v1",
        retry={"max_wait": "0.2s", "max_attempts": 2},
        execution={"concurrency": 3},
    )
    async with desk.engine(config) as (run,):
        await until(lambda: run.parts.submitter.waiting >= 3)
        async with simulator(port=port, latency_s=0.05) as server:
            await until(lambda: run.counts.done >= 6)
            assert run.counts.failed == 0
            before = server.books
        async with simulator(port=port) as server:
            await run.settled()
            assert run.exit_code == 0
            assert before.served + server.books.served >= len(ids)
    assert desk.written_ids() == each_once(ids)


async def test_a_host_that_does_not_exist_ends_with_3_soon_and_is_named(desk: Desk) -> None:
    desk.items(10)
    config = desk.config("http://no-such-host.invalid/v1", retry={"max_wait": "0.1s"})

    began = time.monotonic()
    said = await desk.llmtop("run", config)

    assert said.code == 3
    assert "no-such-host.invalid" in said.out
    assert time.monotonic() - began < 10
    assert desk.results() == []
