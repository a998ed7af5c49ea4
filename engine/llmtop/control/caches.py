"""The response cache, for front ends: what is in it, and how to make it smaller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from llmtop.adapters.cache import CacheGroup, SharedCache
from llmtop.adapters.cache.redis import RedisCache
from llmtop.adapters.home import Home
from llmtop.config.amounts import duration, size
from llmtop.config.values import BadValue
from llmtop.errors import StateError, UsageError

__all__ = ["CacheGroup", "CacheListing", "OpenedCache", "open_cache", "read_duration", "read_size"]

_TEN_YEARS_S = 3650 * 86400.0
_NO_LIMIT = 2**60
"""How large the cache may be is the business of the runs that write to it."""


@dataclass(frozen=True, slots=True)
class CacheListing:
    """What is in a cache."""

    groups: tuple[CacheGroup, ...]
    """By provider and model, largest first."""
    used_bytes: int
    """What the answers take, with all that belongs to them."""


class OpenedCache:
    """One cache. Every method raises StateError when it cannot be used, or could not be meanwhile."""

    def __init__(self, where: str, cache: SharedCache | RedisCache) -> None:
        self.where = where
        """Its file, or the variable that holds its address."""
        self._cache = cache

    async def listing(self) -> CacheListing:
        """Return what is in it."""
        groups = await self._cache.groups()
        used = await self._cache.used_bytes()
        self._check()
        return CacheListing(tuple(groups), used)

    async def prune(self, max_bytes: int | None, older_than_s: float | None) -> int:
        """Remove what has expired, is older, and beyond the size what was not used for longest."""
        removed = await self._cache.prune(max_bytes, older_than_s)
        self._check()
        return removed

    async def clear(self) -> int:
        """Remove everything; return how many answers went."""
        removed = await self._cache.clear()
        self._check()
        return removed

    def _check(self) -> None:
        notices = self._cache.take_notices()
        if notices:
            raise StateError("", "; ".join(notices))


@asynccontextmanager
async def open_cache(
    home: Home, redis_url_env: str | None, environ: Mapping[str, str]
) -> AsyncIterator[OpenedCache]:
    """Open the cache of a state folder, or the one in Redis.

    Raises UsageError or ConfigError for an address that is none, StateError when it cannot be used.
    """
    cache: SharedCache | RedisCache
    if redis_url_env is None:
        where = str(home.folder / "cache.db")
        cache = await asyncio.to_thread(SharedCache, home.folder / "cache.db", _NO_LIMIT)
    else:
        where = redis_url_env
        if not (url := environ.get(redis_url_env, "").strip()):
            raise UsageError(
                "--redis-url-env", f"names {redis_url_env[:60]}, which is not set", "Name the variable"
            )
        cache = RedisCache(url)
        await cache.check()
    opened = OpenedCache(where, cache)
    try:
        opened._check()
        yield opened
    finally:
        await cache.close()


def read_size(option: str, text: str) -> int:
    """Read `500MB`. Raises UsageError."""
    try:
        return int(size(0, 2**40)(_number(text)))
    except BadValue as fault:
        raise UsageError(option, fault.what, fault.remedy) from None


def read_duration(option: str, text: str) -> float:
    """Read `7d`; return seconds. Raises UsageError."""
    try:
        return float(duration(0, _TEN_YEARS_S)(_number(text)))
    except BadValue as fault:
        raise UsageError(option, fault.what, fault.remedy) from None


def _number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else text
