"""The embedded simulated providers of this process: one server for every set of settings."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from types import TracebackType

from llmtop.adapters.simulator import Profile, SimulatedProvider, load_profile
from llmtop.config.schema import PricesConfig, RunConfig


class Simulators:
    """Use it as `async with`; the servers live as long."""

    def __init__(self) -> None:
        self._servers: dict[str, SimulatedProvider] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Simulators:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def serve(self, config: RunConfig) -> RunConfig:
        """Start the config's simulator where none runs yet; return the config with its prices.

        Raises ConfigError.
        """
        key = _key(config)
        if key not in self._servers:
            profile = load_profile(config.provider.simulator)
            self._servers[key] = await self._stack.enter_async_context(SimulatedProvider(profile))
        return with_simulated_prices(config)

    def address(self, config: RunConfig) -> str | None:
        """Return where the config's embedded simulator listens; None: it asks somebody else."""
        if not is_embedded(config):
            return None
        return self._servers[_key(config)].base_url


def is_embedded(config: RunConfig) -> bool:
    """Whether the config asks a simulated provider of this process."""
    return config.provider.kind == "simulator" and config.provider.base_url is None


def with_simulated_prices(config: RunConfig) -> RunConfig:
    """Return the config with its embedded simulator's own prices, unless it brings some.

    Raises ConfigError.
    """
    if not is_embedded(config) or config.prices.input is not None:
        return config
    return replace(config, prices=_prices(config.prices, load_profile(config.provider.simulator)))


def _key(config: RunConfig) -> str:
    return json.dumps(config.provider.simulator, sort_keys=True, default=str)


def _prices(prices: PricesConfig, profile: Profile) -> PricesConfig:
    """The simulator bills by its own list: USD per million tokens, here in pico-dollars a token."""
    return replace(
        prices,
        input=_per_token(profile.price_input),
        output=_per_token(profile.price_output),
        cached_input=_per_token(profile.price_cached_input),
        batch_discount=profile.batch_discount,
    )


def _per_token(usd_per_mtok: float) -> int:
    return int(Decimal(str(usd_per_mtok)) * 10**6)
