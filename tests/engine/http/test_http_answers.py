"""The transport against answers that must not be believed."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from raw_server import (
    GOOD,
    REQUEST,
    Server,
    always,
    answer,
    fault,
    sent,
    serving,
    transport,
    whole,
)

from llmtop.model import Outcome

# -- answers that must not be believed -------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + GOOD,
        answer(b"no gzip at all", b"Content-Encoding: gzip\r\n"),
    ],
    ids=["cut by length", "cut chunk", "bad gzip"],
)
async def test_a_body_that_breaks_off_is_a_fault_that_may_have_been_billed(reply: bytes) -> None:
    error = fault(await sent(always(reply)))

    assert (error.outcome, error.error.type) == (Outcome.FAULT, "connection")
    assert error.is_sent and error.is_counted and not error.is_final


@pytest.mark.parametrize(
    "reply",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(2_000)) + b"\r\n",
    ],
    ids=["no http", "bad chunk", "two lengths", "long header", "many headers"],
)
async def test_broken_framing_is_a_fault_and_not_the_providers_400(reply: bytes) -> None:
    error = fault(await sent(always(reply)))

    assert error.outcome is Outcome.FAULT
    assert error.error.type in ("invalid_response", "connection")
    assert error.error.http_status is None
    assert error.is_counted and not error.is_final


async def test_headers_of_more_than_64_kib_are_refused_although_each_is_short() -> None:
    head = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1_000) for i in range(100))

    error = fault(await sent(always(answer(GOOD, head))))

    assert error.error.type == "invalid_response"
    assert "65536" in error.error.message


async def test_a_gzip_bomb_is_stopped_at_the_cap() -> None:
    bomb = answer(gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip\r\n")

    error = fault(await sent(always(bomb), max_bytes=1_000_000))

    assert error.error.type == "invalid_response"
    assert "1000000" in error.error.message


@pytest.mark.parametrize("size", [1_001, 400_000])
async def test_a_body_over_the_cap_is_refused_whether_it_comes_at_once_or_in_pieces(size: int) -> None:
    assert fault(await sent(always(answer(b"x" * size)), max_bytes=1_000)).error.type == "invalid_response"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b'{"choices": [', b"null"])
async def test_after_an_answer_that_makes_no_sense_the_connection_is_not_used_again(body: bytes) -> None:
    async with (
        serving(always(answer(body), then_close=False)) as server,
        transport(server.url) as client,
    ):
        for _ in range(3):
            assert whole(await client.send(REQUEST)).body == body

    assert server.connections == 3


async def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one() -> None:
    stray = asyncio.Event()

    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = server.connections
        while True:
            await server.take(reader)
            writer.write(answer(b'{"right": %d}' % number))
            await writer.drain()
            if number == 1:
                await stray.wait()
                writer.write(answer(b'{"stray": true}'))

    async with serving(talk) as server, transport(server.url) as client:
        first = whole(await client.send(REQUEST))
        stray.set()
        for _ in range(20):  # the stray bytes reach the idle connection within some turns of the loop
            await asyncio.sleep(0.005)
        second = whole(await client.send(REQUEST))

    assert (first.body, second.body) == (b'{"right": 1}', b'{"right": 2}')


async def test_a_redirect_is_not_followed_and_names_the_base_url() -> None:
    async with serving(always(answer(GOOD))) as other:
        place = b"Location: %s\r\n" % other.url.encode()
        async with (
            serving(always(answer(b"", place, b"307 Temporary Redirect"))) as server,
            transport(server.url) as client,
        ):
            error = fault(await client.send(REQUEST))

    assert (error.kind, error.outcome, error.error.http_status) == ("redirect", Outcome.STOP_ACCESS, 307)
    assert "base_url" in error.error.message
    assert other.requests == []
