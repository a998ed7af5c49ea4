"""A simulated provider on an event loop of its own, for clients that block; its time passes by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.adapters.simulator.books import Books


class Simulated:
    """What a blocking test may do with the provider."""

    def __init__(
        self, provider: SimulatedProvider, loop: asyncio.AbstractEventLoop, clock: list[float]
    ) -> None:
        self._provider = provider
        self._loop = loop
        self._clock = clock
        self.root_url = provider.root_url

    @property
    def books(self) -> Books:
        """The provider's own count."""
        return self._provider.books

    def change(self, **settings: Any) -> None:
        """Set some settings."""

        async def changing() -> None:
            self._provider.change(settings)

        asyncio.run_coroutine_threadsafe(changing(), self._loop).result(10)

    def pass_s(self, seconds: float) -> None:
        """Let time pass for limits and batches."""
        self._clock[0] += seconds


@contextmanager
def simulated_provider(**settings: Any) -> Iterator[Simulated]:
    """Yield a provider whose batches take no time unless told otherwise."""
    clock = [1000.0]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulated provider", daemon=True)
    thread.start()
    wanted = {"profile": "instant", "batch_s": 0.0, **settings}

    async def opened() -> SimulatedProvider:
        provider = SimulatedProvider(load_profile(wanted), clock=lambda: clock[0])
        return await provider.__aenter__()

    provider = asyncio.run_coroutine_threadsafe(opened(), loop).result(10)
    try:
        yield Simulated(provider, loop, clock)
    finally:
        asyncio.run_coroutine_threadsafe(provider.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
