"""A dashboard on a pseudo-terminal, looking at a run until stdin ends.

    python benchmarks/watching.py STATE_FOLDER RUN

Prints, as JSON, the CPU a second that the viewer took once it had drawn its first screen.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from terminal import Terminal

_FIRST_SCREEN_BYTES = 300


def main(home: str, run: str) -> None:
    """Attach, wait for the first screen, then measure the viewer until stdin ends."""
    command = [str(Path(sys.executable).with_name("llmtop")), "attach", run, "--read-only"]
    with Terminal(command, (120, 40), {"LLMTOP_HOME": home}) as terminal:
        viewer = psutil.Process(terminal.child.pid)
        while not any(amount > _FIRST_SCREEN_BYTES for _, amount in terminal.arrivals):
            if terminal.child.poll() is not None:
                sys.exit(f"the viewer ended: {terminal.ended()[1]}")
            time.sleep(0.02)
        before, began = _cpu_s(viewer), time.monotonic()
        sys.stdin.read()
        after, ended = _cpu_s(viewer), time.monotonic()
        drawn = terminal.bytes_since(began)
    print(json.dumps({"viewer_cpu_pct": 100.0 * (after - before) / (ended - began), "drawn_bytes": drawn}))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main(*sys.argv[1:])
