from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import aiohttp
import pytest

from llmtop.adapters.simulator import (
    PROFILES,
    Addresses,
    Profile,
    SimulatedProvider,
    last_words_of,
    load_profile,
    reference_of,
    run_forever,
)
from llmtop.errors import UsageError

Ask = Callable[..., Awaitable[Any]]
FREE = Profile(latency_s=0.0)


async def test_an_answer_has_the_shape_of_the_real_one(ask: Ask) -> None:
    text = "Explain: rain on the roof, id: r-1"

    async with SimulatedProvider(FREE) as server:
        seen = await ask(server, text, service_tier="auto", n=2)

    body = seen.json
    assert seen.status == 200 and seen.headers["x-request-id"].startswith("req_")
    assert (body["object"], body["model"], body["service_tier"]) == (
        "chat.completion",
        "sim-small",
        "default",
    )
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert set(body["choices"][0]["message"]) == {"role", "content", "refusal", "annotations"}
    assert (
        body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )
    assert last_words_of(text) in seen.content and reference_of(text) in seen.content


async def test_both_paths_lead_to_the_same_and_any_other_is_a_404(session: aiohttp.ClientSession) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    statuses = []

    async with SimulatedProvider(FREE) as server:
        for path in ("/v1/chat/completions", "/chat/completions", "/v1/completions"):
            async with session.post(server.root_url + path, json=body) as answer:
                statuses.append(answer.status)
        async with session.get(server.root_url + "/v1/chat/completions") as answer:
            statuses.append(answer.status)
        async with session.get(server.base_url + "/models") as answer:
            models = await answer.json()

    assert statuses == [200, 200, 404, 405]
    assert [row["id"] for row in models["data"]] == ["sim-small", "sim-large"]


async def test_two_per_second_refuses_exactly_what_it_must(ask: Ask) -> None:
    clock = [0.0]
    profile = load_profile({"profile": "two_per_second", "latency": "fixed", "latency_s": 0.0})
    level, last = Fraction(2), Fraction(0)
    chance = random.Random(7)

    async with SimulatedProvider(profile, clock=lambda: clock[0]) as server:
        for number in range(150):
            gap = Fraction(chance.choice([0, 1, 8, 24, 32, 33, 64, 200]), 64)
            level, last = min(Fraction(2), level + 2 * gap), last + gap
            clock[0] = float(last)
            seen = await ask(server, f"question {number}")
            expected = 200 if level >= 1 else 429
            level -= expected == 200
            assert seen.status == expected, (number, float(last))

    books = server.books
    assert books.received == 150 and books.refused == {"requests": books.status_429}
    assert 20 < books.status_429 < 120


@pytest.mark.looptime
async def test_two_per_second_takes_two_to_five_seconds_for_each_of_two_at_a_time(ask: Ask) -> None:
    loop = asyncio.get_running_loop()

    async with SimulatedProvider(PROFILES["two_per_second"], clock=loop.time) as server:

        async def timed(number: int) -> tuple[int, float]:
            start = loop.time()
            return (await ask(server, f"question {number}")).status, loop.time() - start

        seen = await asyncio.gather(*(timed(number) for number in range(4)))

    assert sorted(status for status, _ in seen) == [200, 200, 429, 429]
    assert all(2 <= took <= 5.01 for status, took in seen if status == 200)
    assert all(took < 0.1 for status, took in seen if status == 429)


async def test_the_books_agree_with_what_the_clients_saw_and_add_up(ask: Ask) -> None:
    faults = {"http_500": 0.1, "reset_before": 0.05, "truncated": 0.1, "missing_usage": 0.1}
    profile = Profile(latency_s=0.005, concurrency=12, faults=faults, hint="none")
    numbers = iter(range(400))
    statuses: Counter[int] = Counter()
    good: Counter[str] = Counter()
    billed = Counter[str]()

    async def work(server: SimulatedProvider) -> None:
        for number in numbers:
            seen = await ask(
                server, f"question, id: q-{number % 150}", max_tokens=10 if number % 9 == 0 else 300
            )
            statuses[seen.status] += 1
            if seen.status != 200:
                continue
            try:
                body = seen.json
            except ValueError:
                continue
            if body["choices"][0]["finish_reason"] == "stop":
                good[f"q-{number % 150}"] += 1
            if "usage" in body:
                billed.update({key: body["usage"][key] for key in ("prompt_tokens", "completion_tokens")})

    async with SimulatedProvider(profile, seed=5) as server:
        await asyncio.gather(*(work(server) for _ in range(16)))
        books = server.books

    assert books.received == 400 == sum(statuses.values()) == sum(books.arrivals.values())
    assert books.status_429 == statuses[429] == books.refused.total() > 0
    assert books.served_ids == good and books.served == good.total()
    assert books.faults["http_500"] == statuses[500] and books.faults["reset_before"] == statuses[0]
    ended = books.served + books.cut + books.spoiled + books.abandoned + books.in_flight
    assert books.received == books.refused.total() + books.rejected.total() + ended
    assert books.cut > 0 and books.in_flight == 0 and books.max_in_flight == 12
    unseen = books.faults["missing_usage"] + books.faults["truncated"]
    assert billed["prompt_tokens"] == (books.billed_requests - unseen) * (5 + 4)
    assert books.billed_pusd == books.prompt_tokens * 50_000 + books.completion_tokens * 100_000


async def test_cached_reasoning_and_cost_are_in_the_usage_and_in_the_books(
    session: aiohttp.ClientSession,
) -> None:
    profile = Profile(latency_s=0.0, cached_prefix_tokens=10, reasoning_tokens=7, usage_cost=True)
    system = {"role": "system", "content": "You explain things in a few words. " * 4}
    usages = []

    async with SimulatedProvider(profile) as server:
        for number in range(3):
            messages = [system, {"role": "user", "content": f"question {number}"}]
            body = {"model": "m", "messages": messages}
            async with session.post(f"{server.base_url}/chat/completions", json=body) as answer:
                usages.append((await answer.json())["usage"])
        books = server.books

    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert cached[0] == 0 < cached[1] == cached[2]
    assert books.cached_tokens == sum(cached) and books.reasoning_tokens == 21
    assert all(usage["completion_tokens_details"]["reasoning_tokens"] == 7 for usage in usages)
    assert sum(usage["cost"] for usage in usages) == pytest.approx(books.billed_pusd / 1e12)


async def test_a_key_is_asked_for_and_a_wrong_one_is_masked_unless_told_otherwise(ask: Ask) -> None:
    profile = Profile(latency_s=0.0, require_key="sk-right-0123456789")
    wrong = {"Authorization": "Bearer sk-wrong-0123456789"}

    async with SimulatedProvider(profile) as server:
        none = await ask(server, "x")
        masked = await ask(server, "x", headers=wrong)
        right = await ask(server, "x", headers={"Authorization": "Bearer sk-right-0123456789"})
        server.change({"echo_key": True})
        echoed = await ask(server, "x", headers=wrong)

    assert (none.status, masked.status, right.status) == (401, 401, 200)
    assert masked.json["error"]["code"] == "invalid_api_key"
    assert "sk-wrong-0123456789" not in masked.text and "sk-wrong-0123456789" in echoed.text
    assert server.books.rejected == {"http_401": 1, "invalid_api_key": 2}


async def test_a_client_that_goes_away_gives_its_place_back_and_is_billed(
    session: aiohttp.ClientSession, ask: Ask
) -> None:
    profile = Profile(latency_s=5.0, concurrency=1)
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}

    async with SimulatedProvider(profile) as server:
        with pytest.raises(TimeoutError):
            async with session.post(
                f"{server.base_url}/chat/completions", json=body, timeout=aiohttp.ClientTimeout(total=0.05)
            ):
                pass
        async with asyncio.timeout(5):
            while server.books.in_flight:
                await asyncio.sleep(0)
        server.change({"latency_s": 0.0})
        status = (await ask(server, "y")).status

    assert status == 200
    assert (server.books.abandoned, server.books.served, server.books.billed_requests) == (1, 1, 2)


async def test_money_that_is_gone_is_told_without_a_hint_until_there_is_more(ask: Ask) -> None:
    async with SimulatedProvider(Profile(latency_s=0.0, quota_requests=2)) as server:
        seen = [await ask(server, f"question {number}") for number in range(4)]
        server.change({"quota_requests": 3})
        after = await ask(server, "question 4")

    assert [each.status for each in seen] == [200, 200, 429, 429]
    assert seen[-1].json["error"]["type"] == "insufficient_quota" and "retry-after" not in seen[-1].headers
    assert after.status == 200


async def test_settings_change_over_http_and_a_wrong_one_changes_nothing(
    session: aiohttp.ClientSession, ask: Ask
) -> None:
    async with SimulatedProvider(FREE) as server:
        url = f"{server.root_url}/_sim/settings"
        refusals = []
        for raw in (b'{"concurency": 1}', b'{"concurrency": 1, "latency": "x"}', b"[1]", b"{"):
            async with session.post(url, data=raw) as answer:
                refusals.append((answer.status, (await answer.json())["error"]["message"]))
        before = server.profile
        async with session.post(url, json={"requests_per_second": 1, "burst": 1}) as answer:
            settings = await answer.json()
        statuses = [(await ask(server, f"question {number}")).status for number in range(3)]
        async with session.get(url) as answer:
            shown = await answer.json()

    assert [status for status, _ in refusals] == [400] * 4
    assert "did you mean `concurrency`?" in refusals[0][1]
    assert before == FREE
    assert shown == settings and settings["requests_per_second"] == 1
    assert statuses == [200, 429, 429]


async def test_the_books_are_shown_and_reset_over_http(session: aiohttp.ClientSession, ask: Ask) -> None:
    async with SimulatedProvider(FREE) as server:
        for _ in range(2):
            await ask(server, "question, id: q-1")
        async with session.get(f"{server.root_url}/_sim/books?ids=1") as answer:
            full = await answer.json()
        async with session.post(f"{server.root_url}/_sim/reset") as answer:
            assert answer.status == 200
        async with session.get(f"{server.root_url}/_sim/books") as answer:
            empty = await answer.json()

    assert full["served_ids"] == {"q-1": 2} and full["ids_served_twice"] == 1
    assert full["arrivals"] == {"0": 2}
    assert (empty["received"], empty["distinct_ids"], empty["arrivals"]) == (0, 0, {})
    assert "served_ids" not in empty


async def test_closing_the_server_does_not_wait_for_what_hangs(session: aiohttp.ClientSession) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    loop = asyncio.get_running_loop()

    async with SimulatedProvider(Profile(faults={"hang": 1.0})) as server:
        hanging = asyncio.create_task(
            session.post(f"{server.base_url}/chat/completions", json=body).__aenter__()
        )
        async with asyncio.timeout(5):
            while not server.books.in_flight:
                await asyncio.sleep(0)
        start = loop.time()

    assert loop.time() - start < 1.0
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_a_port_that_is_taken_is_said_to_be_so() -> None:
    async with SimulatedProvider(FREE) as server:
        taken = int(server.root_url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port {taken}"):
            async with SimulatedProvider(FREE, port=taken):
                pass


async def test_it_serves_until_it_is_cancelled_and_leaves_nothing_behind(
    session: aiohttp.ClientSession,
) -> None:
    ready: asyncio.Queue[Addresses] = asyncio.Queue()
    before = asyncio.all_tasks()

    serving = asyncio.create_task(run_forever(FREE, 0, ready.put_nowait))
    url = (await ready.get()).openai
    async with session.get(f"{url}/models") as answer:
        assert answer.status == 200
    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.get(f"{url}/models")
    assert {task.get_name() for task in asyncio.all_tasks() - before} == set()
