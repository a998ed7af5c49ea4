"""One provider endpoint over HTTP: a request out, an answer in, and every failure a value.

It knows sockets, deadlines, sizes and the key; what an answer means is the wire format's business.
No retries, no redirects, no cookies, no limit of its own on connections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from types import TracebackType
from typing import Self

from aiohttp import BytesPayload, ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

from llmtop import __version__
from llmtop.adapters import http_faults as faults
from llmtop.adapters.connections import LEG, CleanConnector, JudgedResponse, Leg, environment_proxy
from llmtop.adapters.http_faults import BodyTooLarge, HeadTooLarge
from llmtop.adapters.secrets import Secret
from llmtop.errors import ConfigError
from llmtop.model import ProviderError, RawReply, WireRequest

_MAX_HEADER_BYTES = 64 * 1024
_MAX_HEADER_LINE = 16 * 1024
_MAX_HEADERS = 256
_FORBIDDEN_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HttpTransport:
    """Sends requests to one endpoint. Use it as `async with`; leaving it closes every connection.

    `send` may be called by any number of tasks at once. Cancelling one closes its connection.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret | None,
        key_headers: faults.KeyHeaders,
        headers: Mapping[str, str],
        timeout_s: float,
        connect_timeout_s: float,
        max_bytes: int,
        *,
        is_proxied: bool = True,
    ) -> None:
        """`key_headers`: key to headers, the wire format's. `max_bytes`: decoded body.

        `is_proxied`: whether proxies of the environment are used; False for our own simulator.
        """
        self._base_url = _checked_url(base_url)
        self._key = key
        self._key_headers = key_headers
        self._headers = _checked_headers(headers)
        self._timeout = ClientTimeout(
            total=timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s
        )
        self._max_bytes = max_bytes
        self._proxy = environment_proxy(self._base_url) if is_proxied else None
        self._urls: dict[str, URL] = {}
        self._session: ClientSession | None = None

    def __repr__(self) -> str:
        state = "closed" if self._session is None else "open"
        return f"HttpTransport({str(self._base_url)!r}, key={self._key!r}, {state})"

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=CleanConnector(),
            response_class=JudgedResponse,
            cookie_jar=DummyCookieJar(),
            timeout=self._timeout,
            headers={"User-Agent": f"llmtop/{__version__}", **self._headers, **self._plain_proxy_headers()},
            proxy=self._proxy.url if self._proxy else None,
            max_line_size=_MAX_HEADER_LINE,
            max_field_size=_MAX_HEADER_LINE,
            max_headers=_MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: WireRequest) -> RawReply | ProviderError:
        """Send one request and return the whole answer, whatever its status, or why there is none.

        3xx answers are errors (a wrong base_url). The key is masked in all that comes back.
        """
        leg = Leg()
        LEG.set(leg)
        try:
            reply = await self._exchange(request)
        except faults.EXPECTED as error:
            reply = faults.fault_of(error, leg, self._base_url, self._timeout.total or 0.0)
        if isinstance(reply, ProviderError) and self._key is not None:
            return faults.masked(reply, self._key)
        return reply

    async def _exchange(self, request: WireRequest) -> RawReply | ProviderError:
        if self._session is None:
            raise RuntimeError("the transport is not open")
        url = self._urls.get(request.path) or self._url(request.path)
        response = await self._session.post(
            url,
            data=BytesPayload(request.body),
            headers=self._request_headers(request),
            allow_redirects=False,
            proxy_headers=None if self._proxy is None else self._proxy.headers,
        )
        assert isinstance(response, JudgedResponse)
        try:
            reply = await self._read(response)
            is_sound = 200 <= response.status < 600 and _looks_like_json(reply.body)
        except BaseException:
            response.close()
            raise
        if is_sound:
            response.give_back()
        else:
            response.close()
        if 300 <= reply.status < 400:
            return faults.redirected(reply, self._base_url)
        return reply

    def _plain_proxy_headers(self) -> Mapping[str, str]:
        """Without TLS the proxy reads the request itself: its headers go there and not into a CONNECT."""
        if self._proxy is None or self._base_url.scheme != "http":
            return {}
        return self._proxy.headers

    def _url(self, path: str) -> URL:
        url = URL(f"{str(self._base_url).rstrip('/')}/{path.lstrip('/')}")
        self._urls[path] = url
        return url

    def _request_headers(self, request: WireRequest) -> Mapping[str, str]:
        """Put the key in at the last moment."""
        if self._key is None:
            return request.headers
        return {**request.headers, **self._key_headers(self._key.reveal())}

    async def _read(self, response: JudgedResponse) -> RawReply:
        """Read the body, counting decoded bytes while they come."""
        if sum(map(len, chain.from_iterable(response.raw_headers))) > _MAX_HEADER_BYTES:
            raise HeadTooLarge(_MAX_HEADER_BYTES)
        content = response.content
        if content.is_eof():
            body = content.read_nowait()
            if len(body) > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
        else:
            body = await self._read_chunks(response)
        headers = {name.lower(): value for name, value in response.headers.items()}
        if self._key is not None:
            body = self._key.mask_body(body, is_error=response.status >= 400)
            if response.status >= 300:
                headers = {name: self._key.mask(value) for name, value in headers.items()}
        return RawReply(status=response.status, headers=headers, body=body)

    async def _read_chunks(self, response: JudgedResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _looks_like_json(body: bytes) -> bool:
    """Whether a body is framed as a JSON object or list; one that is not ends its connection (promise R5)."""
    if body[:1] == b"{" and body[-1:] == b"}":
        return True
    text = body.strip().removeprefix(b"\xef\xbb\xbf").lstrip()
    return (text[:1], text[-1:]) in ((b"{", b"}"), (b"[", b"]"))


def _checked_url(base_url: str) -> URL:
    try:
        url = URL(base_url)
        is_right = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigError("provider.base_url", "is no http or https address", "Use https://host/v1.")
    return url


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if _FORBIDDEN_IN_HEADER.search(name + value) or not re.fullmatch(
            r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name
        ):
            raise ConfigError("provider.headers", "holds a name or value that no header can have", "")
    return dict(headers)
