"""The shared cache in SQLite: what it keeps, for how long, how much of it, and what it survives."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.cache import SharedCache, request_key
from llmtop.adapters.cache.entries import MAX_VALUE_BYTES, packed, request_scope, unpacked
from llmtop.model import Answer, Usage, WireRequest

DAY_S = 86400.0
MIB = 2**20


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def answer(text: str = "an answer", cost: int | None = 27_100) -> Answer:
    return Answer(text, "stop", "m-2026", Usage(410, 10, 0, 82, 3), cost)


def keep(cache: SharedCache, name: str, text: str = "an answer", ttl_s: float = DAY_S) -> None:
    cache.put(key(name), answer(text), place="openai/m", ttl_s=ttl_s)


async def count(cache: SharedCache) -> int:
    return sum(group.entries for group in await cache.groups())


async def test_an_answer_comes_back_as_it_was_in_another_opening_too(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path / "cache.db", MIB)
    keep(cache, "a", "Dé uitleg\u2028 \U0001f600")
    await cache.close()

    again = SharedCache(tmp_path / "cache.db", MIB)

    assert await again.get(key("a"), DAY_S) == answer("Dé uitleg\u2028 \U0001f600")
    assert await again.get(key("b"), DAY_S) is None
    assert again.take_notices() == []
    await again.close()


async def test_an_answer_is_there_at_once_before_it_is_written(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path / "cache.db", MIB)

    keep(cache, "a")

    assert await cache.get(key("a"), DAY_S) == answer()
    await cache.close()


async def test_an_answer_is_gone_after_the_term_it_was_kept_for_or_is_asked_for(tmp_path: Path) -> None:
    clock = Clock()
    cache = SharedCache(tmp_path / "cache.db", MIB, clock)
    keep(cache, "a", ttl_s=10 * DAY_S)
    await count(cache)

    clock.now += 5 * DAY_S
    assert await cache.get(key("a"), 30 * DAY_S) is not None
    assert await cache.get(key("a"), 4 * DAY_S) is None
    clock.now += 6 * DAY_S
    assert await cache.get(key("a"), 30 * DAY_S) is None
    assert await cache.prune() == 1
    await cache.close()


async def test_it_stays_below_its_size_and_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    clock = Clock()
    cache = SharedCache(tmp_path / "cache.db", MIB, clock)
    for number in range(40):
        clock.now += 3600
        keep(cache, f"early {number}", "x" * 10_000, ttl_s=30 * DAY_S)
    await count(cache)
    clock.now += 3600
    assert await cache.get(key("early 0"), DAY_S * 30) is not None

    for number in range(100):
        clock.now += 3600
        keep(cache, f"late {number}", "x" * 10_000, ttl_s=30 * DAY_S)
        await count(cache)

    assert await cache.used_bytes() <= MIB
    assert await cache.get(key("late 99"), DAY_S * 30) is not None
    assert await cache.get(key("early 1"), DAY_S * 30) is None
    assert await count(cache) > 70
    await cache.close()


async def test_an_answer_that_is_used_outlives_one_that_is_not(tmp_path: Path) -> None:
    clock = Clock()
    cache = SharedCache(tmp_path / "cache.db", MIB, clock)
    for name in ("used", "unused"):
        keep(cache, name, "x" * 10_000, ttl_s=99 * DAY_S)
    await count(cache)
    for _ in range(30):
        clock.now += 3600
        for number in range(5):
            keep(cache, f"{number} {clock.now}", "x" * 10_000, ttl_s=99 * DAY_S)
        assert await cache.get(key("used"), 99 * DAY_S) is not None
        await count(cache)

    assert await cache.get(key("unused"), 99 * DAY_S) is None
    await cache.close()


async def test_pruning_and_clearing_give_the_space_back(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path / "cache.db", 64 * MIB)
    for number in range(300):
        keep(cache, str(number), "x" * 10_000)
    assert await count(cache) == 300

    removed = await cache.prune(max_bytes=MIB)
    assert 150 < removed < 300
    assert await cache.used_bytes() <= MIB
    assert await cache.prune(older_than_s=DAY_S) == 0
    assert await cache.clear() == 300 - removed
    await cache.close()

    assert (tmp_path / "cache.db").stat().st_size < 64 * 1024


async def test_the_list_says_what_the_answers_of_a_model_did_cost(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path / "cache.db", MIB)
    cache.put(key("a"), answer(cost=5), place="openai/m", ttl_s=DAY_S)
    cache.put(key("b"), answer(cost=7), place="openai/m", ttl_s=DAY_S)
    cache.put(key("c"), answer(cost=None), place="openai/n", ttl_s=DAY_S)

    found = {group.place: (group.entries, group.worth_pusd) for group in await cache.groups()}

    assert found == {"openai/m": (2, 12), "openai/n": (1, 0)}
    await cache.close()


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"this is no database at all " * 500)


def _torn_pages(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("damage", [_not_a_database, _torn_pages])
async def test_a_damaged_cache_is_put_aside_with_a_notice_and_an_empty_one_begins(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "cache.db"
    cache = SharedCache(path, 64 * MIB)
    for number in range(300):
        keep(cache, str(number), "x" * 1000)
    await cache.close()
    damage(path)
    damaged = path.read_bytes()

    cache = SharedCache(path, 64 * MIB)
    for number in range(300):
        await cache.get(key(str(number)), DAY_S)
    await cache.groups()  # whatever was found is seen to by now
    keep(cache, "new")
    assert await count(cache) == 1

    (notice,) = cache.take_notices()
    assert "is damaged" in notice and "put aside" in notice
    (aside,) = tmp_path.glob("cache.db.damaged-*")
    assert aside.read_bytes()[4096:] == damaged[4096:]
    assert await cache.get(key("new"), DAY_S) == answer()
    await cache.close()


async def test_a_damaged_cache_that_another_process_uses_is_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    other = SharedCache(path, MIB)
    keep(other, "a")
    await count(other)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _not_a_database(path)

    cache = SharedCache(path, MIB)
    keep(cache, "b")

    assert not cache.is_on
    assert await cache.get(key("b"), DAY_S) is None
    assert await cache.clear() == 0
    assert "another process uses it" in cache.take_notices()[0]
    assert list(tmp_path.glob("cache.db.damaged-*")) == []
    await cache.close()
    await other.close()


@pytest.mark.parametrize("kind", ["folder", "link", "other program"])
async def test_what_is_no_cache_of_ours_is_not_touched_and_the_cache_is_off(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "cache.db"
    target = tmp_path / "precious"
    target.write_text("precious")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(target)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE notes (text TEXT)")

    cache = SharedCache(path, MIB)
    keep(cache, "a")

    assert not cache.is_on and await cache.get(key("a"), DAY_S) is None
    assert "answers are not cached" in cache.take_notices()[0]
    assert target.read_text() == "precious"
    await cache.close()
    if kind == "other program":
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]


async def test_a_full_disk_ends_the_caching_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    cache = SharedCache(path, MIB)
    assert cache._database is not None
    await count(cache)
    cache._database.writer.execute("PRAGMA max_page_count = 12")

    for number in range(50):
        keep(cache, str(number), "x" * 10_000)
    await cache.groups()

    assert any("answers are not cached" in notice for notice in cache.take_notices())
    assert await cache.get(key("1"), DAY_S) is None
    await cache.close()


async def test_the_files_are_the_users_own_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        cache = SharedCache(tmp_path / "cache.db", MIB)
        keep(cache, "a")
        await count(cache)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await cache.close()
    finally:
        os.umask(old)

    assert modes["cache.db"] == modes["cache.lock"] == modes["cache.db-wal"] == 0o600


async def test_what_is_too_long_or_no_unicode_is_not_kept(tmp_path: Path) -> None:
    cache = SharedCache(tmp_path / "cache.db", 64 * MIB)
    keep(cache, "long", "x" * (MAX_VALUE_BYTES + 1))
    keep(cache, "surrogate", "\ud800")
    keep(cache, "fits", "x" * (MAX_VALUE_BYTES // 2))

    assert await count(cache) == 1
    await cache.close()


_WRITER = """
import asyncio, hashlib, sys
from pathlib import Path
from llmtop.adapters.cache import SharedCache
from llmtop.model import Answer
async def main():
    cache = SharedCache(Path(sys.argv[1]), 2**24)
    for number in range(500):
        key = hashlib.sha256(f"{sys.argv[2]} {number}".encode()).digest()
        cache.put(key, Answer(sys.argv[2], "stop", "m", None), place="openai/m", ttl_s=9999.0)
        await cache.get(key, 9999.0)
    await cache.close()
    assert not cache.take_notices()
asyncio.run(main())
"""


async def test_several_processes_that_begin_at_once_share_one_cache_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    words = [sys.executable, "-c", _WRITER, str(path)]
    processes = [
        await asyncio.create_subprocess_exec(*words, str(number), stderr=asyncio.subprocess.PIPE)
        for number in range(3)
    ]
    for process in processes:
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, said) == (0, b"")

    cache = SharedCache(path, 2**24)

    assert await count(cache) == 1500
    await cache.close()


def wire(body: bytes, path: str = "/chat/completions") -> WireRequest:
    return WireRequest(path, body, {})


SCOPE = request_scope("openai", "http://a/v1", "m", {})


def test_requests_are_equal_when_all_that_is_asked_of_the_same_is_equal() -> None:
    one = request_key(SCOPE, wire(b'{"model": "m", "temperature": 0.2, "messages": []}'))

    assert one == request_key(SCOPE, wire(b'{"messages":[],"temperature":0.2,"model":"m"}'))
    others = [
        request_key(SCOPE, wire(b'{"model": "m", "temperature": 0.3, "messages": []}')),
        request_key(SCOPE, wire(b'{"model": "m", "temperature": 0.2, "messages": [], "seed": 1}')),
        request_key(SCOPE, wire(b'{"model": "m", "temperature": 0.2, "messages": []}', "/responses")),
        *(
            request_key(scope, wire(b'{"model": "m", "temperature": 0.2, "messages": []}'))
            for scope in (
                request_scope("gemini", "http://a/v1", "m", {}),
                request_scope("openai", "http://b/v1", "m", {}),
                request_scope("openai", "http://a/v1", "n", {}),
                request_scope("openai", "http://a/v1", "m", {"X-Beta": "1"}),
            )
        ),
    ]
    assert len({one, *others}) == len(others) + 1


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.builds(Usage, st.integers(0, 2**40), output_tokens=st.integers(0, 2**40)),
    st.none() | st.integers(0, 2**60),
)
def test_any_answer_survives_the_way_into_the_cache_and_out(
    text: str, usage: Usage | None, cost: int | None
) -> None:
    given_answer = Answer(text, "stop", "m", usage, cost)

    value = packed(given_answer)

    assert value is not None and unpacked(value) == given_answer


@given(
    st.binary()
    | st.recursive(st.none() | st.integers(0, 9) | st.text(max_size=3), st.lists).map(orjson.dumps)
)
def test_a_value_that_is_no_answer_is_a_miss(value: bytes) -> None:
    assert unpacked(value) is None
