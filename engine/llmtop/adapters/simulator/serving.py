"""The simulated provider as a program of its own: what each client is told, and serving until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.server import SimulatedProvider


class Addresses(NamedTuple):
    """What each SDK takes for its base URL."""

    openai: str
    anthropic: str
    gemini: str
    azure: str
    groq: str
    together: str
    mistral: str

    @classmethod
    def at(cls, root: str) -> Addresses:
        """Return the addresses of the server at `root`."""
        houses = (f"{root}/{name}" for name in ("azure", "groq", "together", "mistral"))
        return cls(f"{root}/v1", root, root, *houses)


async def run_forever(profile: Profile, port: int, on_ready: Callable[[Addresses], None]) -> None:
    """Serve until cancelled; `on_ready` gets the addresses. Raises UsageError where the port is taken."""
    async with SimulatedProvider(profile, port) as server:
        on_ready(Addresses.at(server.root_url))
        await asyncio.Event().wait()
