"""HTTP for batch jobs: any method, files sent from disk, and answers read while they come.

Everything that holds for `http` holds here: no redirects, no retries, the key in one header at the
last moment. An address that an answer names is asked at our own host only: its path is taken, never
its host, so that the key cannot be sent elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientTimeout
from yarl import URL

from llmtop.adapters import http_faults as faults
from llmtop.adapters.connections import LEG, JudgedResponse, Leg
from llmtop.adapters.http import HttpTransport
from llmtop.model import ProviderError, RawReply

_BLOCK = 256 * 1024
_SLOWEST_BYTES_A_S = 128 * 1024
"""An upload gets the time that it needs at this speed, on top of the usual."""


class FilePart:
    """A body that is read from disk while it is sent, between a beginning and an end."""

    def __init__(self, path: Path, before: bytes = b"", after: bytes = b"") -> None:
        self.path = path
        self.before = before
        self.after = after
        self.size = len(before) + path.stat().st_size + len(after)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces."""
        yield self.before
        with self.path.open("rb") as file:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                yield block
        yield self.after


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """A good answer whose body is still coming."""

    headers: Mapping[str, str]
    blocks: AsyncIterator[bytes]


class StreamFault(Exception):
    """A body that broke off."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.error.message)
        self.error = error


class BatchTransport(HttpTransport):
    """`HttpTransport` with what batch jobs need besides."""

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | FilePart = b"",
        headers: Mapping[str, str] | None = None,
    ) -> RawReply | ProviderError:
        """Send one request and return the whole answer, whatever its status, or why there is none.

        `path`: below the base address, or a whole address of which only path and query are taken.
        """
        leg = Leg()
        LEG.set(leg)
        try:
            reply: RawReply | ProviderError = await self._called(method, path, body, headers or {})
        except faults.EXPECTED as error:
            reply = faults.fault_of(error, leg, self._base_url, self._timeout.total or 0.0)
        return self._safe(reply)

    async def _called(
        self, method: str, path: str, body: bytes | FilePart, headers: Mapping[str, str]
    ) -> RawReply | ProviderError:
        response = await self._opened(method, path, body, headers, self._time_for(body))
        try:
            reply = await self._read(response)
        finally:
            response.close()
        return faults.redirected(reply, self._base_url) if 300 <= reply.status < 400 else reply

    def file(self, path: Path, before: bytes = b"", after: bytes = b"") -> FilePart:
        """Return a body that is read from disk while it is sent."""
        return FilePart(path, before, after)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[StreamedAnswer | RawReply | ProviderError]:
        """GET something large: a good answer comes in pieces, any other one whole.

        The pieces raise StreamFault where the body breaks off; between two of them no more than
        the usual time-out may pass.
        """
        leg = Leg()
        LEG.set(leg)
        timeout = ClientTimeout(
            connect=self._timeout.connect,
            sock_connect=self._timeout.sock_connect,
            sock_read=self._timeout.total,
        )
        try:
            response = await self._opened("GET", path, b"", headers or {}, timeout)
        except faults.EXPECTED as error:
            yield self._safe(faults.fault_of(error, leg, self._base_url, self._timeout.total or 0.0))
            return
        try:
            if response.status == 200:
                yield StreamedAnswer(_lowered(response), self._blocks(response, leg))
            else:
                yield await self._refused(response, leg)
        finally:
            response.close()

    async def _refused(self, response: JudgedResponse, leg: Leg) -> RawReply | ProviderError:
        try:
            reply = await self._read(response)
        except faults.EXPECTED as error:
            return self._safe(faults.fault_of(error, leg, self._base_url, self._timeout.total or 0.0))
        return self._safe(faults.redirected(reply, self._base_url) if 300 <= reply.status < 400 else reply)

    async def _blocks(self, response: JudgedResponse, leg: Leg) -> AsyncIterator[bytes]:
        try:
            async for block in response.content.iter_chunked(_BLOCK):
                yield block
        except faults.EXPECTED as error:
            fault = faults.fault_of(error, leg, self._base_url, self._timeout.total or 0.0)
            safe = self._safe(fault)
            assert isinstance(safe, ProviderError)
            raise StreamFault(safe) from None

    async def _opened(
        self,
        method: str,
        path: str,
        body: bytes | FilePart,
        headers: Mapping[str, str],
        timeout: ClientTimeout,
    ) -> JudgedResponse:
        if self._session is None:
            raise RuntimeError("the transport is not open")
        sent = dict(headers)
        data: Any = body or None
        if isinstance(body, FilePart):
            sent["Content-Length"] = str(body.size)
            data = body.blocks()
        if self._key is not None:
            sent.update(self._key_headers(self._key.reveal()))
        response = await self._session.request(
            method,
            self._address(path),
            data=data,
            headers=sent,
            allow_redirects=False,
            timeout=timeout,
            proxy_headers=None if self._proxy is None else self._proxy.headers,
        )
        assert isinstance(response, JudgedResponse)
        return response

    def _address(self, path: str) -> URL:
        if path.startswith(("http://", "https://")):
            named = URL(path)
            return self._base_url.origin().join(named.relative())
        base = str(self._base_url).rstrip("/")
        return URL(f"{base}/{path.lstrip('/')}")

    def _time_for(self, body: bytes | FilePart) -> ClientTimeout:
        size = body.size if isinstance(body, FilePart) else len(body)
        return ClientTimeout(
            total=(self._timeout.total or 0.0) + size / _SLOWEST_BYTES_A_S,
            connect=self._timeout.connect,
            sock_connect=self._timeout.sock_connect,
        )

    def _safe(self, reply: RawReply | ProviderError) -> RawReply | ProviderError:
        if isinstance(reply, ProviderError) and self._key is not None:
            return faults.masked(reply, self._key)
        return reply


def _lowered(response: JudgedResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
