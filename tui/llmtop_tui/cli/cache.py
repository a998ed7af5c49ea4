"""`llmtop cache list`, `prune` and `clear`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from llmtop.cleaning import clean
from llmtop.errors import UsageError
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.printing import Column, put, put_json, say, table, terminal_width
from llmtop_tui.figures import date_and_clock, usd, usd_exact, utc
from llmtop_tui.format import count, memory

if TYPE_CHECKING:
    from llmtop.control.caches import CacheGroup, CacheListing, OpenedCache

T = TypeVar("T")

RedisOption = Annotated[
    str | None,
    option("--redis-url-env", metavar="NAME", help="The cache in Redis, at the address in this variable."),
]

_COLUMNS = (
    Column("PROVIDER/MODEL", least=14),
    Column("ANSWERS", "right"),
    Column("SIZE", "right"),
    Column("WORTH", "right"),
    Column("OLDEST"),
    Column("LAST USED"),
)


def list_answers(common: Common, redis_url_env: RedisOption = None) -> None:
    """List what the cache holds, by provider and model.

    WORTH is what these answers did cost, and what asking them again would cost.
    """
    where, listing = _with_cache(common, redis_url_env, _listing)
    if common.is_json:
        put_json(
            {
                "cache": where,
                "entries": sum(group.entries for group in listing.groups),
                "used_bytes": listing.used_bytes,
                "groups": [_as_object(group) for group in listing.groups],
            }
        )
        return
    if not listing.groups:
        say(f"the cache {where} holds no answers; `cache.enabled = true` in a config makes a run use it")
        return
    for line in table(_COLUMNS, [_row(group) for group in listing.groups], terminal_width()):
        put(line)
    say(f"{memory(listing.used_bytes)} in {where}")


async def _listing(cache: OpenedCache) -> tuple[str, CacheListing]:
    return cache.where, await cache.listing()


def prune(
    common: Common,
    max_size: Annotated[
        str | None,
        option(
            "--max-size", metavar="SIZE", help="Down to this size, like 500MB: the least recently used go."
        ),
    ] = None,
    older_than: Annotated[
        str | None, option("--older-than", metavar="TIME", help="What was stored longer ago, like 7d.")
    ] = None,
    redis_url_env: RedisOption = None,
) -> None:
    """Remove answers that have expired, and as many others as you say.

    The space goes back to the disk. Runs that use the cache go on.
    """
    from llmtop.control.caches import read_duration, read_size

    size = None if max_size is None else read_size("--max-size", max_size)
    age_s = None if older_than is None else read_duration("--older-than", older_than)
    _tell(common, _with_cache(common, redis_url_env, lambda cache: _removed(cache, cache.prune(size, age_s))))


def clear(
    common: Common,
    yes: Annotated[bool, option("--yes", help="Ask nothing.")] = False,
    redis_url_env: RedisOption = None,
) -> None:
    """Remove all answers from the cache.

    Results of runs stay where they are.
    """
    if not yes and os.isatty(0) and not typer.confirm("Remove every answer from the cache?", err=True):
        raise UsageError("", "nothing was removed")
    _tell(common, _with_cache(common, redis_url_env, lambda cache: _removed(cache, cache.clear())))


async def _removed(cache: OpenedCache, work: Awaitable[int]) -> tuple[int, int, str]:
    removed = await work
    return removed, (await cache.listing()).used_bytes, cache.where


def _tell(common: Common, outcome: tuple[int, int, str]) -> None:
    removed, used, where = outcome
    if common.is_json:
        put_json({"cache": where, "removed": removed, "used_bytes": used})
    else:
        say(f"{count(removed)} answers removed; {memory(used)} in {where}")


def _with_cache(
    common: Common, redis_url_env: str | None, action: Callable[[OpenedCache], Awaitable[T]]
) -> T:
    from llmtop.control.caches import open_cache

    async def go() -> T:
        async with open_cache(common.home(), redis_url_env, os.environ) as cache:
            return await action(cache)

    import asyncio  # late: `llmtop --version` needs none of it

    return asyncio.run(go())


def _row(group: CacheGroup) -> tuple[str, ...]:
    return (
        clean(group.place),
        count(group.entries),
        memory(group.bytes),
        usd(group.worth_pusd),
        date_and_clock(group.oldest_at),
        date_and_clock(group.used_at),
    )


def _as_object(group: CacheGroup) -> dict[str, object]:
    return {
        "place": group.place,
        "entries": group.entries,
        "bytes": group.bytes,
        "worth_usd": usd_exact(group.worth_pusd),
        "oldest_at": utc(group.oldest_at),
        "used_at": utc(group.used_at),
    }
