"""A submitter over a real lane, reception and budget, between a made-up source, provider and ledger."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import (
    Answer,
    Attempt,
    AttemptEnd,
    ErrorType,
    Item,
    ItemError,
    ItemPast,
    Outcome,
    ProviderError,
    RawReply,
    Reply,
    Result,
    Usage,
    WireRequest,
)
from llmtop.policy.budget import Budget
from llmtop.policy.estimates import TokenEstimates
from llmtop.policy.meters import RunMeters
from llmtop.policy.packing import PackReading, TextForm, read_pack
from llmtop.policy.retry import RetryPolicy
from llmtop.submit.accounts import Accounts
from llmtop.submit.estimator import Estimator
from llmtop.submit.filtering import Sieve
from llmtop.submit.gate import Lane
from llmtop.submit.packer import Packer
from llmtop.submit.realtime import RealtimeSubmitter
from llmtop.submit.reception import Reception
from llmtop.submit.settlement import Settlement
from llmtop.submit.work import Halt

LATENCY_S = 1.0
COMMIT_S = 0.05
OUTPUT_TOKENS = 10
PRICE_PUSD = 100
"""Of any call that is answered; at most twice as much is set aside for it."""

ANSWER = Answer("fine", "stop", "small", Usage(input_tokens=20, output_tokens=OUTPUT_TOKENS))


def fault(outcome: Outcome = Outcome.FAULT, type: ErrorType = "server_error", **more: Any) -> ProviderError:
    """Return what a provider says instead of an answer."""
    error = ProviderError(ItemError(type, outcome.value, 500), outcome, is_sent=True)
    return replace(error, is_counted=not outcome.is_refusal and not outcome.is_stop, **more)


REFUSED = fault(Outcome.REFUSED_RATE, "rate_limit", retry_after_s=3.0)
FAULT = fault()
BAD = fault(Outcome.BAD, "bad_request", is_final=True)
NO_MONEY = fault(Outcome.STOP_BILLING, "quota_exhausted")
HANG = "hang"
BUG = "bug"


class FixedPrice:
    """A `Pricer` that asks the same for every call."""

    origin = "test"
    is_known = True
    batch_factor = None

    def cost(self, _usage: Usage, _at: float, *, is_batch: bool = False) -> int:
        """Return the price."""
        return PRICE_PUSD

    def upper_bound(self, _input: int, _output: int, *, is_batch: bool = False) -> int:
        """Return twice the price."""
        return 2 * PRICE_PUSD

    def record(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class Source:
    """Items `0`, `1` ... that have no result; a `Feed`."""

    def __init__(self, count: int, results: dict[int, Result]) -> None:
        self._results = results
        self._count = count
        self._pass: deque[int] = deque()
        self.taken: list[int] = []

    def take(self) -> Item | None:
        """Return the next item of this pass."""
        if not self._pass:
            return None
        seq = self._pass.popleft()
        self.taken.append(seq)
        return Item(seq, str(seq), {})

    def past(self, item: Item) -> ItemPast | None:
        """Nothing was ever sent before."""

    def refill(self) -> bool:
        """Begin a pass over what has no result."""
        self._pass = deque(seq for seq in range(self._count) if seq not in self._results)
        return bool(self._pass)


class Provider:
    """Replies by script, an answer where the script of an item is over; an `Exchange`."""

    model = "small"

    def __init__(self, log: list[tuple[str, int]], clock: Callable[[], float]) -> None:
        self.scripts: dict[int, deque[Any]] = defaultdict(deque)
        self.served: list[tuple[float, int]] = []
        self.open = 0
        self.most_open = 0
        self.cancelled = 0
        self.packs: list[tuple[int, ...]] = []
        self.poison: set[int] = set()
        """Items that spoil every pack they are in."""
        self.forgets: dict[int, int] = {}
        """How often an item is left out of a pack's answer."""
        self.loners: set[int] = set()
        self.explained: dict[int, str] = {}
        self._log = log
        self._clock = clock
        self._replies: dict[bytes, Reply] = {}

    def script(self, seq: int, *replies: Any) -> None:
        """Say what item `seq` is to get, in this order."""
        self.scripts[seq].extend(replies)

    def prepare(self, item: Item) -> WireRequest:
        """Put the item's seq on the wire."""
        return WireRequest("/", b"%d" % item.seq, {})

    def prepare_again(self, item: Item, explanation: str) -> WireRequest:
        """As `prepare`; the explanation is kept."""
        self.explained[item.seq] = explanation
        return self.prepare(item)

    def can_pack(self, item: Item) -> bool:
        """Whether it is not one that goes alone."""
        return item.seq not in self.loners

    def prepare_pack(self, items: Sequence[Item]) -> tuple[WireRequest, int | None]:
        """Put the items' seqs on the wire."""
        self.packs.append(tuple(item.seq for item in items))
        return WireRequest("/", b",".join(b"%d" % item.seq for item in items), {}), 100 * len(items)

    def read_pack(self, text: str, ids: Sequence[str]) -> PackReading:
        """Read it as the product does."""
        return read_pack(text, ids, TextForm())

    def _pack_answer(self, seqs: Sequence[int]) -> Answer:
        """Answer all but what is forgotten; a poisonous item spoils everything."""
        if self.poison & set(seqs):
            return replace(ANSWER, text="no JSON at all")
        rows = []
        for seq in seqs:
            if self.forgets.get(seq, 0) > 0:
                self.forgets[seq] -= 1
            else:
                rows.append({"id": str(seq), "answer": f"fine {seq}"})
        usage = Usage(input_tokens=20 * len(seqs), output_tokens=OUTPUT_TOKENS * len(rows))
        return replace(ANSWER, text=json.dumps({"answers": rows[::-1]}), usage=usage)

    async def send(self, request: WireRequest) -> RawReply | ProviderError:
        """Take a second, or for ever."""
        seqs = [int(part) for part in request.body.split(b",")]
        seq = seqs[0]
        self._log.append(("sent", seq))
        self.served.append((self._clock(), seq))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            usual = self._pack_answer(seqs) if len(seqs) > 1 else replace(ANSWER, text=f"fine {seq}")
            reply = self.scripts[seq].popleft() if self.scripts[seq] else usual
            await asyncio.sleep(1e9 if reply is HANG else LATENCY_S)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1
        if reply is BUG:
            raise ZeroDivisionError("a bug")
        if isinstance(reply, ProviderError):
            return reply
        body = b"%d of %d" % (len(self.served), seq)
        self._replies[body] = reply
        return RawReply(200, {}, body)

    def read(self, raw: RawReply) -> Reply:
        """Return what was scripted."""
        return self._replies.pop(raw.body)

    def accept(self, text: str) -> tuple[Any, ItemError | None]:
        """Take any text but "spoiled"."""
        return (None, ItemError("invalid_response", "spoiled")) if text == "spoiled" else (text, None)

    def metadata(self, _item: Item) -> dict[str, Any]:
        """None."""
        return {}


class Paper:
    """A ledger that commits by groups, 50 ms after the first of one, or only when told to; a `Books`."""

    def __init__(self, log: list[tuple[str, int]], results: dict[int, Result]) -> None:
        self.attempts: dict[int, Attempt] = {}
        self.ends: dict[int, AttemptEnd] = {}
        self.is_stuck = False
        self.most_uncommitted = 0
        self._results = results
        self._uncommitted = 0
        self._log = log
        self._queue: list[tuple[str, int, Callable[[], None]]] = []

    def next_attempt_id(self) -> int:
        """Return the next number."""
        return len(self.attempts) + 1

    def begin(self, attempt: Attempt, on_commit: Callable[[], None]) -> None:
        """Keep an attempt."""
        assert attempt.id not in self.attempts
        self.attempts[attempt.id] = attempt
        self._commit("attempt", attempt.seq, on_commit)

    def end(self, end: AttemptEnd) -> None:
        """Keep an end."""
        assert end.id in self.attempts
        assert end.id not in self.ends, "an attempt ends once"
        self.ends[end.id] = end

    def finish(self, result: Result, end: AttemptEnd | None, on_commit: Callable[[], None]) -> None:
        """Keep a result and an end."""
        if end is not None:
            self.end(end)
        self._uncommitted += 1
        self.most_uncommitted = max(self.most_uncommitted, self._uncommitted)

        def committed() -> None:
            assert result.seq not in self._results, "an item has one result"
            self._results[result.seq] = result
            self._uncommitted -= 1
            on_commit()

        self._commit("result", result.seq, committed)

    def unstick(self) -> None:
        """Commit what is waiting, and all that comes."""
        self.is_stuck = False
        self._flush()

    def _commit(self, what: str, seq: int, done: Callable[[], None]) -> None:
        if not self._queue:
            asyncio.get_running_loop().call_later(COMMIT_S, self._flush)
        self._queue.append((what, seq, done))

    def _flush(self) -> None:
        """One transaction: all that came since the last."""
        if self.is_stuck:
            return
        queue, self._queue = self._queue, []
        for what, seq, done in queue:
            self._log.append((what, seq))
            done()


class World:
    """Everything around one submitter, in the virtual time of the running loop."""

    def __init__(
        self,
        items: int,
        *,
        concurrency: int = 4,
        cap: int | None = None,
        tries: int = 3,
        packs: int = 1,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.log: list[tuple[str, int]] = []
        """(attempt, sent or result; seq): attempts and results when they were committed."""
        self.results: dict[int, Result] = {}
        self.shown: list[int] = []
        """Items that were reported, in this order."""
        self.halts: list[Halt] = []
        self.feed = Source(items, self.results)
        self.provider = Provider(self.log, clock)
        self.paper = Paper(self.log, self.results)
        retry = RetryConfig(max_attempts=tries)
        self.lane = Lane(
            "test",
            LimitsConfig(),
            Range(1, concurrency, 100),
            clock=clock,
            wall=clock,
            retry=retry,
            tuning=TunerConfig(enabled=False),
            packs=Range(packs, packs, packs),
        )
        self.line = self.lane.line("run")
        self.budget = Budget(cap)
        accounts = Accounts(
            self.budget, FixedPrice(), unpriced=0, estimated=0, maybe_billed=0, tokens=Usage()
        )
        meters = RunMeters(clock())
        self.reception = Reception(
            exchange=self.provider,
            settlement=Settlement(
                books=self.paper,
                accounts=accounts,
                meters=meters,
                filters=None,
                on_result=lambda result: self.shown.append(result.seq),
                clock=clock,
                wall=clock,
            ),
            sieve=Sieve(None, self.provider),
            meters=meters,
            estimator=Estimator(TokenEstimates(), "small", "", 100),
            retry=RetryPolicy(retry, random.Random(0)),
            on_halt=self.halts.append,
            clock=clock,
            wall=clock,
        )
        self.reception.packer = Packer(self.provider, lambda: self.lane.pack_size, self.lane.choose_pack)
        self.submitter = RealtimeSubmitter(
            feed=self.feed,
            line=self.line,
            exchange=self.provider,
            books=self.paper,
            reception=self.reception,
            packer=self.reception.packer,
            on_halt=self.halts.append,
            clock=clock,
            wall=clock,
        )

    async def run(self) -> None:
        """Run to the end, and look at what must hold after any run that ended well."""
        before = asyncio.all_tasks()
        await self.submitter.run()
        assert not self.submitter.flights
        assert self.lane.in_flight == 0
        assert self.budget.reserved == 0
        assert self.paper.ends.keys() == self.paper.attempts.keys()
        assert asyncio.all_tasks() <= before

    def statuses(self) -> dict[int, str]:
        """Return what each item came to."""
        return {seq: result.status for seq, result in sorted(self.results.items())}

    def sends(self, seq: int) -> list[float]:
        """Return when an item was sent."""
        return [at for at, sent in self.provider.served if sent == seq]


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of this loop that are not the caller's."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def seqs(log: Iterable[tuple[str, int]], what: str) -> list[int]:
    """Return the items of one kind of entry, in order."""
    return [seq for kind, seq in log if kind == what]
