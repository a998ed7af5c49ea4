"""A batch job on its way, and what its submitter needs from the outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from llmtop.batch_jobs import BatchRecord, JobInput, OpenLine, RemoteBatch
from llmtop.model import (
    Attempt,
    AttemptEnd,
    ChatRequest,
    Item,
    ItemError,
    ProviderError,
    Result,
    WireRequest,
)
from llmtop.policy.job_figures import Pace, row_key
from llmtop.policy.packing import PackReading


@dataclass(slots=True)
class Job:
    """One job of this process's run. Mutable: its own task changes it."""

    record: BatchRecord
    path: Path
    """Its input, until it is over."""
    strangers: int = 0
    """Lines of its results that are nobody's here."""
    is_unclear: bool = False
    """Whether it exists cannot be looked up: it waits for a person, as one that is held."""
    is_cancel_wanted: bool = False
    failures: int = 0
    """Calls about it that failed, in a row."""
    missed_at: float | None = None
    """Since when the provider does not know it (the event loop's clock)."""
    next_poll_at: float | None = None
    """Wall clock."""
    note: str = ""
    settled: set[str] = field(default_factory=set)
    """Requests whose end was taken, by custom_id, while its results are fetched."""
    errors: dict[str, ProviderError] = field(default_factory=dict)
    """What the results say of requests that have no good answer so far."""
    more_errors: set[str] = field(default_factory=set)
    """Requests with an error that there was no room for."""
    task: asyncio.Task[None] | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by whoever wants it looked at now."""
    pace: Pace = field(default_factory=Pace)

    @property
    def input(self) -> JobInput:
        """Its file, ready to go up."""
        record = self.record
        return JobInput(self.path, record.input_bytes, record.requests, record.model)

    @property
    def is_held(self) -> bool:
        """Whether it waits for a person."""
        return self.record.state == "held"

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return self.record.batch_id or self.record.tag

    def saw(self, remote: RemoteBatch, at: float) -> None:
        """Take in what the provider shows of it."""
        self.pace.saw(at, None if remote.done is None else remote.done + (remote.failed or 0))
        self.record = replace(
            self.record,
            state=remote.state,
            batch_id=remote.id,
            created_at=remote.created_at or self.record.created_at or at,
            done=remote.done,
            failed=remote.failed,
            polled_at=at,
            ended_at=(remote.ended_at or at) if remote.is_terminal else None,
            expires_at=remote.expires_at or self.record.expires_at,
            results_until=remote.results_until or self.record.results_until,
            error=remote.error_message or self.record.error,
        )


class JobList:
    """The jobs of one run, and a bell that rings when something has changed about them."""

    def __init__(self) -> None:
        self.open: list[Job] = []
        """Those that are not over, oldest first."""
        self.over: list[Job] = []
        """Those that ended, in earlier processes too, oldest first."""
        self.is_refused = False
        """The provider refuses our key, or the like: it is asked nothing before a person has mended that."""
        self.rings = 0
        """How often something has changed."""
        self._bell = asyncio.Event()

    def __repr__(self) -> str:
        return f"<JobList {len(self.open)} open, {len(self.over)} over>"

    @property
    def tokens(self) -> int:
        """What waits at the provider, as estimated."""
        return sum(job.record.tokens for job in self.open)

    @property
    def is_waited_for(self) -> bool:
        """Whether a job will still come to something by itself."""
        return any(not job.is_held and not job.is_unclear for job in self.open)

    def has_others(self, job: Job) -> bool:
        """Whether other jobs of the run are at the provider, so that its queue will be shorter some day."""
        others = (other for other in self.open if other is not job)
        return any(other.record.batch_id is not None and not other.is_held for other in others)

    def ring(self) -> None:
        """Wake who waits in `changed`."""
        self.rings += 1
        self._bell.set()

    async def changed(self, since: int | None = None) -> None:
        """Wait for the next ring, or for the one after so many where that is over already."""
        if since is not None and self.rings != since:
            return
        self._bell.clear()
        await self._bell.wait()

    async def mended(self) -> None:
        """Wait while the provider refuses."""
        while self.is_refused:
            await self.changed()

    def find(self, name: str) -> Job | None:
        """Return the open job of this id, tag, number or row (`b0003`)."""
        return next(
            (
                job
                for job in self.open
                if name in (job.record.batch_id, job.record.tag, str(job.record.number), row_key(job.record))
            ),
            None,
        )

    def finish(self, job: Job) -> None:
        """A job is over: its input is not needed any more."""
        self.open.remove(job)
        self.over.append(job)
        for kept in (job.settled, job.errors, job.more_errors):
            kept.clear()
        job.path.unlink(missing_ok=True)
        self.ring()


class KeyDesk:
    """What all runs of a process share that create jobs with one key at one address."""

    def __init__(self) -> None:
        self.creating = asyncio.Lock()
        """One creation at a time, until its outcome is known."""
        self.known: set[str] = set()
        """Ids of jobs that belong to somebody here."""


class JobExchange(Protocol):
    """What a run asks, and what it takes for an answer."""

    @property
    def model(self) -> str:
        """The model that is asked."""

    def request(self, item: Item, explanation: str | None = None) -> ChatRequest:
        """Return what is asked about an item, with what was wrong with the answer before."""

    def request_pack(self, items: Sequence[Item]) -> ChatRequest:
        """Return what is asked about several items at once."""

    def prepare(self, item: Item) -> WireRequest:
        """Put an item into the provider's words, as if it were asked alone and in realtime."""

    def can_pack(self, item: Item) -> bool:
        """Whether the item can share a request with others."""

    def accept(self, text: str) -> tuple[Any, ItemError | None]:
        """Turn an answer's text into the item's output, or say what is wrong with it."""

    def read_pack(self, text: str, ids: Sequence[str]) -> PackReading:
        """Tell the answers of a pack apart, by id."""

    def metadata(self, item: Item) -> dict[str, Any]:
        """Return the input fields that go with the result."""


class JobBooks(Protocol):
    """The ledger, as far as batch jobs go. `on_commit` runs in the event loop after the commit."""

    def next_attempt_id(self) -> int:
        """Return a number that no attempt of this run has had."""

    def intend(
        self, record: BatchRecord, items: Sequence[tuple[int, str, int]], on_commit: Callable[[], None]
    ) -> None:
        """Write down a job that is about to be created: (seq, custom_id, reserved) of each item."""

    def save(
        self, record: BatchRecord, released: str | None = None, on_commit: Callable[[], None] | None = None
    ) -> None:
        """Write down how a job stands; `released`: what its open requests come to."""

    def line(
        self,
        number: int,
        items: Sequence[tuple[int, str]],
        attempt: Attempt,
        end: AttemptEnd,
        results: Sequence[Result],
        on_commit: Callable[[], None],
    ) -> None:
        """Write down what one request of a job came to, in one transaction.

        `items`: (seq, `answered` or the type of its error).
        """

    def jobs(self, *, is_open_only: bool = False) -> tuple[BatchRecord, ...]:
        """Return the run's jobs, oldest first."""

    def open_ids(self, number: int, after: str, limit: int) -> list[str]:
        """Return the next custom_ids of requests that have come to nothing yet, ascending."""

    def open_lines(self, number: int, custom_ids: Sequence[str]) -> list[OpenLine]:
        """Return the items of these requests, as far as they are open, by custom_id."""

    def open_reserved(self, number: int) -> int:
        """Return what is set aside for a job's open requests."""

    def item(self, seq: int) -> Item:
        """Return an item of the input."""


def line_id(tag: str, seqs: Sequence[int]) -> str:
    """Return the custom_id of a request: it begins with the job's tag, and says whether it is a pack."""
    return f"{tag}-{seqs[0]}" if len(seqs) == 1 else f"{tag}-p{seqs[0]}"


def is_of(tag: str, custom_id: str) -> bool:
    """Whether a line of results is for a job of ours, by its name."""
    return custom_id.startswith(f"{tag}-") and len(custom_id) < len(tag) + 20
