"""What a lost line costs a run: nothing, and how soon the next terminal has everything back.

    python benchmarks/line_lost.py [--rate 50] [--seconds 6]

One run at a fixed rate, watched by one dashboard after another. Each is lost in its own way: its SSH
client is killed, its terminal is closed, it stands still (a frozen line), it is killed with -9.
For each way: requests a second before and after, the longest gap between two departures around the
loss (from the ledger), and the time of a new `attach` to its first picture and to its figures. At
the end every item has one result, and the provider was asked once for each. Exits with 1 where it
is not so. Without sshd on the machine its row is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import ssh
from terminal import Terminal

_LLMTOP = str(Path(sys.executable).with_name("llmtop"))
_SIZE = (120, 40)
_CONFIG = """
name = "line"
[provider]
kind = "simulator"
model = "sim"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {{text}}"
[execution]
concurrency = 200
[limits]
requests_per_second = {rate}
[tuner]
enabled = false
[provider.simulator]
profile = "instant"
"""


class Watched:
    """A run in the background, as its ledger and its dashboards show it."""

    def __init__(self, folder: Path, rate: float, items: int) -> None:
        lines = (json.dumps({"id": f"m-{number}", "text": f"saying {number}"}) for number in range(items))
        (folder / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
        (folder / "line.toml").write_text(_CONFIG.format(rate=rate), encoding="utf-8")
        self.home = folder / "home"
        self.items = items
        started = self.llmtop("run", str(folder / "line.toml"), "--detach", "--json", "--yes")
        self.pid: int = started["pid"]
        (self.ledger,) = self.home.glob("runs/*/run.db")

    def llmtop(self, *words: str) -> Any:
        """Run a command; return what it prints as JSON."""
        environment = {**os.environ, "LLMTOP_HOME": str(self.home)}
        done = subprocess.run([_LLMTOP, *words], env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    @contextmanager
    def dashboard(self, command: list[str] | None = None) -> Iterator[Terminal]:
        """A dashboard that has drawn its figures."""
        words = command or [_LLMTOP, "attach"]
        with Terminal(words, _SIZE, {"LLMTOP_HOME": str(self.home)}) as terminal:
            terminal.wait_for_text("line", 30)
            yield terminal

    def departures(self, start: float, end: float) -> list[float]:
        """Wall-clock seconds at which requests left, between two moments."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            query = "SELECT started_at FROM attempts WHERE started_at BETWEEN ? AND ? ORDER BY started_at"
            return [row[0] for row in connection.execute(query, (start, end))]

    def count(self, table: str) -> int:
        """Rows of a table of the ledger."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


def main() -> int:
    """Lose the line in each way; print a row for each, then whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second (default 50)")
    parser.add_argument("--seconds", type=float, default=6.0, help="before and after each loss (default 6)")
    said = parser.parse_args()
    ways: dict[str, Callable[[Terminal], None]] = {
        "SSH client killed": lambda terminal: terminal.child.kill(),
        "terminal closed": _close,
        "line frozen": lambda terminal: terminal.stall(),
        "viewer killed": lambda terminal: terminal.child.kill(),
    }
    if not ssh.IS_HERE:
        del ways["SSH client killed"]
    with tempfile.TemporaryDirectory(prefix="llmtop-line-") as place:
        folder = Path(place)
        run = Watched(folder, said.rate, round(said.rate * (len(ways) * (2 * said.seconds + 5) + 5)))
        try:
            print(f"{'lost':<18} {'before':>8} {'after':>8} {'gap':>8} {'picture':>9} {'figures':>9}")
            with _server(folder) as server:
                for name, lose in ways.items():
                    _row(run, name, lose, said.seconds, server)
            return _balance(run)
        finally:
            if _is_alive(run.pid):
                os.kill(run.pid, signal.SIGTERM)


@contextmanager
def _server(folder: Path) -> Iterator[ssh.Server | None]:
    if not ssh.IS_HERE:
        yield None
        return
    with ssh.server(folder / "ssh") as server:
        yield server


def _row(
    run: Watched, name: str, lose: Callable[[Terminal], None], seconds: float, server: ssh.Server | None
) -> None:
    command = None
    if server is not None and name.startswith("SSH"):
        command = server.client(f"LLMTOP_HOME={run.home} {_LLMTOP} attach")
    with run.dashboard(command) as terminal:
        time.sleep(seconds)
        lost_at = time.time()
        lose(terminal)
        time.sleep(seconds)
        until = time.time()
    before = run.departures(lost_at - seconds, lost_at)
    after = run.departures(lost_at, until)
    around = run.departures(lost_at - 1.0, lost_at + 3.0)
    gap = max(later - sooner for sooner, later in pairwise(around))
    with run.dashboard() as back:
        figures = time.monotonic() - back.started_at
        picture = next(at for at, amount in back.arrivals if amount > 300) - back.started_at
    print(
        f"{name:<18} {len(before) / seconds:>6.1f}/s {len(after) / (until - lost_at):>6.1f}/s"
        f" {1000 * gap:>5.0f} ms {picture:>7.2f} s {figures:>7.2f} s",
        flush=True,
    )


def _close(terminal: Terminal) -> None:
    terminal.drop_slave()
    terminal.hang_up()


def _balance(run: Watched) -> int:
    """Wait for the run's end; every item must have one result after one request."""
    while _is_alive(run.pid):
        time.sleep(0.2)
    results, attempts = run.count("results"), run.count("attempts")
    print(f"{run.items} items: {results} results, {attempts} requests")
    return 0 if results == attempts == run.items else 1


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
