"""Runs over the same items, written into a state folder as an engine does."""

from __future__ import annotations

from collections.abc import Sequence

from ledger_values import end, put_all, run_record

from llmtop.adapters.home import Home
from llmtop.adapters.ledger import Finish, Ledger, StateChange
from llmtop.adapters.ledger.records import Entry
from llmtop.config.effective import to_record
from llmtop.config.schema import ProviderConfig, RunConfig
from llmtop.model import Attempt, Result

COST = 27_100_000
"""Of one try of `ledger_values.end`, in pico-dollars."""


def tried(*results: Result) -> list[Entry]:
    """Each result with the one try that brought it."""
    entries: list[Entry] = []
    for number, each in enumerate(results, start=1):
        entries += [Attempt(number, each.seq, 1, 1000.0), Finish(each, end(number))]
    return entries


async def make(
    home: Home,
    name: str,
    entries: Sequence[Entry],
    *,
    ids: Sequence[str] = tuple(f"m-{seq}" for seq in range(4)),
    config: RunConfig | None = None,
    elapsed_s: float = 8.0,
) -> Ledger:
    """Write a run; it is live until its ledger is closed."""
    folder = home.run_folder(f"{name}-000000")
    kept = config or RunConfig(name=name, file=None, provider=ProviderConfig(model="m"))
    record = run_record(folder, name=name, model=f"model of {name}", config=to_record(kept), output_path=None)
    ledger = Ledger.create(folder, record)
    ledger.add_items((seq, each, seq + 1, 100 * seq) for seq, each in enumerate(ids))
    await put_all(ledger, [*entries, StateChange(at=990.0, state="running", elapsed_s=elapsed_s)])
    return ledger
