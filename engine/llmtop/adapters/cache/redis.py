"""The shared cache in Redis, for several machines: the same contract as the one in SQLite.

Its size is Redis's own business (`maxmemory` with an `allkeys-lru` policy). A server that is gone
or slow costs a run next to nothing: after a failure it is left alone for some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import orjson

from llmtop.adapters.cache.entries import CacheGroup, packed, unpacked
from llmtop.errors import ConfigError
from llmtop.model import Answer

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PREFIX = b"llmtop:answer:"
_CALL_WITHIN_S = 0.25
_LEAVE_ALONE_S = 5.0
_QUEUED_AT_MOST = 10_000
_WRITTEN_AT_ONCE = 100
_READ_AT_ONCE = 200


class RedisCache:
    """Answers by request in one Redis database. Use from one event loop; `close` writes what waits.

    No failure of the server is raised: it becomes a notice (`take_notices`) and misses.
    """

    def __init__(self, url: str, wall: Callable[[], float] = time.time) -> None:
        """Use the server at `url` (`redis://`, `rediss://`, `unix://`); nothing is asked yet.

        Raises ConfigError for an address that is none, and where the package is missing. The
        address may hold a password and is never repeated.
        """
        self._client = _client(url)
        self._wall = wall
        self._notices: deque[str] = deque()
        self._queue: deque[tuple[bytes, bytes, int]] = deque()
        self._unwritten: dict[bytes, bytes] = {}  # what is put is there at once
        self._writing: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._is_told = False

    def __repr__(self) -> str:
        return f"RedisCache({len(self._queue)} waiting)"

    def take_notices(self) -> list[str]:
        """Return what the user should know and was not told yet."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    async def get(self, key: bytes, ttl_s: float) -> Answer | None:
        """Return the answer to an equal request that is not older than `ttl_s`; None: there is none."""
        name = _PREFIX + key
        found = self._unwritten.get(name) or await self._try(self._client.get(name))
        entry = None if found is None else _read(found)
        if entry is None or entry[1] <= self._wall() - ttl_s:
            return None
        return unpacked(entry[2])

    def put(self, key: bytes, answer: Answer, *, place: str, ttl_s: float) -> None:
        """Keep an answer for `ttl_s`; returns at once. `place` is `kind/model`, for lists."""
        value = packed(answer)
        if value is None or len(self._queue) >= _QUEUED_AT_MOST:
            return
        stored = orjson.dumps([place, self._wall(), answer.cost_pusd]) + b"\n" + value
        self._queue.append((_PREFIX + key, stored, max(1, int(ttl_s * 1000))))
        self._unwritten[_PREFIX + key] = stored
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="cache writer")

    async def groups(self) -> list[CacheGroup]:
        """Return what there is, by provider and model."""
        found: dict[str, CacheGroup] = {}
        async for _, value in self._all():
            entry = _read(value)
            if entry is None:
                continue
            place, at, packed_answer, worth = *entry[:3], entry[3] or 0
            one = CacheGroup(
                place=place, entries=1, bytes=len(packed_answer), worth_pusd=worth, oldest_at=at, used_at=at
            )
            found[place] = _sum(found[place], one) if place in found else one
        return sorted(found.values(), key=lambda group: (-group.bytes, group.place))

    async def used_bytes(self) -> int:
        """Return the bytes of all answers."""
        return sum(group.bytes for group in await self.groups())

    async def prune(self, max_bytes: int | None = None, older_than_s: float | None = None) -> int:
        """Remove what is older than asked, then the oldest beyond `max_bytes`; return how many went.

        What has expired Redis removes by itself.
        """
        entries = sorted(
            [
                (entry[1], len(value), key)
                async for key, value in self._all()
                if (entry := _read(value)) is not None
            ]
        )
        before = float("-inf") if older_than_s is None else self._wall() - older_than_s
        size = sum(count for _, count, _ in entries)
        gone = []
        for at, count, key in entries:
            if at < before or (max_bytes is not None and size > max_bytes):
                gone.append(key)
                size -= count
        return await self._remove(gone)

    async def clear(self) -> int:
        """Remove everything; return how many entries went."""
        return await self._remove([key async for key, _ in self._all()])

    async def close(self) -> None:
        """Write what waits, and let go of the connections."""
        if self._writing is not None:
            await self._writing
        await self._client.aclose()

    async def check(self) -> None:
        """Ask whether the server answers; what is wrong becomes a notice."""
        await self._try(self._client.ping())

    async def _write(self) -> None:
        while self._queue:
            pipe = self._client.pipeline(transaction=False)
            part = [self._queue.popleft() for _ in range(min(len(self._queue), _WRITTEN_AT_ONCE))]
            for key, value, term_ms in part:
                pipe.set(key, value, px=term_ms)
            await self._try(pipe.execute())
            for key, value, _ in part:
                if self._unwritten.get(key) is value:
                    del self._unwritten[key]

    async def _all(self) -> AsyncIterator[tuple[bytes, bytes]]:
        cursor: Any = 0
        while True:
            answer = await self._try(self._client.scan(cursor, match=_PREFIX + b"*", count=_READ_AT_ONCE))
            if answer is None:
                return
            cursor, keys = answer
            values = (await self._try(self._client.mget(keys)) or []) if keys else []
            for key, value in zip(keys, values, strict=False):
                if value is not None:
                    yield key, value
            if not cursor:
                return

    async def _remove(self, keys: list[bytes]) -> int:
        total = 0
        for start in range(0, len(keys), _READ_AT_ONCE):
            total += await self._try(self._client.unlink(*keys[start : start + _READ_AT_ONCE])) or 0
        return total

    async def _try(self, call: Any) -> Any:
        """Await a call; None where it fails, and for some seconds after a failure."""
        from redis.exceptions import RedisError

        if time.monotonic() < self._away_until:
            with contextlib.suppress(AttributeError):
                call.close()  # it was never begun
            return None
        try:
            async with asyncio.timeout(_CALL_WITHIN_S):
                answer = await call
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + _LEAVE_ALONE_S
            if not self._is_told:
                self._is_told = True
                self._notices.append(
                    f"the Redis cache does not answer ({type(error).__name__}): going on without"
                )
            return None
        if self._is_told:
            self._is_told = False
            self._notices.append("the Redis cache answers again")
        return answer


def _client(url: str) -> Redis:
    where = "cache.redis_url_env"
    try:
        from redis.asyncio import Redis
    except ImportError:
        raise ConfigError(
            where, "needs the package redis", "Install llmtop-run[redis], or take the key out."
        ) from None
    try:
        return Redis.from_url(
            url, socket_timeout=_CALL_WITHIN_S, socket_connect_timeout=_CALL_WITHIN_S, max_connections=64
        )
    except ValueError:
        raise ConfigError(
            where, "names a variable that holds no Redis address", "For example redis://localhost:6379/0."
        ) from None


def _read(stored: bytes) -> tuple[str, float, bytes, int | None] | None:
    """Return (place, stored at, packed answer, cost) of a stored value; None where it is none of ours."""
    head, _, value = stored.partition(b"\n")
    try:
        place, at, cost = orjson.loads(head)
    except ValueError:
        return None
    if not isinstance(place, str) or not isinstance(at, float | int):
        return None
    return place, float(at), value, cost if isinstance(cost, int) else None


def _sum(one: CacheGroup, other: CacheGroup) -> CacheGroup:
    return CacheGroup(
        place=one.place,
        entries=one.entries + other.entries,
        bytes=one.bytes + other.bytes,
        worth_pusd=one.worth_pusd + other.worth_pusd,
        oldest_at=min(one.oldest_at, other.oldest_at),
        used_at=max(one.used_at, other.used_at),
    )
