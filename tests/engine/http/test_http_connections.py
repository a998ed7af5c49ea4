"""The transport against connections that end, hang or never begin."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from pathlib import Path

import pytest
import trustme
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

from llmtop.model import Outcome, RawReply

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
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(always(answer(GOOD)), tls) as server, transport(server.url) as client:
        error = fault(await client.send(REQUEST))

    assert (error.kind, error.is_sent, error.is_counted) == ("certificate", False, False)
    assert "not trusted" in error.error.message
    assert server.requests == []


_ASK = """
import asyncio, sys
from llmtop.adapters.http import HttpTransport
from llmtop.model import WireRequest

async def main():
    async with HttpTransport(sys.argv[1], None, lambda key: {}, {}, 5.0, 5.0, 10**6) as transport:
        print(getattr(await transport.send(WireRequest("/x", b"{}", {})), "status", None))

asyncio.run(main())
"""


async def test_a_certificate_of_the_authority_in_ssl_cert_file_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async with serving(always(answer(GOOD)), tls) as server:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _ASK, server.url),
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await client.communicate()

    assert out == b"200\n"


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
