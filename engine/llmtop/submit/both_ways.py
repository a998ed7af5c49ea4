"""One run in both ways at once: batch jobs, and in realtime what they leave over (or the reverse)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llmtop.submit.batch_jobs import BatchSubmitter
from llmtop.submit.realtime import RealtimeSubmitter
from llmtop.submit.work import Flight, Halt


class BothWays:
    """Fits what a run needs of a submitter. The feeds of the two never hold the same item at a time.

    `takes_over`: where the provider throttles realtime for good, the rest goes into batch jobs.
    """

    def __init__(
        self,
        batches: BatchSubmitter,
        realtime: RealtimeSubmitter,
        *,
        takes_over: bool,
        on_halt: Callable[[Halt], None],
    ) -> None:
        self.batches = batches
        self.realtime = realtime
        self._takes_over = takes_over
        self._is_throttled = False
        self._on_halt = on_halt
        self._is_stopping = False
        self._wake = asyncio.Event()
        batches.on_put_back = self._put_back

    def __repr__(self) -> str:
        return f"<BothWays {self.batches!r} {self.realtime!r}>"

    @property
    def flights(self) -> dict[int, Flight]:
        """Requests in flight."""
        return self.realtime.flights

    @property
    def waiting(self) -> int:
        """Items that wait to be asked again."""
        return self.realtime.waiting

    @property
    def flying_items(self) -> int:
        """Items in flight or in jobs."""
        return self.realtime.flying_items + self.batches.flying_items

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done and every result is committed."""
        return self.realtime.is_idle and self.batches.is_idle

    @property
    def ceiling(self) -> int | None:
        """Requests in flight at the most."""
        return self.realtime.ceiling

    def halted(self, halt: Halt) -> None:
        """Realtime cannot go on: the run stands still, unless batch jobs take over."""
        if self._takes_over and halt.reason == "throttled" and not self.batches.is_late:
            self._is_throttled = True
            self.realtime.stop()
        elif halt.reason != "budget" or self.batches.is_idle:  # what its jobs do not need comes back
            self._on_halt(halt)

    def _put_back(self) -> None:
        self.realtime.poke()
        self._wake.set()

    async def run(self) -> None:
        """Go both ways until nothing is left, or until `stop`."""
        self._is_stopping = False
        if self._takes_over:
            self.batches.is_open = self._is_throttled
        jobs = self._follow()
        try:
            while True:
                is_last = jobs.done()
                self._wake.clear()
                self._is_throttled = self._is_throttled and not self.batches.is_late
                if not self._is_stopping and not self._is_throttled:
                    await self.realtime.run()
                if self._is_throttled and not self.batches.is_open and not self._is_stopping:
                    self.batches.is_open = True
                    self.batches.poke()
                    if jobs.done():
                        await jobs
                        jobs = self._follow()
                    continue
                if is_last:
                    break
                await self._wake.wait()
        finally:
            if not jobs.done():
                self.batches.stop()
                self.batches.abort()
        await jobs

    def _follow(self) -> asyncio.Task[None]:
        jobs = asyncio.create_task(self.batches.run(), name="batches")
        jobs.add_done_callback(lambda _: self._wake.set())
        return jobs

    def stop(self) -> None:
        """Take nothing new; what is in flight lands, jobs go on at the provider."""
        self._is_stopping = True
        self.realtime.stop()
        self.batches.stop()

    async def end_all(self, patience_s: float) -> tuple[int, int]:
        """Take nothing new, and end all jobs at the provider: as `BatchSubmitter.end_all`."""
        self._is_stopping = True
        self.realtime.stop()
        return await self.batches.end_all(patience_s)

    def abort(self) -> None:
        """Break off what is in flight."""
        self.realtime.abort()
        self.batches.abort()

    def give_up(self) -> None:
        """Nothing can be written any more: end now."""
        self._is_stopping = True
        self.realtime.give_up()
        self.batches.give_up()

    def poke(self) -> None:
        """Something changed that may let work go on."""
        self.realtime.poke()
        self.batches.poke()
        self._wake.set()

    def bound(self, ceiling: int | None, *, may_read_ahead: bool) -> None:
        """Have at most `ceiling` requests in flight."""
        self.realtime.bound(ceiling, may_read_ahead=may_read_ahead)
        self.batches.bound(ceiling, may_read_ahead=may_read_ahead)
