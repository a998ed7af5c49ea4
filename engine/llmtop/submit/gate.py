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

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Final, Literal

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import Decision
from llmtop.policy.limiter import Cause, Cost, Limiter, Rate, Rates, Resource, Rotation, Ticket, Wait
from llmtop.submit.line import Lease, Line, Waiter
from llmtop.submit.reactions import Reactions, Report

__all__ = ["KEEP", "Cause", "Cost", "Lane", "Lease", "Line", "Report"]

KEEP: Final = "keep"
"""For `Lane.set`: leave this limit as it is (None means: no limit)."""
Limit = float | None | Literal["keep"]
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
    ) -> None:
        self.name = name
        self.clock = clock
        self.bounds = concurrency
        self.on_decision: Callable[[Decision], None] | None = None
        self._wall = wall
        tuning = tuning or TunerConfig()
        self._limiter = Limiter(concurrency.start)
        self._rates = Rates(
            margin=tuning.margin_declared,
            request_burst_s=tuning.request_burst_s,
            token_burst_s=tuning.token_burst_s,
        )
        self._reactions = Reactions(
            self._limiter, self._rates, retry or RetryConfig(), tuning, random.Random(name), self._note
        )
        self._rotation: Rotation[Waiter] = Rotation()
        self._lines: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._cause: Cause | None = None
        self._rates.declare_all(limits)
        self._rates.apply(self.clock(), self._limiter)

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
    def waiting(self) -> int:
        """Waiters of all runs."""
        return sum(line.waiting for line in self._lines)

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
        total_token_rate: Limit = KEEP,
        input_token_rate: Limit = KEEP,
        output_token_rate: Limit = KEEP,
        by: str = "operator",
    ) -> None:
        """Change limits now, for those that wait already too; rates are the provider's, per second."""
        if burst != KEEP:
            self._rates.burst = burst
        asked: dict[Resource, Limit] = {
            Resource.REQ: request_rate,
            Resource.IN: input_token_rate,
            Resource.OUT: output_token_rate,
            Resource.TOTAL: total_token_rate,
        }
        for resource, per_s in asked.items():
            if per_s != KEEP:
                old = self._rates.named(resource)
                self._rates.declare(resource, per_s, is_pinned=True)
                self._note(f"rate:{resource}", old, self._rates.named(resource), f"set by {by}", by)
        if concurrency is not None and concurrency != self._limiter.concurrency:
            self._note("concurrency", str(self._limiter.concurrency), str(concurrency), f"set by {by}", by)
            self._limiter.concurrency = concurrency
        self._rates.apply(self.clock(), self._limiter)
        self.pump()

    def hold(self, until: float, why: str) -> None:
        """Let nothing leave before `until` on the lane's clock; a shorter hold does not end a longer one."""
        old = max(0.0, self._limiter.hold_until - self.clock())
        if self._limiter.hold(until, is_asked=True):
            self._note("hold", f"{old:.1f} s", f"{until - self.clock():.1f} s", why, "server")
            self.pump()

    def resume(self) -> None:
        """End a stop, after a person has mended what was refused."""
        if self._limiter.is_paused:
            self._limiter.resume()
            self._note("state", "stopped", "open", "resumed", "operator")
            self.pump()

    def _note(self, what: str, old: str, new: str, why: str, by: str) -> None:
        decision = Decision(self._wall(), what, old, new, why, by)
        for listener in (self.on_decision, *(line.on_decision for line in self._lines)):
            if listener is not None:
                listener(decision)

    def settle(self, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        if ticket.is_open:
            self._limiter.settle(self.clock(), ticket, input_tokens, output_tokens)
            self.pump()

    def release(self, ticket: Ticket) -> None:
        if ticket.is_open:
            self._limiter.release(self.clock(), ticket)
            self.pump()

    def finish(self, ticket: Ticket, report: Report) -> None:
        if not ticket.is_open:
            return
        now = self.clock()
        self._reactions.close(now, ticket, report)
        if self._reactions.react(now, ticket, report):
            self._rates.apply(self.clock(), self._limiter)
        self.pump()

    def grant_now(self, cost: Cost) -> Lease | None:
        if self._rotation.head() is not None:
            return None
        answer = self._limiter.admit(self.clock(), cost)
        return Lease(self, answer) if isinstance(answer, Ticket) else None

    def joined(self, line: Line) -> None:
        """A line has a waiter or is no longer blocked."""
        self._rotation.enter(line.queue)
        self.pump()
        self._mark(line)

    def blocked(self, line: Line) -> None:
        self._rotation.leave(line.queue)
        self.pump()
        self._mark(line)

    def left(self, line: Line) -> None:
        self._rotation.leave(line.queue)
        line.waits.mark(self.clock(), None)
        if line in self._lines:
            self._lines.remove(line)
        self.pump()

    def pump(self) -> None:
        """Grant to as many heads as fit, then arm the timer for the next and mark what binds."""
        if self._timer is None and self._cause is None and self._rotation.head() is None:
            return
        cause, until = None, math.inf
        while (queue := self._rotation.head()) is not None:
            waiter = queue.first()
            assert waiter is not None  # a head has a first waiter
            answer = self._limiter.admit(self.clock(), waiter.cost)
            if isinstance(answer, Wait):
                until, cause = answer
                break
            self._rotation.serve(queue, self._limiter.share(waiter.cost))
            waiter.future.set_result(Lease(self, answer))
        self._arm(until)
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

    def _arm(self, until: float) -> None:
        """Keep one timer, for the earliest moment at which the head can be admitted."""
        if until == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = until
        if until < math.inf:
            delay = max(0.0, until - self.clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self.pump()
