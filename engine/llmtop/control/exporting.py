"""Export a run's results from a front end that holds no ledger."""

from __future__ import annotations

from pathlib import Path

from llmtop.adapters.ledger import LedgerReader
from llmtop.control.export import ExportFormat, export


def export_run(folder: Path, path: str) -> tuple[int, str]:
    """Write all results of the run in `folder`; return how many and where. Blocking.

    A name that ends in .csv gives a table, any other lines of JSON. Raises StateError.
    """
    target = Path(path).expanduser().absolute()
    format: ExportFormat = "csv" if target.suffix.lower() == ".csv" else "jsonl"
    with LedgerReader(folder) as reader:
        count = export(reader, target, format, ("done", "rejected", "failed"), raw=False)
    return count, str(target)
