"""The response caches of one process: one for the state folder, one for each Redis address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from llmtop.adapters.cache import SharedCache, request_key
from llmtop.adapters.cache.entries import request_scope
from llmtop.adapters.cache.redis import RedisCache
from llmtop.config.kinds import effective_base_url
from llmtop.config.schema import RunConfig
from llmtop.errors import ConfigError
from llmtop.submit.cached import CacheUse, InFlight


class Caches:
    """Opened when the first run wants one; `close` writes what waits. All runs share what is in flight."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.in_flight = InFlight()
        self._path = folder / "cache.db"
        self._environ = environ
        self._shared: SharedCache | None = None
        self._redis: dict[str, RedisCache] = {}

    async def use(self, config: RunConfig) -> CacheUse | None:
        """Return what a run needs of its cache; None: it wants none. Raises ConfigError."""
        if not config.cache.enabled:
            return None
        provider = config.provider
        return CacheUse(
            cache=await self._cache(config),
            key_of=partial(
                request_key, request_scope(provider.kind, _address(config), provider.model, provider.headers)
            ),
            place=f"{provider.kind}/{provider.model}",
            ttl_s=config.cache.ttl,
        )

    def take_notices(self) -> list[str]:
        """Return what the user should know and was not told yet."""
        notices = [notice for cache in self._redis.values() for notice in cache.take_notices()]
        return notices if self._shared is None else self._shared.take_notices() + notices

    async def close(self) -> None:
        """Write what waits, and let go of files and connections. Safe to call twice."""
        for cache in self._redis.values():
            await cache.close()
        self._redis.clear()
        if self._shared is not None:
            await self._shared.close()

    async def _cache(self, config: RunConfig) -> SharedCache | RedisCache:
        variable = config.cache.redis_url_env
        if variable is not None:
            url = self._environ.get(variable, "").strip()
            if not url:
                what = f"names {variable}, which is not set"
                raise ConfigError("cache.redis_url_env", what, "Set it to redis://HOST:PORT/DB.")
            if url not in self._redis:
                self._redis[url] = RedisCache(url)
                await self._redis[url].check()
            return self._redis[url]
        if self._shared is None:
            self._shared = await asyncio.to_thread(SharedCache, self._path, config.cache.max_size)
        self._shared.max_bytes = min(self._shared.max_bytes, config.cache.max_size)
        return self._shared


def _address(config: RunConfig) -> str:
    """Whom a run asks. The embedded simulator has another port each time: its settings stand for it."""
    settings = json.dumps(config.provider.simulator, sort_keys=True, default=str)
    return effective_base_url(config.provider) or f"simulator {settings}"
