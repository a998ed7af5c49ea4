"""What the dashboard costs, measured on a pseudo-terminal: bytes, CPU, first paint, keys, memory.

`python benchmarks/dashboard.py [seconds a case]`. The run behind it is a fake that changes as a live one
does, one snapshot a second; the viewer is a process of its own, as in `llmtop attach`.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import psutil

_ROOT = Path(__file__).resolve().parent.parent
_SUPPORT = _ROOT / "tests" / "support"
sys.path.insert(0, str(_SUPPORT))

from terminal import Terminal  # noqa: E402

_CASES = (
    ("80x24", (80, 24), 3000, ()),
    ("120x40", (120, 40), 4000, ()),
    ("200x50", (200, 50), 5000, ()),
    ("80x24 busy", (80, 24), 3000, ("pace=2000",)),
    ("120x40 busy", (120, 40), 4000, ("pace=2000",)),
    ("200x50 busy", (200, 50), 5000, ("pace=2000",)),
    ("80x24 slow", (80, 24), 600, ("is_slow=true",)),
    ("120x40 paused", (120, 40), 200, ("paused=true",)),
)
_KEYS = 40


def main() -> None:
    """Measure every case and print one line each."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    print(f"{'case':<15}{'bytes/s':>9}{'budget':>8}{'start':>8}{'first s':>9}{'CPU %':>7}{'RSS MiB':>9}")
    for name, size, budget, options in _CASES:
        print(_measure(name, size, budget, options, seconds), flush=True)
    print(_keys())
    print(_mouse())


def _start(size: tuple[int, int], *options: str) -> Terminal:
    return Terminal([sys.executable, str(_SUPPORT / "viewer_child.py"), "1", *options], size)


def _measure(name: str, size: tuple[int, int], budget: int, options: tuple[str, ...], seconds: float) -> str:
    with _start(size, *options) as terminal:
        terminal.wait_for(lambda: "motions" in terminal.screen().text)
        first = next(at for at, amount in terminal.arrivals if amount > 300) - terminal.started_at
        time.sleep(2.5)
        at_start = len(terminal.output)
        process = psutil.Process(terminal.child.pid)
        before, moment = process.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, elapsed = process.cpu_times(), time.monotonic() - moment
        rate = terminal.bytes_since(moment) / elapsed
        cpu = (after.user + after.system - before.user - before.system) / elapsed * 100
        rss = process.memory_info().rss / 2**20
    return f"{name:<15}{rate:>9,.0f}{budget:>8,}{at_start:>8,}{first:>9.2f}{cpu:>7.2f}{rss:>9.1f}"


def _keys() -> str:
    """From a key to the first byte that answers it."""
    with _start((120, 40)) as terminal:
        terminal.wait_for(lambda: "motions" in terminal.screen().text)
        time.sleep(1.5)
        waits = []
        for number in range(_KEYS):
            time.sleep(0.11)
            count, moment = len(terminal.arrivals), time.monotonic()
            terminal.send("j" if number % 2 == 0 else "k")
            while len(terminal.arrivals) == count and time.monotonic() < moment + 1:
                time.sleep(0.0003)
            waits.append((terminal.arrivals[-1][0] - moment) * 1000)
    waits.sort()
    p95 = waits[int(len(waits) * 0.95) - 1]
    return f"key to paint   p50 {statistics.median(waits):.1f} ms, p95 {p95:.1f} ms (budget 10, 50)"


def _mouse() -> str:
    """What a hundred moves of the mouse send back."""
    with _start((120, 40), "paused=true") as terminal:
        terminal.wait_for(lambda: "motions" in terminal.screen().text)
        time.sleep(1.5)
        moment = time.monotonic()
        for number in range(100):
            terminal.send(f"\x1b[<35;{10 + number % 80};{10 + number % 25}M")
        time.sleep(1.0)
        amount = terminal.bytes_since(moment)
    return f"100 mouse moves: {amount:,} bytes (budget 5,000)"


if __name__ == "__main__":
    main()
