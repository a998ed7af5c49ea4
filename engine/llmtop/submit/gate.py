"""The gate: everything that holds a request back, in one place, with the reason and the seconds lost.

One `Lane` per (provider, key, model) is shared by all runs of the process; each run waits on a
`Line` of it; a `Lease` is the right to have one request in flight. Decisions are made in
`policy.limiter`; here are the clock, the futures and the one timer a lane.

A waiter never sleeps, polls or wakes to find that it must wait again: each event (timer, settle,
release, change, resume) runs the pump once, which completes exactly the futures that fit. Cancelling
a waiter takes nothing. Where grant and cancellation meet in one turn of the loop the lease is
released at once and the next waiter has it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, Literal

from llmtop.config.schema import ExecutionConfig, LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import Decision
from llmtop.policy.limiter import Cause, Cost, Rate, Resource, Rotation, Ticket, Wait
from llmtop.policy.tuner import Record, Report, Tuner
from llmtop.submit.alarm import Alarm
from llmtop.submit.line import Lease, Line, Waiter
from llmtop.submit.steering import LaneSettings, steering_of

__all__ = ["KEEP", "Cause", "Cost", "Lane", "Lease", "Line", "Report"]

KEEP: Final = "keep"
"""For `Lane.set`: leave this limit as it is (None means: no limit)."""
Limit = float | None | Literal["keep"]
_LEAST_TICK_S = 0.01
_BLOCK_ORDER = (Cause.PAUSE, Cause.BUDGET, Cause.MEMORY, Cause.WRITER, Cause.LOOP)


class Lane:
    """The limits that all runs on one provider, key and model share. Belongs to one event loop."""

    def __init__(
        self,
        name: str,
        limits: LimitsConfig,
        concurrency: Range,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        retry: RetryConfig | None = None,
        tuning: TunerConfig | None = None,
        timeout_s: float | None = None,
        packs: Range | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.bounds = concurrency
        self.on_decision: Callable[[Decision], None] | None = None
        self._wall = wall
        settings = LaneSettings(
            limits=limits,
            concurrency=concurrency,
            packs=packs or ExecutionConfig().items_per_request,
            retry=retry or RetryConfig(),
            tuning=tuning or TunerConfig(),
            timeout_s=timeout_s,
        )
        self._steering = steering_of(settings, clock(), name)
        self._limiter = self._steering.limiter
        self._rates = self._steering.rates
        self._steering.journal.listener = self._tell
        self._rotation: Rotation[Waiter] = Rotation()
        self._lines: list[Line] = []
        self._alarm = Alarm(clock, self.pump)
        self._ticker = Alarm(clock, self._tick)
        self._cause: Cause | None = None

    def __repr__(self) -> str:
        return f"<Lane {self.name} {self._limiter!r} {self._lines}>"

    @property
    def in_flight(self) -> int:
        """Requests that have left and have not ended."""
        return self._limiter.in_flight

    @property
    def concurrency(self) -> int:
        """How many may be in flight."""
        return self._limiter.concurrency

    @property
    def hold_until(self) -> float:
        """When the shared hold ends, on the lane's clock; in the past where there is none."""
        return self._limiter.hold_until

    @property
    def is_stopped(self) -> bool:
        """Whether the provider refused key, model or money, and nothing leaves until `resume`."""
        return self._limiter.is_paused

    @property
    def tuner(self) -> Tuner:
        """What chooses the numbers, to look at."""
        return self._steering.tuner

    @property
    def is_tuning(self) -> bool:
        """Whether the tuner moves what is not pinned."""
        return self._steering.is_tuning

    @property
    def pack_size(self) -> int:
        """How many items a request carries, as a rule."""
        return self._steering.pack_size

    def choose_pack(self) -> int:
        """Return how many items the next request should carry: now and then a neighbour is tried."""
        return self._steering.choose_pack()

    @property
    def is_pack_pinned(self) -> bool:
        """Whether a person has fixed the items of a request."""
        return self._steering.tuner.is_pack_pinned

    @property
    def pinned(self) -> frozenset[str]:
        """What a person has fixed: `concurrency`, `rate:req`, `rate:total` ..."""
        return self._steering.pinned

    @property
    def waiting(self) -> int:
        """Waiters of all runs."""
        return sum(line.waiting for line in self._lines)

    @property
    def estimated_wait_s(self) -> float:
        """How long one who joins the queue now will wait: the queue at the speed of the last 30 s."""
        now = self.clock()
        speed = self.tuner.traffic.rate(now, 30.0).requests
        in_queue = self.waiting / speed if speed > 0.0 else 0.0
        return max(in_queue, self._limiter.hold_until - now, 0.0)

    @property
    def rates(self) -> dict[Resource, Rate]:
        """What is enforced a second, with burst and origin; a resource without a limit is left out."""
        return self._rates.enforced()

    @property
    def levels(self) -> dict[Resource, float]:
        """What each bucket holds now; below zero: a debt."""
        now = self.clock()
        for bucket in self._limiter.buckets:
            bucket.advance(now)
        return {bucket.resource: bucket.level for bucket in self._limiter.buckets}

    def stated(self, resource: Resource) -> float | None:
        """Return the limit a second as the user or the provider said it; None: nobody said one."""
        return self._rates.stated(resource)

    def detail(self, cause: Cause) -> str:
        """Return the number behind a cause."""
        limiter = self._limiter
        if cause is Cause.CONCURRENCY:
            return f"{limiter.concurrency} in flight"
        if cause is Cause.COOLDOWN:
            return f"{max(0.0, limiter.hold_until - self.clock()):.1f} s to go"
        if cause is Cause.REQUESTS:
            return self._rates.detail(Resource.REQ) or "spaced until the first answer"
        if cause is Cause.TOKENS:
            return ", ".join(filter(None, (self._rates.detail(r) for r in Resource if r.is_tokens)))
        return "stopped by the provider" if cause is Cause.PAUSE and limiter.is_paused else ""

    def line(self, run_id: str, weight: float = 1.0) -> Line:
        """Open a run's queue. A stop of the lane ends: who starts a run says that it may go on."""
        line = Line(self, run_id, weight)
        self._lines.append(line)
        self.resume()
        return line

    def set(
        self,
        *,
        request_rate: Limit = KEEP,
        burst: Limit = KEEP,
        concurrency: int | None = None,
        items_per_request: int | None = None,
        total_token_rate: Limit = KEEP,
        input_token_rate: Limit = KEEP,
        output_token_rate: Limit = KEEP,
        by: str = "operator",
    ) -> None:
        """Change limits now, for those that wait already too; rates are the provider's, per second.

        What is set is pinned: the tuner says what it would do, and leaves it alone until `tune`.
        """
        if burst != KEEP:
            self._rates.burst = burst
        asked: dict[Resource, Limit] = {
            Resource.REQ: request_rate,
            Resource.IN: input_token_rate,
            Resource.OUT: output_token_rate,
            Resource.TOTAL: total_token_rate,
        }
        now = self.clock()
        for resource, per_s in asked.items():
            if per_s != KEEP:
                self._steering.pin_rate(now, resource, per_s, by)
        if concurrency is not None:
            self._steering.pin_concurrency(now, concurrency, by)
        if items_per_request is not None:
            self._steering.pin_pack(now, items_per_request, by)
        self._steering.change(now)
        self.pump()

    def hand_back(self, name: str, by: str = "operator") -> None:
        """Give the tuner one thing back that a person has fixed, by its name in `pinned`."""
        now = self.clock()
        self._steering.hand_back(now, name, by)
        self._steering.change(now)
        self.pump()

    def tune(self, is_on: bool, by: str = "operator") -> None:
        """Switch the tuner on, which hands it everything that was pinned, or off."""
        self._steering.switch(self.clock(), is_on, by)
        self.pump()
        self._start_ticking()

    def hold(self, until: float, why: str) -> None:
        """Let nothing leave before `until` on the lane's clock; a shorter hold does not end a longer one."""
        self._steering.hold(self.clock(), until, why)
        self.pump()

    def resume(self) -> None:
        """End a stop, after a person has mended what was refused."""
        if self._limiter.is_paused:
            self._limiter.resume()
            self._steering.journal.note(self.clock(), "state", "stopped", "open", "resumed", "operator")
            self.pump()

    def _tell(self, record: Record) -> None:
        decision = Decision(self._wall(), record.what, record.old, record.new, record.why, record.by)
        for listener in (self.on_decision, *(line.on_decision for line in self._lines)):
            if listener is not None:
                listener(decision)

    def settle(self, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        """Close a ticket with its real usage."""
        if ticket.is_open:
            self._steering.settled(self.clock(), ticket, input_tokens, output_tokens)
            self.pump()

    def release(self, ticket: Ticket) -> None:
        """Close a ticket that used nothing."""
        if ticket.is_open:
            self._steering.released(self.clock(), ticket)
            self.pump()

    def finish(self, ticket: Ticket, report: Report) -> None:
        """Close a ticket by how its request ended."""
        if ticket.is_open:
            self._steering.finished(self.clock(), ticket, report)
            self.pump()

    def grant_now(self, cost: Cost) -> Lease | None:
        """Grant without waiting, where nobody waits and all fits."""
        if self._rotation.head() is not None:
            return None
        answer = self._admit(cost)
        return Lease(self, answer) if isinstance(answer, Ticket) else None

    def _admit(self, cost: Cost) -> Ticket | Wait:
        now = self.clock()
        answer = self._limiter.admit(now, cost)
        if isinstance(answer, Ticket):
            self._steering.sent(now, answer)
            if not self._ticker.is_set:
                self._start_ticking()
        elif answer.cause is Cause.CONCURRENCY:
            self._steering.blocked(now)
        return answer

    def _start_ticking(self) -> None:
        """Let the tuner see time pass while something is on its way or waits."""
        if self._steering.is_tuning and (self.in_flight or self.waiting) and not self._ticker.is_set:
            self._ticker.set(max(self._steering.tick(self.clock()), self.clock() + _LEAST_TICK_S))

    def _tick(self) -> None:
        self._start_ticking()
        self.pump()

    def joined(self, line: Line) -> None:
        """A line has a waiter or is no longer blocked."""
        self._rotation.enter(line.queue)
        self.pump()
        self._mark(line)

    def blocked(self, line: Line) -> None:
        """A line is blocked."""
        self._rotation.leave(line.queue)
        self.pump()
        self._mark(line)

    def left(self, line: Line) -> None:
        """A line is closed."""
        self._rotation.leave(line.queue)
        line.waits.mark(self.clock(), None)
        if line in self._lines:
            self._lines.remove(line)
        self.pump()

    def pump(self) -> None:
        """Grant to as many heads as fit, then arm the timer for the next and mark what binds."""
        if not self._alarm.is_set and self._cause is None and self._rotation.head() is None:
            return
        cause, until = None, math.inf
        while (queue := self._rotation.head()) is not None:
            waiter = queue.first()
            assert waiter is not None  # a head has a first waiter
            answer = self._admit(waiter.cost)
            if isinstance(answer, Wait):
                until, cause = answer
                break
            self._rotation.serve(queue, self._limiter.share(waiter.cost))
            waiter.future.set_result(Lease(self, answer))
        self._alarm.set(until)
        self._cause = cause
        for line in self._lines:
            self._mark(line)

    def _mark(self, line: Line) -> None:
        """Note what holds a line back now: its own block, else what binds the lane."""
        if not line.waiting:
            cause = None
        elif line._blocks:
            cause = next(cause for cause in _BLOCK_ORDER if cause in line._blocks)
        else:
            cause = self._cause
        if cause is not line.waits.binding:
            line.waits.mark(self.clock(), cause)
