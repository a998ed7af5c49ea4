from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmtop.adapters.simulator import FaultStep, Profile, SimulatedProvider
from llmtop.adapters.simulator.vocabulary import FAULT_KINDS, HARMLESS_FAULTS, UNBILLED_FAULTS

Ask = Callable[..., Awaitable[Any]]
MIXED = {"http_500": 0.2, "reset_before": 0.1, "truncated": 0.1, "null_content": 0.1, "slow": 0.1}


def is_usable(seen: Any) -> bool:
    """Whether a careful client would take the answer."""
    if seen.status != 200:
        return False
    try:
        choice = seen.json["choices"][0]
    except (ValueError, LookupError):
        return False
    return choice["finish_reason"] == "stop" and bool((choice["message"]["content"] or "").strip())


def fingerprint(seen: Any) -> tuple[int, str, bool]:
    return seen.status, seen.broke, is_usable(seen)


@pytest.mark.parametrize("kind", FAULT_KINDS)
async def test_a_fault_spoils_the_answer_exactly_when_it_is_not_harmless_and_is_booked_and_billed(
    ask: Ask, kind: str
) -> None:
    profile = Profile(latency_s=0.0, faults={kind: 1.0}, hang_s=0.01, drip_s=0.0)

    async with SimulatedProvider(profile) as server:
        seen = await ask(server, "about rain, id: r-1")

    is_harmless = kind in HARMLESS_FAULTS
    assert is_usable(seen) is is_harmless
    assert server.books.faults == {kind: 1}
    assert (server.books.served, server.books.spoiled) == ((1, 0) if is_harmless else (0, 1))
    assert server.books.served_ids == ({"r-1": 1} if is_harmless else {})
    assert server.books.billed_requests == (0 if kind in UNBILLED_FAULTS else 1)


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        ("http_500", 500, "server_error", None),
        ("http_503", 503, "service_unavailable_error", "server_is_overloaded"),
        ("http_529", 529, "overloaded_error", None),
        ("error_in_200", 200, None, 502),
    ],
)
async def test_server_errors_have_the_real_bodies(
    ask: Ask, kind: str, status: int, type_: str | None, code: Any
) -> None:
    async with SimulatedProvider(Profile(faults={kind: 1.0})) as server:
        seen = await ask(server, "x")

    error = seen.json["error"]
    assert (seen.status, error["type"], error["code"]) == (status, type_, code)


@pytest.mark.parametrize(("kind", "status"), [("http_502", 502), ("http_504", 504), ("html_200", 200)])
async def test_a_proxy_answers_in_html(ask: Ask, kind: str, status: int) -> None:
    async with SimulatedProvider(Profile(faults={kind: 1.0})) as server:
        seen = await ask(server, "x")

    assert (seen.status, seen.headers["content-type"].split(";")[0]) == (status, "text/html")
    assert seen.text.startswith("<html>")


async def all_seen(
    ask: Ask, seed: int, prompts: list[str], tries: int
) -> dict[str, list[tuple[int, str, bool]]]:
    seen: dict[str, list[tuple[int, str, bool]]] = {prompt: [] for prompt in prompts}

    async def until_good(server: SimulatedProvider, prompt: str) -> None:
        for _ in range(tries):
            seen[prompt].append(fingerprint(await ask(server, prompt)))
            if seen[prompt][-1][2]:
                break

    async with SimulatedProvider(Profile(latency_s=0.0, faults=MIXED), seed=seed) as server:
        await asyncio.gather(*(until_good(server, prompt) for prompt in prompts))
    return seen


async def test_faults_repeat_for_the_same_seed_in_any_order_of_arrival(ask: Ask) -> None:
    prompts = [f"about rain, id: r-{index}" for index in range(60)]

    first = await all_seen(ask, 1, prompts, 14)
    again = await all_seen(ask, 1, prompts[::-1], 14)
    other = await all_seen(ask, 2, prompts, 14)

    assert first == again
    assert first != other
    assert 90 <= sum(len(tries) for tries in first.values()) <= 180
    assert all(tries[-1][2] for tries in first.values())


async def test_only_the_first_tries_meet_a_fault_where_the_profile_says_so(ask: Ask) -> None:
    profile = Profile(latency_s=0.0, faults={"http_500": 1.0}, fault_tries=2)

    async with SimulatedProvider(profile) as server:
        statuses = [(await ask(server, "about rain")).status for _ in range(4)]

    assert statuses == [500, 500, 200, 500]


async def test_what_must_always_fail_never_succeeds_and_the_others_always_do(ask: Ask) -> None:
    profile = Profile(latency_s=0.0, always_fail="^bad-", always_fail_kind="http_529")

    async with SimulatedProvider(profile) as server:
        bad = [(await ask(server, "about rain, id: bad-1")).status for _ in range(3)]
        good = [(await ask(server, "about bad-1 rain, id: good-1")).status for _ in range(3)]

    assert (bad, good) == ([529] * 3, [200] * 3)


async def test_an_outage_begins_and_ends_on_schedule_from_the_first_request_on(ask: Ask) -> None:
    clock = [500.0]
    profile = Profile(latency_s=0.0, fault_steps=(FaultStep(10, 20, "http_503"),))

    async with SimulatedProvider(profile, clock=lambda: clock[0]) as server:
        statuses = []
        for now in (900.0, 909.9, 910.0, 919.9, 920.0):
            clock[0] = now
            statuses.append((await ask(server, f"at {now}")).status)

    assert statuses == [200, 200, 503, 503, 200]


async def test_a_slow_request_takes_its_factor_of_the_usual_time(ask: Ask) -> None:
    profile = Profile(latency_s=0.03, faults={"slow": 1.0}, slow_factor=5.0)

    async with SimulatedProvider(profile) as server:
        start = asyncio.get_running_loop().time()
        await ask(server, "x")

    assert asyncio.get_running_loop().time() - start >= 0.149


async def test_broken_packs_are_spoiled_and_count_no_id_as_served(ask: Ask) -> None:
    pack = "As JSON: " + json.dumps([{"id": name, "text": "rain"} for name in ("a", "b", "c")])
    profile = Profile(latency_s=0.0, poison_pattern="^b$", pack_trouble={"dropped": 0.0})

    async with SimulatedProvider(profile) as server:
        await ask(server, pack)
        await ask(server, "As JSON: " + json.dumps([{"id": name, "text": "rain"} for name in ("a", "c")]))

    assert server.books.served_ids == {"a": 1, "c": 1}
    assert server.books.billed_requests == 2
