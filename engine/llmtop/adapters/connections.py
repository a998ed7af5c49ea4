"""How llmtop uses aiohttp's connections: each belongs to one request until its answer was judged.

aiohttp gives a connection back to the pool with the last byte of a body, before anybody has seen
whether the answer makes sense, and hands out a pooled one on which bytes nobody asked for have
arrived: the next request would take them for its own answer. Both would cross results.
"""

from __future__ import annotations

import socket
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from aiohttp import (
    AddrInfoType,
    ClientRequest,
    ClientResponse,
    ClientTimeout,
    TCPConnector,
    encode_basic_auth,
)
from yarl import URL

from llmtop.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(slots=True)
class Leg:
    """What one send learns about its connection."""

    is_connected: bool = False
    is_new: bool = False
    """Whether a socket was opened for it."""


LEG: ContextVar[Leg] = ContextVar("llmtop_leg")


class JudgedResponse(ClientResponse):
    """A response that keeps its connection at the end of the body: `give_back` or `close` ends it."""

    def _response_eof(self) -> None:
        """Leave the connection where it is; without this override it would go back to the pool here."""

    def give_back(self) -> None:
        """The answer is whole and makes sense: let the connection serve the next request."""
        super()._response_eof()


class CleanConnector(TCPConnector):
    """A pool without a limit of its own, that never hands out a connection with leftovers on it."""

    def __init__(self) -> None:
        super().__init__(limit=0, socket_factory=_open)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Return a clean connection, and note it in the current `LEG`."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                LEG.get().is_connected = True
                return connection
            connection.close()


def _open(address: AddrInfoType) -> socket.socket:
    """Open a socket, and note in the current `LEG` that it is a new one."""
    LEG.get().is_new = True
    family, kind, protocol, _name, _address = address
    return socket.socket(family, kind, protocol)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the headers that it wants."""

    url: URL
    headers: dict[str, str] = field(repr=False)


def environment_proxy(url: URL) -> Proxy | None:
    """Return the proxy that the environment names for `url`; None: go directly.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in both spellings. Looked up once: aiohttp's own
    `trust_env` asks in a thread for each request, and lets an entry of `.netrc` clash with our key.
    """
    proxies = getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or url.host is None or proxy_bypass(url.host):
        return None
    proxy = URL(text if "://" in text else f"http://{text}")
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise ConfigError(
            f"the proxy of the environment ({url.scheme}_proxy)",
            "is no http or https address",
            "Set it to http://host:port, or put the provider's host into NO_PROXY.",
        )
    headers = {}
    if proxy.user or proxy.password:
        headers = {"Proxy-Authorization": encode_basic_auth(proxy.user or "", proxy.password or "")}
    return Proxy(proxy.with_user(None), headers)
