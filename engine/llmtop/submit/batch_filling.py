"""Requests become the file of a job: line by line onto the disk, with money set aside for each."""

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
from llmtop.policy.packing import share
from llmtop.submit.batch_packing import JobPacker
from llmtop.submit.batch_work import Job, JobExchange, line_id
from llmtop.submit.estimator import Estimator
from llmtop.submit.settlement import Settlement

_ITEMS_A_TURN = 32
"""Items that are put into lines between two turns of the event loop."""


@dataclass(slots=True)
class Filled:
    """What came of filling. `job` None: no request fitted or none was left."""

    job: Job | None
    items: list[tuple[int, str, int]]
    """(seq, custom_id, reserved pico-dollars)."""
    is_budget_reached: bool = False
    is_queue_full: bool = False
    """Whether a request waits for the provider's queue to become shorter."""


class Filler:
    """Takes requests from the packer until a job is full."""

    def __init__(
        self,
        *,
        packer: JobPacker,
        provider: BatchProvider,
        exchange: JobExchange,
        settlement: Settlement,
        estimator: Estimator,
        folder: Path,
        prefix: str,
        limits: JobLimits,
        wall: Callable[[], float],
    ) -> None:
        self.limits = limits
        self._packer = packer
        self._provider = provider
        self._exchange = exchange
        self._settlement = settlement
        self._estimator = estimator
        self._folder = folder
        self._prefix = prefix
        self._wall = wall

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
        if not filled.items:
            path.unlink(missing_ok=True)
            return filled
        filled.job = Job(
            BatchRecord(
                number=number,
                tag=tag,
                state="intent",
                model=self._exchange.model,
                requests=filling.requests,
                items=len(filled.items),
                input_bytes=filling.size_bytes,
                input_sha256=digest,
                tokens=filling.tokens,
                reserved_pusd=sum(reserved for _, _, reserved in filled.items),
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
            turn = 0
            while (line := await self._next(tag, filling, filled)) is not None:
                put(file, form.between + line if filling.requests > 1 else line)
                if len(filled.items) - turn >= _ITEMS_A_TURN:
                    turn = len(filled.items)
                    await asyncio.sleep(0)
            put(file, form.after)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return digest.hexdigest()

    async def _next(self, tag: str, filling: Filling, filled: Filled) -> bytes | None:
        """Return the next request's line, counted and paid for; None: the job is full, or all is in."""
        while items := await self._packer.next():
            seqs = [item.seq for item in items]
            custom_id = line_id(tag, seqs)
            request = self._packer.request(items)
            line = self._provider.line(custom_id, request)
            if filling.is_too_large(len(line)):
                self._make_smaller(items, len(line))
                continue
            cost, most_input, most_output = self._estimator.before(
                len(line), len(items), request.max_output_tokens if len(items) > 1 else None
            )
            tokens = round(cost.input_tokens)
            accounts = self._settlement.accounts
            reserved = accounts.reserve_for(most_input, most_output, is_batch=True)
            if not filling.takes(len(line), tokens):
                filled.is_queue_full = not filled.items
            elif not accounts.budget.try_reserve(reserved):
                filled.is_budget_reached = True
            else:
                filling.add(len(line), tokens)
                parts = share(reserved, [1] * len(items))
                filled.items += [(seq, custom_id, part) for seq, part in zip(seqs, parts, strict=True)]
                return line
            self._packer.put_back(items)
            return None
        return None

    def _make_smaller(self, items: tuple[Item, ...], size: int) -> None:
        """No job can hold the request: a pack is halved, an item alone fails, and nothing is sent."""
        if len(items) > 1:
            middle = (len(items) + 1) // 2
            self._packer.put_back(items[:middle], items[middle:])
            return
        (item,), at = items, self._wall()
        error = ItemError("bad_request", f"is larger than a job of the provider may be ({size:,} bytes)")
        result = Result(
            seq=item.seq, id=item.id, status="failed", output=None, error=error, finish_reason=None,
            usage=Usage(), cost_pusd=0, model=self._exchange.model, via="batch", attempts=0,
            latency_ms=None, started_at=at, finished_at=at, metadata=self._exchange.metadata(item),
        )  # fmt: skip
        self._packer.refused(item)
        self._settlement.spared(result, lambda _: None)

    def _give_back(self, filled: Filled, path: Path) -> None:
        for _, _, reserved in filled.items:
            self._settlement.accounts.budget.release(reserved)
        path.unlink(missing_ok=True)
