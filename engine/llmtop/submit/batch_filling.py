"""Items become the file of a job: line by line onto the disk, with money set aside for each."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llmtop.batch_jobs import BatchProvider, BatchRecord
from llmtop.errors import StateError
from llmtop.model import Item, ItemError, Result, Usage
from llmtop.policy.batching import Filling, JobLimits
from llmtop.submit.batch_work import Job, JobExchange
from llmtop.submit.estimator import Estimator
from llmtop.submit.reception import Reception
from llmtop.submit.work import Feed

_LINES_A_TURN = 32
"""Lines that are made between two turns of the event loop."""


@dataclass(slots=True)
class Filled:
    """What came of filling. `job` None: no item fitted or none was left."""

    job: Job | None
    lines: list[tuple[int, str, int]]
    is_budget_reached: bool = False
    is_queue_full: bool = False
    """Whether an item waits for the provider's queue to become shorter."""


class Filler:
    """Takes items from a feed until a job is full."""

    def __init__(
        self,
        *,
        feed: Feed,
        provider: BatchProvider,
        exchange: JobExchange,
        reception: Reception,
        estimator: Estimator,
        folder: Path,
        prefix: str,
        limits: JobLimits,
        wall: Callable[[], float],
    ) -> None:
        self.limits = limits
        self.explained: dict[int, str] = {}
        """What was wrong with the answers of items that are asked again, by seq."""
        self._feed = feed
        self._provider = provider
        self._exchange = exchange
        self._reception = reception
        self._estimator = estimator
        self._folder = folder
        self._prefix = prefix
        self._wall = wall
        self._carried: Item | None = None

    def drop(self) -> None:
        """Forget the item that waits for the next job: a new pass finds it again."""
        self._carried = None

    def path(self, tag: str) -> Path:
        """Return where the input of a job stands."""
        return self._folder / f"{tag}.jsonl"

    async def fill(self, number: int, enqueued_tokens: int) -> Filled:
        """Make the next job. Raises StateError when its file cannot be written.

        Cancelled or failed, it gives the money back and leaves nothing behind.
        """
        tag = f"{self._prefix}-{number}"
        filled = Filled(None, [])
        form = self._provider.form
        filling = Filling(self.limits, len(form.before) + len(form.after), len(form.between), enqueued_tokens)
        path = self.path(tag)
        try:
            digest = await self._write(path, tag, filling, filled)
        except BaseException as error:
            self._give_back(filled, path)
            if isinstance(error, OSError):
                raise StateError(str(path), f"cannot be written: {error.strerror}") from error
            raise
        if not filled.lines:
            path.unlink(missing_ok=True)
            return filled
        filled.job = Job(
            BatchRecord(
                number=number,
                tag=tag,
                state="intent",
                model=self._exchange.model,
                requests=filling.requests,
                input_bytes=filling.size_bytes,
                input_sha256=digest,
                tokens=filling.tokens,
                reserved_pusd=sum(reserved for _, _, reserved in filled.lines),
                intended_at=self._wall(),
            ),
            path,
        )
        return filled

    async def _write(self, path: Path, tag: str, filling: Filling, filled: Filled) -> str:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        form, digest = self._provider.form, hashlib.sha256()

        def put(file: BinaryIO, data: bytes) -> None:
            file.write(data)
            digest.update(data)

        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            put(file, form.before)
            while (line := self._next(tag, filling, filled)) is not None:
                put(file, form.between + line if len(filled.lines) > 1 else line)
                if len(filled.lines) % _LINES_A_TURN == 0:
                    await asyncio.sleep(0)
            put(file, form.after)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return digest.hexdigest()

    def _next(self, tag: str, filling: Filling, filled: Filled) -> bytes | None:
        """Return the line of the next item, counted and paid for; None: the job is full, or all is in."""
        while True:
            item = self._carried or self._feed.take()
            self._carried = None
            if item is None:
                return None
            custom_id = f"{tag}-{item.seq}"
            line = self._provider.line(custom_id, self._exchange.request(item, self.explained.get(item.seq)))
            if filling.is_too_large(len(line)):
                self._refuse(item, len(line))
                continue
            cost, most_input, most_output = self._estimator.before(len(line))
            tokens = round(cost.input_tokens)
            if not filling.takes(len(line), tokens):
                self._carried = item
                filled.is_queue_full = not filled.lines
                return None
            accounts = self._reception.accounts
            reserved = accounts.reserve_for(most_input, most_output, is_batch=True)
            if not accounts.budget.try_reserve(reserved):
                self._carried = item
                filled.is_budget_reached = True
                return None
            filling.add(len(line), tokens)
            filled.lines.append((item.seq, custom_id, reserved))
            return line

    def _refuse(self, item: Item, size: int) -> None:
        """No job can hold it: it fails, and nothing is sent."""
        at = self._wall()
        error = ItemError("bad_request", f"is larger than a job of the provider may be ({size:,} bytes)")
        result = Result(
            seq=item.seq, id=item.id, status="failed", output=None, error=error, finish_reason=None,
            usage=Usage(), cost_pusd=0, model=self._exchange.model, via="batch", attempts=0,
            latency_ms=None, started_at=at, finished_at=at, metadata=self._exchange.metadata(item),
        )  # fmt: skip
        self._reception.settlement.spared(result, lambda _: None)

    def _give_back(self, filled: Filled, path: Path) -> None:
        for _, _, reserved in filled.lines:
            self._reception.accounts.budget.release(reserved)
        path.unlink(missing_ok=True)
