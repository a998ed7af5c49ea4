"""Answers that need no request: kept in the cache, or on their way to an identical request.

Asked by the dispatcher before the gate, so a hit takes no slot, no rate and no money. Nothing here
is called while a run has no cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from llmtop.model import Answer, ItemError, ItemStatus, Result, Usage, WireRequest
from llmtop.submit.reception import Reception
from llmtop.submit.work import Exchange, Work


class AnswerCache(Protocol):
    """Where answers are kept, by key. It never raises because of its storage: that is a miss."""

    async def get(self, key: bytes, ttl_s: float) -> Answer | None:
        """Return the answer to an equal request that is not older than `ttl_s`; None: there is none."""

    def put(self, key: bytes, answer: Answer, *, place: str, ttl_s: float) -> None:
        """Keep an answer for `ttl_s`; returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What a run needs to use a cache."""

    cache: AnswerCache
    key_of: Callable[[WireRequest], bytes]
    place: str
    """`kind/model`, for lists."""
    ttl_s: float


@dataclass(frozen=True, slots=True)
class _Follower:
    owner: Cached
    work: Work


class InFlight:
    """Which requests are in flight, and who waits for the answer to the same: for all runs of a process."""

    def __init__(self) -> None:
        self._followers: dict[bytes, list[_Follower]] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._followers

    def begin(self, key: bytes) -> None:
        """Let a request lead; those that come later follow it."""
        self._followers[key] = []

    def follow(self, key: bytes, follower: _Follower) -> None:
        """Wait for the request that leads."""
        self._followers[key].append(follower)

    def end(self, key: bytes, answer: Answer | None) -> None:
        """The request that led is over: its answer is for all that follow; without one each is on its own."""
        for follower in self._followers.pop(key, ()):
            follower.owner.ended(follower.work, answer)

    def forget(self, owner: Cached) -> None:
        """A run ends: it waits for nothing more."""
        for key, followers in self._followers.items():
            self._followers[key] = [follower for follower in followers if follower.owner is not owner]


class Cached:
    """What one run takes from the cache and gives to it.

    An answer is kept, and given to those that follow, when the ledger has committed it as done.
    """

    def __init__(
        self,
        use: CacheUse,
        in_flight: InFlight,
        exchange: Exchange,
        reception: Reception,
        wall: Callable[[], float],
        *,
        hits: int,
        joined: int,
        saved_pusd: int,
    ) -> None:
        """`hits`, `joined`, `saved_pusd`: what earlier starts of the run counted."""
        self.hits = hits
        self.joined = joined
        self.saved_pusd = saved_pusd
        self.following = 0
        """Items that wait for the answer to an identical request."""
        self.on_free: Callable[[Work], None] = _nobody
        """Told which work needs a request of its own after all."""
        self.on_bug: Callable[[BaseException], None] = _unheard
        """Told what went wrong where nobody waits for it."""
        self._use = use
        self._in_flight = in_flight
        self._exchange = exchange
        self._settlement = reception.settlement
        self._sieve = reception.sieve
        self._wall = wall
        self._held: dict[bytes, Answer] = {}
        """Answers that are not committed yet."""
        self._leading: dict[bytes, Work] = {}
        """Whose requests are out, for others to follow."""
        self._giving: set[asyncio.Task[None]] = set()
        reception.settlement.cached = self

    def __repr__(self) -> str:
        return f"<Cached {self.hits} hits, {self.joined} joined, {self.following} following>"

    def key_of(self, work: Work) -> bytes:
        """Return what the work's request is known by in the cache."""
        if work.cache_key is None:
            work.cache_key = self._use.key_of(work.wire)
        return work.cache_key

    async def spares(self, work: Work) -> bool:
        """Whether the work needs no request: its result is on its way, now or with an identical one."""
        return self._follows(work, self.key_of(work)) or await self.recalls(work)

    async def recalls(self, work: Work) -> bool:
        """Whether an answer is kept: the work's result is on its way."""
        answer = await self._use.cache.get(self.key_of(work), self._use.ttl_s)
        if answer is None:
            return False
        if self._sieve.is_slow:
            await self._sieve.foresee(work, answer)
        return self._give(work, answer, is_joined=False)

    def leads(self, work: Work, *, may_follow: bool = True) -> bool:
        """Let the work's request leave; False where it follows an identical one that left before."""
        key = work.cache_key
        if key is None:
            return True
        if key not in self._in_flight:
            self._leading[key] = work
            self._in_flight.begin(key)
            return True
        return not (may_follow and self._follows(work, key))

    def answered(self, work: Work, answer: Answer) -> None:
        """A request was answered; `answer` has the usage and the cost as they were billed."""
        if work.cache_key is not None:
            self._held[work.cache_key] = replace(answer, limits=(), request_id=None)

    def landed(self, work: Work) -> None:
        """A request is over; unless it was answered those that follow it are free."""
        if work.cache_key not in self._held:
            self._let_go(work, None)

    def forgo(self, work: Work) -> None:
        """The item is asked again in other words: the answer is for nobody else."""
        self._let_go(work, None)
        work.cache_key = None

    def committed(self, work: Work, result: Result) -> None:
        """A result is on the disk: a good answer is for everybody from now on."""
        if work.cache_key is None:
            return
        answer = self._held.pop(work.cache_key, None) if result.status == "done" else None
        if answer is not None:
            self._use.cache.put(work.cache_key, answer, place=self._use.place, ttl_s=self._use.ttl_s)
        self._let_go(work, answer)

    def ended(self, work: Work, answer: Answer | None) -> None:
        """The request that the work followed is over."""
        if answer is None or not self._sieve.is_slow:
            self._taken(work, answer)
            return
        task = asyncio.get_running_loop().create_task(self._taken_slowly(work, answer))
        self._giving.add(task)
        task.add_done_callback(self._given)

    async def drop(self) -> None:
        """The run stops: nothing follows any more, and who follows it is free."""
        self.following = 0
        self._in_flight.forget(self)
        for work in list(self._leading.values()):
            self._let_go(work, None)
        self._held.clear()
        for task in self._giving:
            task.cancel()
        await asyncio.gather(*self._giving, return_exceptions=True)

    def _let_go(self, work: Work, answer: Answer | None) -> None:
        """Tell those that follow the work, if it leads, what it came to."""
        if work.cache_key is not None and self._leading.get(work.cache_key) is work:
            del self._leading[work.cache_key]
            self._in_flight.end(work.cache_key, answer)

    def _taken(self, work: Work, answer: Answer | None) -> None:
        self.following -= 1
        if answer is None or not self._give(work, answer, is_joined=True):
            self.on_free(work)

    async def _taken_slowly(self, work: Work, answer: Answer) -> None:
        """As `_taken`, where filters in other processes have to see it first."""
        await self._sieve.foresee(work, answer)
        self._taken(work, answer)

    def _given(self, task: asyncio.Task[None]) -> None:
        self._giving.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self.on_bug(bug)

    def _follows(self, work: Work, key: bytes) -> bool:
        if key not in self._in_flight:
            return False
        self._in_flight.follow(key, _Follower(self, work))
        self.following += 1
        return True

    def _give(self, work: Work, answer: Answer, *, is_joined: bool) -> bool:
        """Make the answer the item's result; False where it is not of the form that this run wants."""
        output, fault = self._exchange.accept(answer.text)
        if fault is not None:
            return False
        at = self._wall()
        status: ItemStatus = "done"
        error: ItemError | None = None
        trail: tuple[Mapping[str, Any], ...] = ()
        if (seen := self._sieve.sift(work, output)) is not None:
            output, trail = seen.output, seen.trail
            if seen.rejected_by is not None:
                if seen.rejected_by.is_asked_again(work.asks):
                    return False
                status, error = "rejected", ItemError("filtered", seen.rejected_by.message)
        result = Result(
            seq=work.item.seq,
            id=work.item.id,
            status=status,
            output=output,
            error=error,
            filters=trail,
            finish_reason=answer.finish_reason,
            usage=Usage(),
            cost_pusd=work.cost_pusd if work.is_cost_known else None,
            model=answer.model,
            via="cache",
            attempts=work.sends,
            latency_ms=0,
            started_at=work.first_sent_at or at,
            finished_at=at,
            metadata=self._exchange.metadata(work.item),
            saved_pusd=self._worth(answer, at),
            is_joined=is_joined,
        )
        self._settlement.spared(result, self._counted)
        return True

    def _worth(self, answer: Answer, at: float) -> int | None:
        if answer.cost_pusd is not None or answer.usage is None:
            return answer.cost_pusd
        return self._settlement.accounts.price(answer.usage, None, at)

    def _counted(self, result: Result) -> None:
        self.hits += not result.is_joined
        self.joined += result.is_joined
        self.saved_pusd += result.saved_pusd or 0


def _nobody(_work: Work) -> None:
    raise AssertionError("nobody takes work that needs a request after all")


def _unheard(bug: BaseException) -> None:
    raise bug
