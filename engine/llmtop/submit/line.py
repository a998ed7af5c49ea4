"""What a run holds of a lane: its queue, and the leases that it was granted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from llmtop.model import Decision
from llmtop.policy.limiter import Cause, Cost, RunQueue, Ticket, WaitMeter
from llmtop.policy.tuner import Report


class LaneSide(Protocol):
    """What a line and its leases ask of their lane."""

    name: str
    clock: Callable[[], float]

    @property
    def concurrency(self) -> int:
        """How many requests may be in flight."""

    def grant_now(self, cost: Cost) -> Lease | None:
        """Grant without waiting, where nobody waits and all fits."""

    def settle(self, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        """Close a ticket with its real usage."""

    def release(self, ticket: Ticket) -> None:
        """Close a ticket that used nothing."""

    def finish(self, ticket: Ticket, report: Report) -> None:
        """Close a ticket by how its request ended."""

    def joined(self, line: Line) -> None:
        """A line has a waiter, or is no longer blocked."""

    def blocked(self, line: Line) -> None:
        """A line is blocked."""

    def left(self, line: Line) -> None:
        """A line is closed."""

    def pump(self) -> None:
        """Grant what fits."""

    def resume(self) -> None:
        """End a stop."""

    def detail(self, cause: Cause) -> str:
        """Return the number behind a cause."""


class Lease:
    """The right to have one request in flight. Closed exactly once; leaving its `with` releases it."""

    __slots__ = ("_lane", "ticket")

    def __init__(self, lane: LaneSide, ticket: Ticket) -> None:
        self._lane = lane
        self.ticket = ticket

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.ticket.is_open:
            self.release()

    def settle(self, input_tokens: float, output_tokens: float) -> None:
        """The request ended: free the slot and charge what it really used."""
        self._lane.settle(self.ticket, input_tokens, output_tokens)

    def release(self) -> None:
        """The request was refused or never sent: free the slot and charge nothing."""
        self._lane.release(self.ticket)

    def finish(self, report: Report) -> None:
        """The request was answered or lost: settle or release by its outcome, and let the lane react."""
        self._lane.finish(self.ticket, report)


class Waiter:
    """One waiting `acquire`: its future is the lease."""

    __slots__ = ("cost", "future")

    def __init__(self, cost: Cost, future: asyncio.Future[Lease]) -> None:
        self.cost = cost
        self.future = future

    @property
    def is_gone(self) -> bool:
        """Whether it was granted or has lost interest."""
        return self.future.done()


class Line:
    """One run's queue on a lane, first come first served. Nothing is granted while a cause blocks it."""

    def __init__(self, lane: LaneSide, run_id: str, weight: float) -> None:
        self.run_id = run_id
        self.waits = WaitMeter(lane.clock(), lane.detail)
        self.on_decision: Callable[[Decision], None] | None = None
        """Hears every decision of the lane, as all its runs do."""
        self._lane = lane
        self.queue: RunQueue[Waiter] = RunQueue(weight)
        self._blocks: set[Cause] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Line {self.run_id} of {self._lane.name}: {self.waiting} waiting, {self.waits.binding}>"

    @property
    def concurrency(self) -> int:
        """How many requests of the lane may be in flight."""
        return self._lane.concurrency

    @property
    def waiting(self) -> int:
        """How many wait at the gate."""
        return self.queue.waiting

    @property
    def blocks(self) -> frozenset[Cause]:
        """The causes that block this run now."""
        return frozenset(self._blocks)

    def try_acquire(self, cost: Cost) -> Lease | None:
        """Take a lease at once, or None: somebody is before us, or something holds it back."""
        if self._blocks or self._is_closed:
            return None
        return self._lane.grant_now(cost)

    async def acquire(self, cost: Cost) -> Lease:
        """Wait in order for a lease. Cancelling it takes nothing. A closed line cancels its waiters."""
        lease = self.try_acquire(cost)
        if lease is not None:
            return lease
        if self._is_closed:
            raise asyncio.CancelledError(f"the line of {self.run_id} is closed")
        waiter = Waiter(cost, asyncio.get_running_loop().create_future())
        self.queue.push(waiter)
        self._lane.joined(self)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def block(self, cause: Cause) -> None:
        """Grant nothing to this run while `cause` is set: pause, budget, memory, writer, loop."""
        self._blocks.add(cause)
        self.queue.is_held = True
        self._lane.blocked(self)

    def unblock(self, cause: Cause) -> None:
        """Take `cause` away. PAUSE also ends a stop of the lane: a person says that it may go on."""
        self._blocks.discard(cause)
        self.queue.is_held = bool(self._blocks)
        if cause is Cause.PAUSE:
            self._lane.resume()
        self._lane.joined(self)

    def close(self) -> None:
        """Leave the lane: waiters are cancelled; leases in flight stay good."""
        self._is_closed = True
        for waiter in self.queue.drain():
            waiter.future.cancel()
        self._lane.left(self)

    def _abandon(self, waiter: Waiter) -> None:
        if waiter.future.cancelled():
            if not self._is_closed:
                self.queue.forget()
                self._lane.pump()
        else:  # granted in the same turn
            waiter.future.result().release()
