"""Where items come from: JSONL, CSV, TSV and text files, gzip of them, and standard input."""

from llmtop.adapters.sources.source import ScannedItem, Source, open_source

__all__ = ["ScannedItem", "Source", "open_source"]
