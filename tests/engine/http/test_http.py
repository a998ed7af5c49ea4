"""The transport: what goes out, what comes back, keys, proxies and settings."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from raw_server import (
    GOOD,
    KEY,
    REQUEST,
    Server,
    always,
    answer,
    bearer,
    fault,
    sent,
    serving,
    transport,
    whole,
)

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.secrets import Secret
from llmtop.errors import ConfigError
from llmtop.model import Outcome

# -- what goes out and comes back ------------------------------------------------------------


async def test_an_answer_comes_back_as_it_was_sent_with_lower_case_header_names() -> None:
    reply = whole(await sent(always(answer(GOOD, b"X-Request-ID: r-1\r\n", b"429 Slow"))))

    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (429, GOOD, "r-1")


async def test_the_request_carries_path_key_and_body_and_no_cookie_of_an_earlier_answer() -> None:
    async with (
        serving(always(answer(GOOD, b"Set-Cookie: a=b\r\n"), then_close=False)) as server,
        transport(server.url) as client,
    ):
        await client.send(REQUEST)
        await client.send(REQUEST)

    head, body = server.requests[1].split(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1")
    assert b"Authorization: Bearer " + KEY.encode() in head
    assert b"cookie" not in head.lower()
    assert body == REQUEST.body


async def test_two_sound_answers_share_one_connection() -> None:
    async with (
        serving(always(answer(GOOD), then_close=False)) as server,
        transport(server.url) as client,
    ):
        for _ in range(3):
            whole(await client.send(REQUEST))

    assert server.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(GOOD),
        b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"
        + GOOD[:5]
        + b"\r\na\r\n"
        + GOOD[5:]
        + b"\r\n0\r\n\r\n",
        answer(gzip.compress(GOOD, mtime=0), b"Content-Encoding: gzip\r\n"),
        answer(GOOD, b"Content-Type: text/html\r\n"),
    ],
    ids=["early hints", "http 1.0", "chunked", "gzip", "wrong content type"],
)
async def test_a_good_body_is_taken_however_it_is_framed(reply: bytes) -> None:
    assert whole(await sent(always(reply))).body == GOOD


async def test_a_body_that_comes_byte_by_byte_is_put_together() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        for byte in answer(GOOD):
            writer.write(bytes([byte]))
            await writer.drain()

    assert whole(await sent(talk)).body == GOOD


# -- keys, proxies, settings ------------------------------------------------------------------


async def test_a_key_that_the_server_echoes_is_masked_in_body_and_error() -> None:
    body = b'{"error": {"message": "Incorrect API key provided: %s"}}' % KEY.encode()
    reply = whole(await sent(always(answer(body, status=b"401 Unauthorized"))))
    moved = fault(await sent(always(answer(b"", b"Location: /?k=%s\r\n" % KEY.encode(), b"302 Found"))))

    assert KEY.encode() not in reply.body
    assert b"***" in reply.body
    assert KEY not in repr(moved)


def test_the_transport_does_not_show_its_key() -> None:
    assert KEY not in repr(transport("http://127.0.0.1/v1"))


async def test_a_proxy_of_the_environment_is_used_with_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(always(answer(GOOD))) as proxy:
        address = proxy.url.removesuffix("/v1").replace("//", "//user:word@")
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("no_proxy", "other.example")
        async with HttpTransport("http://provider.example/v1", None, bearer, {}, 5, 2, 1000) as client:
            whole(await client.send(REQUEST))

    assert proxy.requests[0].startswith(b"POST http://provider.example/v1/chat/completions ")
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.requests[0]


async def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with (
        serving(always(answer(GOOD))) as server,
        HttpTransport(server.url, None, bearer, {}, 5, 2, 1000) as client,
    ):
        assert whole(await client.send(REQUEST)).status == 200


def test_a_proxy_that_is_no_http_address_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigError, match="proxy"):
        HttpTransport("http://provider.example/v1", None, bearer, {}, 5, 2, 1000)


@pytest.mark.parametrize("headers", [{"X": "a\r\nInjected: b"}, {"X Y": "a"}, {"": "a"}])
def test_headers_that_would_break_the_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"provider\.headers"):
        HttpTransport("http://127.0.0.1/v1", None, bearer, headers, 5, 2, 1000)


@pytest.mark.parametrize(
    ("status", "outcome", "word"),
    [
        (b"407 Proxy Authentication Required", Outcome.STOP_ACCESS, "password"),
        (b"502 No", Outcome.FAULT, "502"),
    ],
)
async def test_a_proxy_that_lets_nothing_through_has_its_own_error_and_saw_no_key(
    status: bytes, outcome: Outcome, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b"", status=status))

    async with serving(talk) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.removesuffix("/v1").replace("//", "//user:word@"))
        async with HttpTransport(
            "https://provider.example/v1", Secret(KEY), bearer, {}, 5, 2, 1000
        ) as client:
            error = fault(await client.send(REQUEST))

    assert proxy.requests[0].startswith(b"CONNECT provider.example:443 ")
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.requests[0]
    assert KEY.encode() not in proxy.requests[0]
    assert (error.outcome, error.is_sent, error.is_counted) == (outcome, False, False)
    assert word in error.error.message
