"""A run on the embedded simulator that takes minutes, and the program as a command: for viewers to watch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MAIN = "import sys; from llmtop_tui.cli import main; sys.exit(main())"
LLMTOP = [sys.executable, "-P", "-c", MAIN]
_CONFIG = """
name = "{name}"
[provider]
kind = "simulator"
model = "sim"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {{text}}"
[execution]
concurrency = 8
[limits]
requests_per_second = 20
"""


def slow_run(folder: Path, name: str) -> Path:
    """Write input and config of a run of 3,000 items, 20 a second; return the config."""
    lines = (json.dumps({"id": f"m-{number}", "text": f"saying {number}"}) for number in range(3000))
    (folder / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = folder / f"{name}.toml"
    config.write_text(_CONFIG.format(name=name), encoding="utf-8")
    return config
