"""The settings that a run has been started with, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llmtop.adapters.ledger import LedgerReader
from llmtop.config.effective import describe, from_record


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting in words. What was changed live since is in the snapshot's knobs."""

    key: str
    value: str
    origin: str


def settings_of(folder: Path) -> tuple[ShownSetting, ...]:
    """Return all settings of the run in `folder`, in the order of the documentation. Raises StateError."""
    with LedgerReader(folder) as reader:
        config = from_record(reader.record().config)
    return tuple(ShownSetting(*entry) for entry in describe(config))
