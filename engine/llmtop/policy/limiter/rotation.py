"""Whose turn it is: runs that share a lane, each a queue in order of arrival, served by weight.

The effect is deficit round robin. The deficit is kept as a virtual start time (start-time fair
queueing), because a run's dispatcher keeps one waiter at the gate: a deficit that is dropped
when the queue runs empty would forget the weights at every grant. A run that joins late starts at
the time of the run served last, so it has its share from its first turn and no claim on the past.

The head that is due is never passed over: nothing is reserved while it waits, and whoever is
smaller would keep a large request out for ever.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """Something that waits in a queue and may have lost interest."""

    @property
    def is_gone(self) -> bool:
        """Whether it was cancelled: it is skipped."""


W = TypeVar("W", bound=Waiting)


class RunQueue(Generic[W]):
    """The waiters of one run, first come first served; held while `is_held`."""

    __slots__ = ("_waiters", "entry", "is_held", "start", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.start = 0.0
        self.is_held = False
        self.waiting = 0
        """Waiters that still want to be served."""
        self.entry = 0
        """Which of its entries in the rotation is the valid one; 0: none."""
        self._waiters: deque[W] = deque()

    def push(self, waiter: W) -> None:
        """Add at the end."""
        self._waiters.append(waiter)
        self.waiting += 1

    def first(self) -> W | None:
        """Return the waiter whose turn it is inside this run."""
        waiters = self._waiters
        while waiters:
            if not waiters[0].is_gone:
                return waiters[0]
            waiters.popleft()
        return None

    def pop(self) -> None:
        """Remove the first."""
        self._waiters.popleft()
        self.waiting -= 1

    def forget(self) -> None:
        """One waiter has lost interest (its `is_gone` is true by now): count it out."""
        self.waiting -= 1
        while self._waiters and self._waiters[-1].is_gone:
            self._waiters.pop()

    def drain(self) -> list[W]:
        """Remove and return all that still wait."""
        left = [waiter for waiter in self._waiters if not waiter.is_gone]
        self._waiters.clear()
        self.waiting = 0
        return left


class Rotation(Generic[W]):
    """The runs that have a waiter and may be served, in the order in which they are due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, RunQueue[W]]] = []
        self._entries = 0
        self._virtual = 0.0

    def enter(self, queue: RunQueue[W]) -> None:
        """Take part: call it when a queue gets a waiter or is no longer held. Again is harmless."""
        if queue.entry or queue.is_held or not queue.waiting:
            return
        queue.start = max(queue.start, self._virtual)
        self._push(queue)

    def leave(self, queue: RunQueue[W]) -> None:
        """Stand aside, with nothing lost; `enter` brings it back."""
        queue.entry = 0

    def head(self) -> RunQueue[W] | None:
        """Return the queue whose first waiter is due; None when nobody waits."""
        heap = self._heap
        while heap:
            _, entry, queue = heap[0]
            if entry == queue.entry:
                if queue.first() is not None:
                    return queue
                queue.entry = 0
            heapq.heappop(heap)
        return None

    def serve(self, queue: RunQueue[W], share: float) -> None:
        """Remove the head's first waiter and charge the run `share` for it."""
        queue.pop()
        self._virtual = max(self._virtual, queue.start)
        queue.start += share / queue.weight
        heapq.heappop(self._heap)
        queue.entry = 0
        if queue.waiting:
            self._push(queue)

    def _push(self, queue: RunQueue[W]) -> None:
        self._entries += 1
        queue.entry = self._entries
        heapq.heappush(self._heap, (queue.start, self._entries, queue))
