"""The ledger: one SQLite file a run, its output files, its lock, and the state folder that holds them."""

from llmtop.adapters.ledger.ledger import Ledger
from llmtop.adapters.ledger.lock import owner_pid
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import (
    CommandRecord,
    Entry,
    ErrorCount,
    Finish,
    RunRecord,
    StateChange,
    Totals,
)
from llmtop.adapters.ledger.requeue import retry_choice
from llmtop.adapters.ledger.state_folder import EngineEntry, EngineRecord, StateFolder

__all__ = [
    "CommandRecord",
    "EngineEntry",
    "EngineRecord",
    "Entry",
    "ErrorCount",
    "Finish",
    "Ledger",
    "LedgerReader",
    "RunRecord",
    "StateChange",
    "StateFolder",
    "Totals",
    "owner_pid",
    "retry_choice",
]
