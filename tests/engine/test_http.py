"""The transport against servers that misbehave, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.secrets import Secret
from llmtop.errors import ConfigError
from llmtop.model import Outcome, ProviderError, RawReply, WireRequest

KEY = "sk-test-0123456789abcdef"
REQUEST = WireRequest(
    path="/chat/completions", body=b'{"model": "m"}', headers={"Content-Type": "application/json"}
)
GOOD = b'{"choices": []}'

Talk = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A raw server: `talk` has the whole connection to itself. Keeps what it was sent."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""
        self.is_done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.is_done.set()
            writer.close()

    async def take(self, reader: asyncio.StreamReader) -> bytes:
        """Read one whole request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        return request


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(talk)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def transport(url: str, *, timeout_s: float = 5.0, max_bytes: int = 1 << 20, key: str = KEY) -> HttpTransport:
    return HttpTransport(url, Secret(key), bearer, {}, timeout_s, 2.0, max_bytes, is_proxied=False)


def answer(body: bytes, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)


def always(reply: bytes, *, then_close: bool = True) -> Talk:
    """One request, `reply` as raw bytes, and (unless told otherwise) the end of the connection."""

    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await server.take(reader)
            writer.write(reply)
            await writer.drain()
            if then_close:
                return

    return talk


async def sent(talk: Talk, *, timeout_s: float = 5.0, max_bytes: int = 1 << 20) -> RawReply | ProviderError:
    async with (
        serving(talk) as server,
        transport(server.url, timeout_s=timeout_s, max_bytes=max_bytes) as client,
    ):
        return await client.send(REQUEST)


def fault(reply: RawReply | ProviderError) -> ProviderError:
    assert isinstance(reply, ProviderError), reply
    return reply


def whole(reply: RawReply | ProviderError) -> RawReply:
    assert isinstance(reply, RawReply), reply
    return reply


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
        answer(gzip.compress(GOOD), b"Content-Encoding: gzip\r\n"),
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


# -- connections that end ---------------------------------------------------------------------


async def test_a_dripping_server_is_stopped_by_the_total_deadline() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    error = fault(await sent(talk, timeout_s=0.3))

    assert (error.outcome, error.error.type, error.is_sent) == (Outcome.TIMEOUT, "timeout", True)


async def test_a_server_that_never_answers_is_a_timeout_and_its_connection_is_gone() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        assert await reader.read() == b""

    async with serving(talk) as server, transport(server.url, timeout_s=0.2) as client:
        error = fault(await client.send(REQUEST))
        await asyncio.wait_for(server.is_done.wait(), 5)

    assert (error.outcome, error.is_counted) == (Outcome.TIMEOUT, True)


async def test_a_reset_on_a_new_connection_is_a_counted_fault() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        handle = writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    error = fault(await sent(talk))

    assert (error.outcome, error.error.type, error.kind) == (Outcome.FAULT, "connection", "")
    assert error.is_counted and error.is_sent


async def test_a_kept_alive_connection_that_ends_before_a_byte_came_is_stale_and_not_counted() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        writer.write(answer(GOOD))
        await writer.drain()
        if server.connections == 1:
            await server.take(reader)  # the second request is read, and the connection ends
            return
        await server.take(reader)

    async with serving(talk) as server, transport(server.url) as client:
        whole(await client.send(REQUEST))
        error = fault(await client.send(REQUEST))
        again = whole(await client.send(REQUEST))

    assert (error.kind, error.outcome, error.is_counted) == ("stale", Outcome.FAULT, False)
    assert again.body == GOOD
    assert server.connections == 2


async def test_a_connection_that_ends_in_the_middle_of_a_second_answer_is_not_stale() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        writer.write(answer(GOOD))
        await server.take(reader)
        writer.write(answer(GOOD)[:-3])
        await writer.drain()

    async with serving(talk) as server, transport(server.url) as client:
        whole(await client.send(REQUEST))
        error = fault(await client.send(REQUEST))

    assert (error.kind, error.is_counted, error.outcome) == ("", True, Outcome.FAULT)


async def test_a_refused_connection_was_not_sent_and_uses_up_no_try() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    async with transport(url) as client:
        error = fault(await client.send(REQUEST))

    assert (error.outcome, error.is_sent, error.is_counted) == (Outcome.FAULT, False, False)
    assert "Connection refused" in error.error.message


async def test_a_host_that_does_not_exist_is_recognised() -> None:
    async with transport("http://no-such-host.invalid/v1") as client:
        error = fault(await client.send(REQUEST))

    assert (error.kind, error.is_sent, error.is_counted) == ("dns", False, False)
    assert "no-such-host.invalid" in error.error.message


async def test_a_plain_server_under_an_https_address_is_a_tls_error() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer(GOOD, status=b"400 Bad Request"))

    async with serving(talk) as server, transport(server.url.replace("http:", "https:")) as client:
        error = fault(await client.send(REQUEST))

    assert (error.kind, error.is_sent, error.is_counted) == ("certificate", False, False)


async def test_a_certificate_that_nobody_vouches_for_is_recognised_and_nothing_is_sent() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(Path(__file__).with_name("certificates") / "loopback.pem")
    async with serving(always(answer(GOOD)), tls) as server, transport(server.url) as client:
        error = fault(await client.send(REQUEST))

    assert (error.kind, error.is_sent, error.is_counted) == ("certificate", False, False)
    assert "not trusted" in error.error.message
    assert server.requests == []


async def test_cancelling_a_send_closes_its_connection() -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
        await reader.read()

    async with serving(talk) as server, transport(server.url) as client:
        task = asyncio.create_task(client.send(REQUEST))
        while not server.requests:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.is_done.wait(), 5)


async def test_hundreds_of_requests_are_open_at_once_because_the_limiter_is_the_only_gate() -> None:
    gate = asyncio.Event()

    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.take(reader)
        if len(server.requests) == 150:
            gate.set()
        await gate.wait()
        writer.write(answer(GOOD))

    async with serving(talk) as server, transport(server.url) as client:
        replies = await asyncio.gather(*(client.send(REQUEST) for _ in range(150)))

    assert all(isinstance(reply, RawReply) for reply in replies)


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
