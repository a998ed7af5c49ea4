"""The ledger: one SQLite file a run, its output files and its lock."""

from llmtop.adapters.ledger.intake import ItemPlace
from llmtop.adapters.ledger.jobs import Pending
from llmtop.adapters.ledger.ledger import Ledger
from llmtop.adapters.ledger.lock import owner_pid
from llmtop.adapters.ledger.reader import LedgerReader
from llmtop.adapters.ledger.records import (
    BatchIntent,
    BatchLine,
    BatchSaved,
    CommandRecord,
    Entry,
    ErrorCount,
    Finish,
    RunRecord,
    StateChange,
    Totals,
)
from llmtop.adapters.ledger.requeue import retry_choice

__all__ = [
    "BatchIntent",
    "BatchLine",
    "BatchSaved",
    "CommandRecord",
    "Entry",
    "ErrorCount",
    "Finish",
    "ItemPlace",
    "Ledger",
    "LedgerReader",
    "Pending",
    "RunRecord",
    "StateChange",
    "Totals",
    "owner_pid",
    "retry_choice",
]
