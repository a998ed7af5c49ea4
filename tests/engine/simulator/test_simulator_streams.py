"""Answers in pieces: their faults, and what the books say of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.adapters.simulator.streams import pieces


def provider(**settings: Any) -> SimulatedProvider:
    return SimulatedProvider(load_profile({"profile": "instant", **settings}))


def body(text: str = "Rain on the roof") -> dict[str, Any]:
    return {"model": "sim-small", "messages": [{"role": "user", "content": text}], "stream": True}


async def lines(session: aiohttp.ClientSession, server: SimulatedProvider) -> tuple[list[str], str, str]:
    """Return the data of each event, how the stream broke, and its content type."""
    found: list[str] = []
    kind = ""
    try:
        async with session.post(f"{server.base_url}/chat/completions", json=body()) as answer:
            kind = answer.content_type
            while line := await answer.content.readline():
                found += [line.removeprefix(b"data: ").decode().strip()] if line.startswith(b"data") else []
    except aiohttp.ClientError as error:
        return found, type(error).__name__, kind
    return found, "", kind


@given(st.text())
def test_nothing_of_a_text_is_lost_in_its_pieces(text: str) -> None:
    assert "".join(pieces(text)) == text


async def test_a_stream_ends_with_done(session: aiohttp.ClientSession) -> None:
    async with provider() as server:
        events, broke, kind = await lines(session, server)

    assert (events[-1], broke, kind) == ("[DONE]", "", "text/event-stream")
    assert all(json.loads(event)["object"] == "chat.completion.chunk" for event in events[:-1])


@pytest.mark.parametrize("fault", ["reset_after_headers", "cut_body"])
async def test_a_stream_may_break_off(session: aiohttp.ClientSession, fault: str) -> None:
    async with provider(faults={fault: 1.0}) as server:
        events, broke, _ = await lines(session, server)

        assert broke
        assert "[DONE]" not in events
        assert (server.books.spoiled, server.books.billed_requests) == (1, 1)


async def test_a_stream_may_end_too_early_or_hold_what_is_no_json(session: aiohttp.ClientSession) -> None:
    async with provider(faults={"truncated": 1.0}) as server:
        short, broke, _ = await lines(session, server)
    async with provider(faults={"malformed": 1.0}) as server:
        odd, _, _ = await lines(session, server)

    assert (broke, "[DONE]" in short) == ("", False)
    with pytest.raises(json.JSONDecodeError):
        [json.loads(event) for event in odd[:-1]]


@pytest.mark.parametrize("fault", ["gzip", "wrong_content_type", "blank_lines", "drip", "missing_usage"])
async def test_odd_streams_are_whole(session: aiohttp.ClientSession, fault: str) -> None:
    async with provider() as server:
        plain, _, _ = await lines(session, server)
    async with provider(faults={fault: 1.0}, drip_s=0.0) as server:
        events, broke, _ = await lines(session, server)

    assert broke == ""
    assert [json.loads(each)["choices"] for each in events[:-1]] == [
        json.loads(each)["choices"] for each in plain[:-1]
    ]


async def test_a_refusal_comes_before_the_stream(session: aiohttp.ClientSession) -> None:
    async with provider(concurrency=1, latency_s=60) as server:
        first = asyncio.create_task(lines(session, server))
        while not server.books.in_flight:
            await asyncio.sleep(0.01)
        async with session.post(f"{server.base_url}/chat/completions", json=body("Snow")) as answer:
            assert (answer.status, answer.content_type) == (429, "application/json")
        first.cancel()
        while server.books.in_flight:
            await asyncio.sleep(0.01)
        assert server.books.abandoned == 1


async def test_a_line_of_a_batch_cannot_be_streamed(session: aiohttp.ClientSession) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body()}
    async with provider(batch_s=0.0) as server:
        form = aiohttp.FormData({"purpose": "batch"})
        form.add_field("file", json.dumps(line), filename="in.jsonl")
        async with session.post(f"{server.base_url}/files", data=form) as answer:
            file_id = (await answer.json())["id"]
        wanted = {
            "input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        }  # fmt: skip
        async with session.post(f"{server.base_url}/batches", json=wanted) as answer:
            batch_id = (await answer.json())["id"]
        shown: dict[str, Any] = {}
        while shown.get("status") != "completed":
            async with session.get(f"{server.base_url}/batches/{batch_id}") as answer:
                shown = await answer.json()

    assert shown["request_counts"] == {"total": 1, "completed": 0, "failed": 1}
