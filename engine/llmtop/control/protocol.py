"""The one door: what a front end may hold of a run, whichever process its engine lives in.

Three implementations stand behind it: `control.local` (the run is in this process),
`control.client` (over an engine's Unix socket) and `control.archive` (nobody runs it; read from
its ledger). A front end does not know which it holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from llmtop.listing import AttemptRow, ItemDetail, ItemPage, ItemQuery, ItemRow, ItemState, JobDetail
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import RunLine, Snapshot

__all__ = [
    "AttemptRow",
    "EngineDoor",
    "ItemDetail",
    "ItemPage",
    "ItemQuery",
    "ItemRow",
    "ItemState",
    "JobDetail",
    "RunDoor",
]


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

    async def job(self, number: int) -> JobDetail | None:
        """Return what the requests of a batch job came to, or None where there is no such job."""

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
