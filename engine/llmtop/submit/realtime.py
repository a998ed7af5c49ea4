"""Send a run's items, alone or in packs, as fast as the gate allows; report each item once.

One dispatcher takes work and asks the gate; a task exists only for a request that was granted and
whose attempt is on disk. So memory grows with what is in flight, a live change of concurrency needs
nobody to be started or stopped, and an item that waits to be asked again holds no slot.

The tasks are kept here and not in a TaskGroup: that costs two more turns of the loop for each
request, and a task that it cancels before its first step never runs, so its item would be lost.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from llmtop.model import Attempt, RawReply, Reply
from llmtop.policy.limiter import Cause, Cost
from llmtop.submit.cached import Cached
from llmtop.submit.gate import Lease, Line
from llmtop.submit.packer import Packer
from llmtop.submit.reception import Reception
from llmtop.submit.work import Books, Exchange, Feed, Flight, Halt, Work

_WAITING_AT_LEAST = 1000
"""Items that may wait to be asked again before new ones are held back (more at high concurrency)."""

_SLACK_S = 1e-5
"""A clock that ticks coarsely never shows a moment between two ticks: what is nearly ready is ready."""

_SPARED_AT_MOST = 1000
"""Results from the cache that may wait for their commit."""
_SPARED_A_TURN = 8
"""Looks into the cache between two turns of the loop."""


class RealtimeSubmitter:
    """Everything between a source and the ledger for one run in realtime.

    `run()` returns when every item has a result that is committed, or after `stop`. Cancelling it
    breaks off what is in flight. Expected failures become results or a `Halt`; a bug ends `run`.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        line: Line,
        exchange: Exchange,
        books: Books,
        reception: Reception,
        packer: Packer,
        on_halt: Callable[[Halt], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._feed = feed
        self._line = line
        self._exchange = exchange
        self._books = books
        self._reception = reception
        self._settlement = reception.settlement
        self._packer = packer
        self._on_halt = on_halt
        self._clock = clock
        self._wall = wall
        self._waiting: list[Work] = []
        self._own_blocks: set[Cause] = set()
        self._is_stopping = False
        self._is_given_up = False
        self._bug: BaseException | None = None
        self._dispatching: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.flights: dict[int, Flight] = {}
        self.ceiling: int | None = None
        """Requests in flight at the most, set by `bound`; None: no bound."""
        self._may_read_ahead = True
        self._cached = reception.settlement.cached
        if self._cached is not None:
            self._cached.on_free = partial(self._put_back, delay_s=0.0)
            self._cached.on_bug = self._failed
        reception.on_again = self._put_back
        reception.settlement.on_commit = self._committed

    def __repr__(self) -> str:
        return f"<RealtimeSubmitter {len(self.flights)} in flight, {len(self._waiting)} waiting>"

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again."""
        return sum(len(work.members) for work in self._waiting) + self._packer.waiting

    @property
    def flying_items(self) -> int:
        """Items in flight: those of packs one by one."""
        return sum(len(flight.work.members) for flight in self.flights.values() if not flight.work.is_check)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight and every result is committed."""
        return not self.flights and not self._settlement.uncommitted

    async def run(self) -> None:
        """Send until every item has a result or `stop` was called, then wait for what is in flight."""
        self._is_stopping = self._is_given_up = False
        self._bug = None
        self._dispatching = asyncio.create_task(self._dispatch(), name="dispatch")
        self._dispatching.add_done_callback(self._dispatched)
        try:
            await asyncio.wait([self._dispatching])
            while self._bug is None and (self.flights or self._awaits_commits):
                await self._woken(None)
        finally:
            await self._end()
        if self._bug is not None:
            raise self._bug

    @property
    def _awaits_commits(self) -> bool:
        return self._settlement.uncommitted > 0 and not self._is_given_up

    async def _end(self) -> None:
        """Break off what is left of dispatcher and flights, and see them end."""
        self.stop()
        self.abort()
        tasks = [flight.task for flight in self.flights.values() if flight.task is not None]
        if self._dispatching is not None:
            tasks.append(self._dispatching)
        await asyncio.wait(tasks)
        if self._cached is not None:
            await self._cached.drop()
        self._packer.drop()
        self._waiting.clear()

    def _dispatched(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._failed(bug)

    def _failed(self, bug: BaseException) -> None:
        """A bug is not survived: `run` ends with it."""
        self._bug = self._bug or bug
        self.stop()
        self._wake.set()

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is in flight has landed."""
        self._is_stopping = True
        if self._dispatching is not None:
            self._dispatching.cancel()

    def abort(self) -> None:
        """Break off what is in flight; its items go back to the queue."""
        for flight in list(self.flights.values()):
            if flight.task is not None and flight.is_sent:
                flight.task.cancel()
            else:
                self._reception.broken_off(flight, is_sent=False)
                self._gone(flight)

    def give_up(self) -> None:
        """Nothing can be written any more: end now, without waiting for what will not be committed."""
        self._is_given_up = True
        self.stop()
        self.abort()

    def poke(self) -> None:
        """Something changed that may let work go on: a cap, a setting, items put back."""
        self._let_on(Cause.BUDGET)
        self._wake.set()

    def bound(self, ceiling: int | None, *, may_read_ahead: bool) -> None:
        """Have at most `ceiling` requests in flight from now on (None: as many as the gate allows).

        Without `may_read_ahead` no new item is taken while others wait to be asked again.
        """
        self.ceiling = ceiling
        self._may_read_ahead = may_read_ahead
        if self._has_room:
            self._let_on(Cause.MEMORY)
        self._wake.set()

    @property
    def _has_room(self) -> bool:
        return self.ceiling is None or len(self.flights) < self.ceiling

    # -- taking work -------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        while not self._is_stopping:
            now = self._clock()
            work = self._next(now)
            if self._packer.is_open:
                if work is None:
                    work = self._packer.take(now, is_last=True)
                elif not work.parts and (work := await self._packed(work)) is None:
                    continue
            if work is None:
                if self._waiting or not self.is_idle or (self._cached and self._cached.following):
                    await self._woken(self._waiting[0].ready_at - now if self._waiting else None)
                elif not self._feed.refill():
                    return
                continue
            if self._cached is not None and not work.is_asked and await self._spared(self._cached, work):
                continue
            try:
                admitted = await self._admitted(work)
            except asyncio.CancelledError:
                self._put_back(work, 0.0)
                raise
            if admitted is None:
                continue
            cost, lease, reserved = admitted
            leading = work if self._cached is None else self._leading(self._cached, work)
            if leading is None:
                lease.release()
                self._settlement.accounts.budget.release(reserved)
                continue
            self._launch(leading, cost, lease, reserved)

    def _next(self, now: float) -> Work | None:
        if self._waiting and self._waiting[0].ready_at <= now + _SLACK_S:
            return heapq.heappop(self._waiting)
        most = max(_WAITING_AT_LEAST, 2 * self._line.concurrency) if self._may_read_ahead else 1
        if len(self._waiting) >= most:
            return None
        item = self._feed.take()
        if item is None:
            return None
        work = Work(item=item, wire=self._exchange.prepare(item), ready_at=now)
        if (past := self._feed.past(item)) is not None:
            work.remember(past)
        return work

    async def _packed(self, work: Work) -> Work | None:
        """Gather a single work; return the pack that is full with it, or the work where it goes alone."""
        if self._cached is not None and not work.is_asked and await self._spared(self._cached, work):
            return None
        work.is_asked = True
        if work.is_alone or work.tries or not self._exchange.can_pack(work.item):
            return work
        self._packer.add(work)
        return self._packer.take(self._clock(), is_last=False)

    def _leading(self, cached: Cached, work: Work) -> Work | None:
        """Let others follow the request from now on; what follows an identical one itself is taken out of it.

        None: nothing is left. Items that packs have left unanswered stay in theirs: who shares it tells.
        """
        stays = [
            each for each in work.members if cached.leads(each, may_follow=not (work.parts and each.sends))
        ]
        if len(stays) == len(work.members):
            return work
        return self._packer.pack_of(stays, self._clock()) if stays else None

    async def _spared(self, cached: Cached, work: Work) -> bool:
        """Whether the work needs no request. A pause holds hits too, and so does a slow disk."""
        while Cause.PAUSE in self._line.blocks or self._settlement.uncommitted >= _SPARED_AT_MOST:
            await self._woken(None)
        if work.item.seq % _SPARED_A_TURN == 0:
            await asyncio.sleep(0)  # hits come without a pause: others have their turn
        return await cached.spares(work)

    async def _admitted(self, work: Work) -> tuple[Cost, Lease, int] | None:
        """Wait for the gate and the budget; both are granted together or not at all.

        None: a check, for which there is no money. It is left out: no result waits for it.
        """
        while True:
            if not self._has_room:
                self._hold_back(Cause.MEMORY)
            cost, most = self._reception.estimate(work)
            lease = self._line.try_acquire(cost) or await self._line.acquire(cost)
            if not self._has_room:  # the bound came down while it waited
                lease.release()
                continue
            if self._settlement.accounts.budget.try_reserve(most):
                return cost, lease, most
            lease.release()
            if work.is_check:
                return None
            self._hold_back(Cause.BUDGET)
            if self.is_idle:
                self._on_halt(Halt("budget", "the budget is reached"))

    def _launch(self, work: Work, cost: Cost, lease: Lease, reserved_pusd: int) -> None:
        now = self._clock()
        self._reception.leaving(work, now)
        at = self._wall()
        for member in work.members:
            member.sends += 1
            member.first_sent_at = member.first_sent_at or at
        attempt = Attempt(
            id=self._books.next_attempt_id(),
            seq=work.item.seq,
            number=work.members[0].sends,
            started_at=at,
            reserved_pusd=reserved_pusd,
            packed=tuple(part.item.seq for part in work.parts[1:]),
        )
        flight = Flight(work, attempt, lease, cost, now)
        self.flights[attempt.id] = flight
        self._books.begin(attempt, partial(self._depart, flight))

    # -- one request -------------------------------------------------------------------------

    def _depart(self, flight: Flight) -> None:
        """Its attempt is on disk: send it, unless it was broken off meanwhile."""
        if flight.attempt.id in self.flights:
            flight.task = asyncio.get_running_loop().create_task(self._fly(flight))

    async def _fly(self, flight: Flight) -> None:
        """Send it, and hand over what came back."""
        if flight.attempt.id not in self.flights:
            return
        flight.is_sent = True
        flight.started = self._clock()
        try:
            try:
                raw = await self._exchange.send(flight.work.wire)
            except asyncio.CancelledError:
                self._reception.broken_off(flight, is_sent=True)
            else:
                reply = self._exchange.read(raw) if isinstance(raw, RawReply) else raw
                if self._reception.sieve.is_slow:
                    await _to_its_end(self._reception.sieve.foresee(flight.work, reply))
                self._receive(flight, reply, raw.body if isinstance(raw, RawReply) else None)
        except Exception as bug:
            self._failed(bug)
        finally:
            self._gone(flight)

    def _receive(self, flight: Flight, reply: Reply, body: bytes | None) -> None:
        self._reception.received(flight, reply, body)
        if self._settlement.uncommitted >= self._line.concurrency:
            self._hold_back(Cause.WRITER)

    def _gone(self, flight: Flight) -> None:
        del self.flights[flight.attempt.id]
        if self._cached is not None:
            for member in flight.work.members:
                self._cached.landed(member)
        if self._own_blocks:
            self._let_on(Cause.BUDGET)
            if self._has_room:
                self._let_on(Cause.MEMORY)
        self._wake.set()

    def _put_back(self, work: Work, delay_s: float) -> None:
        work.ready_at = self._clock() + delay_s
        heapq.heappush(self._waiting, work)
        self._wake.set()

    def _committed(self) -> None:
        if self._own_blocks:
            if self._settlement.uncommitted < self._line.concurrency:
                self._let_on(Cause.WRITER)
            self._let_on(Cause.BUDGET)
        self._wake.set()

    def _hold_back(self, cause: Cause) -> None:
        self._own_blocks.add(cause)
        self._line.block(cause)

    def _let_on(self, cause: Cause) -> None:
        if cause in self._own_blocks:
            self._own_blocks.discard(cause)
            self._line.unblock(cause)

    async def _woken(self, timeout_s: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for it whatever happens: an answer that has come is not given away."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
