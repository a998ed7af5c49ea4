"""The command line: one file a command group; `main` is the entry point of `llmtop`."""

from __future__ import annotations

from llmtop_tui.cli.entry import main

__all__ = ["main"]
