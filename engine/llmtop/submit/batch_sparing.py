"""Items that need no request of their own in a job: the cache has their answer, or will have it soon.

An item whose request is the same as one of a job of this process waits until that job is over: then
the cache has the answer, or each goes on its own. It waits in the ledger, as an item that nobody has
asked: nothing is kept for it but its request's key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from llmtop.model import Item, ItemPast
from llmtop.submit.batch_work import JobExchange
from llmtop.submit.cached import Cached
from llmtop.submit.work import Work

Look = Literal["spared", "wait", "ask"]
"""`spared`: its result is on its way; `wait`: for an equal request; `ask`: it needs its own."""


class Sparing:
    """What the jobs of one run take from the cache."""

    def __init__(
        self, cached: Cached, exchange: JobExchange, has_room: Callable[[], Awaitable[None]]
    ) -> None:
        """`has_room` waits while the run is paused or the disk is slow: hits come without a pause."""
        self._cached = cached
        self._exchange = exchange
        self._has_room = has_room
        self._leading: dict[bytes, int] = {}
        """Whose request is asked for all that are equal, by key: their seq."""
        self._keys: dict[int, bytes] = {}
        """Of those that lead and are in no job yet, by seq."""
        self._in_jobs: dict[int, list[bytes]] = {}
        self._awaited: set[bytes] = set()
        self._disappointed: set[bytes] = set()
        """Keys that have been waited for in vain: each goes on its own."""

    def __repr__(self) -> str:
        return f"<Sparing {len(self._leading)} lead, {len(self._awaited)} are awaited>"

    async def look(self, item: Item, past: ItemPast | None) -> Look:
        """Say what becomes of an item; whoever is told to ask leads."""
        await self._has_room()
        work = Work(item=item, wire=self._exchange.prepare(item), ready_at=0.0)
        if past is not None:
            work.remember(past)
        key = self._cached.key_of(work)
        if await self._cached.recalls(work):
            return "spared"
        leader = self._leading.get(key)
        if leader is not None and leader != item.seq:
            self._awaited.add(key)
            return "wait"
        if key not in self._disappointed:
            self._leading[key] = item.seq
            self._keys[item.seq] = key
        return "ask"

    def intended(self, number: int, seqs: Iterable[int]) -> None:
        """These items are in a job now."""
        led = [key for seq in seqs if (key := self._keys.pop(seq, None)) is not None]
        self._in_jobs.setdefault(number, []).extend(led)

    def refused(self, item: Item) -> None:
        """An item that leads will not be asked."""
        if (key := self._keys.pop(item.seq, None)) is not None:
            self._release([key])

    def over(self, number: int) -> None:
        """A job is over: nothing waits for its requests any more."""
        self._release(self._in_jobs.pop(number, ()))

    def drop(self) -> None:
        """Nothing leads that is in no job."""
        self._release(list(self._keys.values()))
        self._keys.clear()

    def _release(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._leading.pop(key, None)
            if key in self._awaited:
                self._awaited.discard(key)
                self._disappointed.add(key)
