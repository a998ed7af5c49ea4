"""Go on with a run from what its ledger says of it: no config file is needed."""

from __future__ import annotations

from llmtop.adapters.home import Home
from llmtop.adapters.ledger import LedgerReader
from llmtop.config.effective import from_record
from llmtop.control.spawning import RunOptions, Spawned, spawn_engine
from llmtop.errors import UsageError


async def resume_run(home: Home, ref: str) -> Spawned:
    """Start an engine in a session of its own that goes on with a run, with the settings it had.

    Raises UsageError for a run that lives or has nothing left, and what `spawn_engine` raises.
    """
    found = home.resolve(ref)
    pid = home.owner_pid(found.run_id)
    if pid is not None:
        raise UsageError(found.run_id, f"lives in process {pid}", "`llmtop attach` shows it")
    with LedgerReader(found.folder) as reader:
        record, counts = reader.record(), reader.counts()
    if record.state == "cancelled" or (counts.total and not counts.pending):
        raise UsageError(found.run_id, "has nothing left to do", "R puts failed or rejected items back")
    config = from_record(record.config)
    return await spawn_engine(home, [config], RunOptions(resume=found.run_id, assume_yes=True))
