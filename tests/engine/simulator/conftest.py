"""A plain client for the simulator: it knows nothing of llmtop."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llmtop.adapters.simulator import SimulatedProvider

_SUPPORT = str(Path(__file__).parents[2] / "support")
if _SUPPORT not in sys.path:
    sys.path.insert(0, _SUPPORT)

from simulated import Simulated, simulated_provider  # noqa: E402


@dataclass(frozen=True)
class Seen:
    """What the client saw of one request; status 0: no answer."""

    status: int
    text: str = ""
    headers: dict[str, str] | None = None
    broke: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def content(self) -> Any:
        return self.json["choices"][0]["message"]["content"]


Ask = Callable[..., Awaitable[Seen]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as opened:
        yield opened


@pytest.fixture
def ask(session: aiohttp.ClientSession) -> Ask:
    """Ask a server about a text; further keywords go into the request's body."""

    async def asking(
        server: SimulatedProvider, text: str, headers: dict[str, str] | None = None, **more: Any
    ) -> Seen:
        body = {"model": "sim-small", "messages": [{"role": "user", "content": text}], **more}
        try:
            async with session.post(
                f"{server.base_url}/chat/completions", json=body, headers=headers
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                return Seen(answer.status, await answer.text(), names)
        except aiohttp.ClientError as error:
            return Seen(0, broke=type(error).__name__)

    return asking


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """A provider for clients that block; its time passes by hand."""
    with simulated_provider() as provider:
        yield provider
