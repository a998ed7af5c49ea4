"""The cache in Redis keeps the same contract; against a real server, where one is installed."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llmtop.errors import ConfigError
from llmtop.model import Answer, Usage

pytest.importorskip("redis", reason="the extra `redis` is not installed")
from llmtop.adapters.cache.redis import RedisCache

DAY_S = 86400.0
SERVER = shutil.which("redis-server")


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def answer(text: str = "an answer", cost: int | None = 27_100) -> Answer:
    return Answer(text, "stop", "m-2026", Usage(410, 10, 0, 82, 3), cost)


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A Redis server of the test's own, on a socket in its folder."""
    if SERVER is None:
        pytest.skip("redis-server is not installed")
    socket = tmp_path / "r.sock"
    process = await asyncio.create_subprocess_exec(
        *(SERVER, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(10):
        while b"eady to accept connections" not in await process.stdout.readline():
            continue
        # it says so once for each of its listening sockets
        while not socket.exists():
            await asyncio.sleep(0.005)
    yield f"unix://{socket}"
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_an_answer_comes_back_as_it_was_in_another_opening_too(url: str) -> None:
    cache = RedisCache(url)
    cache.put(key("a"), answer("Dé uitleg\u2028"), place="openai/m", ttl_s=DAY_S)
    await cache.close()

    again = RedisCache(url)

    assert await again.get(key("a"), DAY_S) == answer("Dé uitleg\u2028")
    assert await again.get(key("b"), DAY_S) is None
    assert again.take_notices() == []
    await again.close()


async def test_an_answer_is_gone_after_the_term_it_was_kept_for_or_is_asked_for(url: str) -> None:
    now = [1_790_000_000.0]
    cache = RedisCache(url, lambda: now[0])
    cache.put(key("short"), answer(), place="openai/m", ttl_s=0.001)
    cache.put(key("a"), answer(), place="openai/m", ttl_s=10 * DAY_S)
    await cache.close()
    cache = RedisCache(url, lambda: now[0])
    await asyncio.sleep(0.005)

    now[0] += 5 * DAY_S

    assert await cache.get(key("a"), 30 * DAY_S) is not None
    assert await cache.get(key("a"), 4 * DAY_S) is None
    assert await cache.get(key("short"), 30 * DAY_S) is None
    await cache.close()


async def test_it_is_listed_pruned_and_cleared_and_leaves_other_keys_alone(url: str) -> None:
    from redis.asyncio import Redis

    now = [1_790_000_000.0]
    cache = RedisCache(url, lambda: now[0])
    other = Redis.from_url(url)
    await other.set("precious", "1")
    for number in range(500):
        now[0] += 1.0
        cache.put(key(str(number)), answer("x" * 1000, 7), place=f"openai/{number % 2}", ttl_s=DAY_S)
    await cache.close()
    cache = RedisCache(url, lambda: now[0])

    groups = {group.place: (group.entries, group.worth_pusd) for group in await cache.groups()}

    assert groups == {"openai/0": (250, 1750), "openai/1": (250, 1750)}
    assert await cache.prune(older_than_s=99.5) == 400
    assert 40 < await cache.prune(max_bytes=60_000) < 60
    assert await cache.get(key("499"), DAY_S) is not None
    assert 40 < await cache.clear() < 60
    assert await cache.groups() == []
    assert await other.get("precious") == b"1"
    await other.aclose()
    await cache.close()


async def test_a_server_that_is_gone_is_a_notice_and_misses(tmp_path: Path) -> None:
    cache = RedisCache(f"unix://{tmp_path / 'nobody.sock'}")

    cache.put(key("a"), answer(), place="openai/m", ttl_s=DAY_S)
    found = [await cache.get(key("b"), DAY_S) for _ in range(100)]
    await cache.close()

    assert found == [None] * 100
    (notice,) = cache.take_notices()
    assert "does not answer" in notice


async def test_a_value_that_somebody_else_wrote_is_a_miss(url: str) -> None:
    from redis.asyncio import Redis

    other = Redis.from_url(url)
    await other.set(b"llmtop:answer:" + key("a"), b"\xff[]\nnot ours")
    cache = RedisCache(url)

    assert await cache.get(key("a"), DAY_S) is None
    assert await cache.groups() == []
    await other.aclose()
    await cache.close()


def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        RedisCache("http://user:secret@example.org")

    assert "secret" not in str(caught.value)
    assert "redis://" in str(caught.value)
