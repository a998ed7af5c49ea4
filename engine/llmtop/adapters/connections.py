"""How llmtop uses aiohttp's connections: each belongs to one request until its answer was judged.

aiohttp gives a connection back to the pool with the last byte of a body, before anybody has seen
whether the answer makes sense, and hands out a pooled one on which bytes nobody asked for have
arrived: the next request would take them for its own answer. Both would cross results.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

from aiohttp import BasicAuth, ClientRequest, ClientResponse, ClientTimeout, TCPConnector
from yarl import URL

from llmtop.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(slots=True)
class Leg:
    """What one send learns about its connection."""

    is_connected: bool = False
    is_reused: bool = False


LEG: ContextVar[Leg] = ContextVar("llmtop_leg")


class JudgedResponse(ClientResponse):
    """A response that keeps its connection at the end of the body: `release` or `close` ends it."""

    def _response_eof(self) -> None:
        """Leave the connection where it is; without this override it would go back to the pool here."""


class CleanConnector(TCPConnector):
    """A pool without a limit of its own, that never hands out a connection with leftovers on it."""

    def __init__(self) -> None:
        super().__init__(limit=0)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Return a clean connection, and note in the current `LEG` whether it was used before."""
        leg = LEG.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                break
            connection.close()
        leg.is_connected = True
        if protocol is not None:
            leg.is_reused = protocol in self._used
            self._used.add(protocol)
        return connection


def environment_proxy(url: URL) -> tuple[URL, BasicAuth | None] | None:
    """Return the proxy that the environment names for `url`, and its user; None: go directly.

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
    user = BasicAuth(proxy.user or "", proxy.password or "") if proxy.user or proxy.password else None
    return proxy.with_user(None), user
