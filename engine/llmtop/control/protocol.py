"""The one door: what a front end may hold of a run, whichever process its engine lives in.

Three implementations stand behind it: `control.local` (the run is in this process),
`control.client` (over an engine's Unix socket) and `control.archive` (nobody runs it; read from
its ledger). A front end does not know which it holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import RunLine, Snapshot

ItemState = Literal["pending", "in_flight", "done", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Which page of a run's items. States empty: all. `after_seq` continues behind that item."""

    states: tuple[ItemState, ...] = ()
    error_type: str | None = None
    search: str | None = None
    """Part of an id or of the output."""
    after_seq: int = -1
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item in a list. None: not known (yet)."""

    seq: int
    id: str
    state: ItemState
    attempts: int
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_pusd: int | None
    error_type: str | None
    error_message: str | None
    finished_at: float | None
    preview: str
    """The start of the output, as it came."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Rows in input order; `next_after_seq` is None on the last page."""

    rows: tuple[ItemRow, ...]
    next_after_seq: int | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One send of an item. `outcome` is None while it is open or when its answer was lost."""

    id: int
    number: int
    started_at: float
    ended_at: float | None
    outcome: str | None
    http_status: int | None
    error_type: str | None
    error_message: str | None
    retry_after_s: float | None
    latency_ms: int | None
    cost_pusd: int | None
    is_maybe_billed: bool
    request_id: str | None
    body: str | None
    """The raw answer (text, cut to what the ledger keeps)."""


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """Everything about one item."""

    row: ItemRow
    messages: tuple[dict[str, Any], ...] | None
    """The prompt as sent; None when the input can no longer be read."""
    messages_note: str
    """Why there is no prompt, or that the input changed since."""
    result: dict[str, Any] | None
    """The result line of `interface.md` section 4."""
    attempts: tuple[AttemptRow, ...]


class RunDoor(Protocol):
    """One run: snapshots out, commands in, pages of its items."""

    run_id: str

    async def snapshot(self) -> Snapshot:
        """Return the state now."""

    def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        """Yield the state now, then on every tick at most; ends when the engine ends."""

    async def command(self, command: Command) -> Acknowledgement:
        """Do what is asked, all or nothing. A refusal is an acknowledgement with `is_ok` False."""

    async def items(self, query: ItemQuery) -> ItemPage:
        """Return one page of items."""

    async def item(self, item_id: str) -> ItemDetail | None:
        """Return one item, or None where there is no such id."""

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        """Return the last decisions and commands, newest last."""

    async def close(self) -> None:
        """Let go of the run; it goes on."""


class EngineDoor(Protocol):
    """The runs of one engine process."""

    async def runs(self) -> tuple[RunLine, ...]:
        """List the runs that this engine holds."""

    async def run(self, run_id: str) -> RunDoor:
        """Open one of them. Raises UsageError when it has no such run."""
