"""A server that sends exactly the bytes it is told to, and a transport that asks it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.secrets import Secret
from llmtop.model import ProviderError, RawReply, WireRequest

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
