"""A run in the background on a real engine, and what its engine says of it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from slow_run import LLMTOP, slow_run
from terminal import Terminal


class Far:
    """A run in the background, and what its engine says of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "LLMTOP_HOME": str(folder / "home")}
        config = slow_run(folder, "far")
        started = self.llmtop("run", str(config), "--detach", "--json")
        self.run_id, self.pid = started["run_id"], started["pid"]

    def llmtop(self, *words: str) -> Any:
        """Run a command; return what it prints as JSON."""
        done = subprocess.run(
            [*LLMTOP, *words], env=self.environment, capture_output=True, text=True, timeout=30, check=True
        )
        return json.loads(done.stdout)

    def commands(self) -> list[tuple[str, str]]:
        """What operators asked, and who: as the ledger has it."""
        path = self.folder / "home" / "runs" / self.run_id / "run.db"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
            return ledger.execute("SELECT verb, origin FROM commands ORDER BY id").fetchall()

    def done(self) -> int:
        """Items that are done."""
        return int(self.llmtop("show", self.run_id, "--json")["counts"]["done"])

    def attach(self, size: tuple[int, int] = (100, 30)) -> Terminal:
        """A viewer on a terminal of its own."""
        return Terminal(
            [*LLMTOP, "attach", self.run_id], size, {"LLMTOP_HOME": self.environment["LLMTOP_HOME"]}
        )

    def goes_on(self) -> bool:
        """Whether results come in, and the engine is the one that was started."""
        before, end = self.done(), time.monotonic() + 10
        while time.monotonic() < end:
            if self.done() > before:
                return psutil.pid_exists(self.pid)
            time.sleep(0.1)
        return False
