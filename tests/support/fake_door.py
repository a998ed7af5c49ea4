"""A door without an engine: a run that changes like a live one, and keeps what was asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from llmtop.control.protocol import ItemDetail, ItemPage, ItemQuery, ItemRow, JobDetail
from llmtop.model import Acknowledgement, Change, Command, Decision
from llmtop.snapshot import FlightRow, Knob, RunState, Snapshot
from llmtop_tui.sample import SAMPLE
from llmtop_tui.sample_items import ITEM, ITEMS, JOB_DETAIL

_ALL = tuple(row.seq for row in ITEMS)
_STATES: dict[str, RunState] = {
    "pause": "paused",
    "hold": "paused",
    "resume": "running",
    "stop": "stopped",
    "stop_now": "stopped",
    "cancel": "cancelled",
}


class FakeDoor:
    """Answers commands as an engine does. `frozen` stands still, `is_silent` says nothing."""

    run_id = "r-1"

    def __init__(
        self, first: Snapshot = SAMPLE, *, is_lively: bool = False, confirms: bool = True, pace: int = 2
    ) -> None:
        self.now = _moved_to_now(first) if is_lively else first
        self.is_lively = is_lively
        self.confirms = confirms
        self.pace = pace
        """New rows in every snapshot of a lively run."""
        """Whether the change of a command shows in the next snapshot."""
        self.commands: list[Command] = []
        self.all_items: tuple[ItemRow, ...] = ITEMS
        self.packs: dict[str, tuple[int, ...]] = {
            "p00827": (12411, 12412),
            "p00824": (12277, 884, 3, 5),
            "b0002": _ALL,
        }
        """Which items share a request, by the key of its row."""
        self.queries: list[ItemQuery] = []
        self.jobs_read: list[int] = []
        self.refusal = ""
        self.is_closed = False
        self._changed = asyncio.Event()
        self._is_ended = False
        self._random = random.Random(7)
        self._started = time.time()
        self._number = 827

    def push(self, **changes: object) -> None:
        """Make a new snapshot with these fields."""
        self.now = replace(self.now, version=self.now.version + 1, **changes)  # type: ignore[arg-type]
        self._changed.set()

    def end(self) -> None:
        """End the stream of snapshots, as an engine that goes."""
        self._is_ended = True
        self._changed.set()

    async def snapshot(self) -> Snapshot:
        return self.now

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        while not self._is_ended:
            if self.is_lively:
                self.now = self._moved(self.now)
            yield self.now
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), interval_s if self.is_lively else None)

    async def command(self, command: Command) -> Acknowledgement:
        self.commands.append(command)
        if self.refusal:
            return Acknowledgement(False, self.refusal)
        if command.verb == "set":
            changes = tuple(self._change(key, str(value)) for key, value in (command.values or {}).items())
        else:
            changes = ()
        version = self.now.version + 1
        if self.confirms:
            self._apply(command)
        return Acknowledgement(True, f"{command.verb} done", changes, version)

    async def items(self, query: ItemQuery) -> ItemPage:
        """Page over `all_items` as the ledger does."""
        self.queries.append(query)
        rows = [row for row in self.all_items if not query.states or row.state in query.states]
        rows = [row for row in rows if query.error_type in (None, row.error_type)]
        rows = [row for row in rows if query.of_row is None or row.seq in self.packs.get(query.of_row, ())]
        rows = sorted((row for row in rows if (query.search or "") in row.id), key=lambda row: row.seq)
        if query.before_seq is not None:
            found = [row for row in rows if row.seq < query.before_seq][-query.limit :]
            is_all = not found or found[0] is rows[0]
            return ItemPage(tuple(found), None if is_all else found[0].seq)
        found = [row for row in rows if row.seq > query.after_seq][: query.limit]
        return ItemPage(tuple(found), None if not found or found[-1] is rows[-1] else found[-1].seq)

    async def item(self, item_id: str) -> ItemDetail | None:
        row = next((row for row in self.all_items if row.id == item_id), None)
        return None if row is None else replace(ITEM, row=row)

    async def job(self, number: int) -> JobDetail | None:
        self.jobs_read.append(number)
        return JOB_DETAIL

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        return ()

    async def close(self) -> None:
        self.is_closed = True

    def _change(self, key: str, value: str) -> Change:
        old = next((knob.value for knob in self.now.tuner.knobs if knob.name == key), "")
        return Change(key, old, value)

    def _apply(self, command: Command) -> None:
        now = self.now
        if command.verb in {"cancel_job", "look_up"}:
            self._steer_job(command)
            return
        if command.verb != "set":
            self.push(state=_STATES.get(command.verb, now.state))
            return
        values = {key: str(value) for key, value in (command.values or {}).items()}
        knobs = tuple(replace(knob, value=values.get(knob.name, knob.value)) for knob in now.tuner.knobs)
        is_on = values.get("tuner", "on" if now.tuner.is_on else "off") == "on"
        throughput = replace(
            now.throughput, concurrency=int(values.get("concurrency", now.throughput.concurrency))
        )
        self.push(tuner=replace(now.tuner, knobs=_with(knobs, values), is_on=is_on), throughput=throughput)

    def _steer_job(self, command: Command) -> None:
        number = int((command.values or {})["job"])
        state = "cancel asked" if command.verb == "cancel_job" else "creating"
        rows = (
            replace(row, state=state) if row.job is not None and row.job.number == number else row
            for row in self.now.rows
        )
        self.push(rows=tuple(rows))

    def _moved(self, now: Snapshot) -> Snapshot:
        """One second later, in about the way a run of 2 requests a second changes."""
        if now.state != "running":
            return replace(now, at=time.time(), version=now.version + 1)
        chance, at = self._random, time.time()
        t = now.throughput
        rate = max(0.0, 1.98 + 0.3 * math.sin(at / 9) + chance.uniform(-0.2, 0.2)) * self.pace / 2
        done = now.counts.done + chance.randint(20, 40)
        throughput = replace(
            t,
            requests_per_s=rate,
            items_per_s=rate * 15,
            input_tokens_per_s=rate * 4111,
            output_tokens_per_s=rate * 813,
            in_flight=chance.randint(28, 32),
            queued=t.queued - 30,
            history_requests=(*t.history_requests[1:], rate),
            history_tokens=(*t.history_tokens[1:], rate * 4924),
        )
        p50 = 1.2 + chance.uniform(-0.1, 0.1)
        latency = replace(
            now.latency, request=replace(now.latency.request, p50=p50, p95=p50 * 2.6, p99=p50 * 5.7)
        )
        spent = now.cost.spent_pusd + chance.randint(400, 800) * 10**6
        memory = replace(
            now.memory, working_set_bytes=(now.memory.working_set_bytes or 0) + chance.randint(-2, 3) * 2**20
        )
        return replace(
            now,
            version=now.version + 1,
            at=at,
            counts=replace(now.counts, done=done),
            throughput=throughput,
            latency=latency,
            cost=replace(now.cost, spent_pusd=spent),
            memory=memory,
            rows=self._rows(at),
            eta_s=max(0.0, (now.eta_s or 0) - 1),
            elapsed_s=now.elapsed_s + 1,
        )

    def _rows(self, at: float) -> tuple[FlightRow, ...]:
        rows = [row for row in self.now.rows if row.via == "rt"]
        for _ in range(self.pace):
            self._number += 1
            rows.insert(0, replace(rows[0], key=f"p{self._number:05d}", started_at=at, state="sent", note=""))
        finished = [
            replace(
                row,
                state="done",
                latency_s=at - row.started_at,
                tokens=7100 + index,
                cost_pusd=5 * 10**8,
                role="good",
            )
            if row.latency_s is None and at - row.started_at > 3
            else row
            for index, row in enumerate(rows)
        ]
        return (*finished[:24], *(row for row in self.now.rows if row.via == "batch"))


def _moved_to_now(first: Snapshot) -> Snapshot:
    """The same run, as if it were observed now."""
    shift = time.time() - first.at
    rows = tuple(replace(row, started_at=row.started_at + shift) for row in first.rows)
    return replace(first, at=first.at + shift, rows=rows)


def _with(knobs: tuple[Knob, ...], values: dict[str, str]) -> tuple[Knob, ...]:
    known = {knob.name for knob in knobs}
    return knobs + tuple(
        Knob(name, value) for name, value in values.items() if name not in known and name != "tuner"
    )
