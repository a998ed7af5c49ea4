"""The real viewer on the real engine: its cost at 10 and at thousands of items a second, and the engine's.

`python benchmarks/dashboard_real.py --help`. The engine runs against the `fast` simulator in a process
of its own. Requests a second with and without a viewer are taken in turns, so that both see the
same machine. Then a ledger of 1,000,000 items is paged through.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import big_ledger
from terminal import Terminal

_LLMTOP = str(Path(sys.executable).with_name("llmtop"))
_SIZE = (120, 40)
_CONFIG = """
name = "bench"
[provider]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "simulated"
api_key_env = "LLMTOP_BENCH_KEY"
[input]
path = "items.jsonl"
[request]
prompt = "Explain {{text}}"
max_output_tokens = 60
[execution]
concurrency = 64
{limits}
[tuner]
enabled = false
"""


def main() -> None:
    """Measure every pace, then the list of items."""
    parser = argparse.ArgumentParser(
        description="The real viewer on the real engine: rates with and without it, its cost, paging."
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window (default: 8)")
    parser.add_argument(
        "--items", type=int, default=200_000, help="items of a run as fast as it goes (default: 200,000)"
    )
    chosen = parser.parse_args()
    seconds: float = chosen.seconds
    with tempfile.TemporaryDirectory(prefix="llmtop-dash-") as folder:
        simulator = _simulator()
        try:
            for name, limits, items in (
                ("10 items/s", "[limits]\nrequests_per_second = 10", 5_000),
                ("as fast as it goes", "", chosen.items),
                ("packs of 4, as fast as it goes", "items_per_request = 4", 4 * chosen.items),
            ):
                place = Path(folder, name.replace("/", "").replace(" ", "-"))
                place.mkdir()
                print(f"{name}: {_run(place, limits, items, _port(simulator), seconds)}", flush=True)
        finally:
            simulator.terminate()
            simulator.wait(10)
        print(_paging(Path(folder, "big")))


def _simulator() -> subprocess.Popen[str]:
    words = [_LLMTOP, "simulate", "--profile", "fast", "--port", "0"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


_PORTS: dict[int, int] = {}


def _port(simulator: subprocess.Popen[str]) -> int:
    if simulator.pid not in _PORTS:
        assert simulator.stdout is not None
        for line in simulator.stdout:
            digits = line.rpartition("127.0.0.1:")[2].split("/")[0].split()
            if digits and digits[0].isdigit():
                _PORTS[simulator.pid] = int(digits[0])
                break
    return _PORTS[simulator.pid]


def _run(place: Path, limits: str, items: int, port: int, seconds: float) -> str:
    lines = (json.dumps({"id": f"m-{number}", "text": f"saying {number}"}) for number in range(items))
    (place / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (place / "bench.toml").write_text(_CONFIG.format(port=port, limits=limits), encoding="utf-8")
    home = str(place / "home")
    environment = {**os.environ, "LLMTOP_HOME": home, "LLMTOP_BENCH_KEY": "sk-bench-0123456789"}
    words = [_LLMTOP, "run", str(place / "bench.toml"), "--detach", "--json", "--yes"]
    started = json.loads(
        subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    )
    try:
        time.sleep(2)
        off: list[tuple[float, float]] = []
        on: list[tuple[float, float]] = []
        seen: dict[str, str] = {}
        for _ in range(2):
            off.append(_rate(environment, seconds))
            with Terminal([_LLMTOP, "attach"], _SIZE, {"LLMTOP_HOME": home}) as terminal:
                seen = _viewer(terminal, lambda: on.append(_rate(environment, seconds)))
    finally:
        os.kill(started["pid"], signal.SIGTERM)
    figures = ", ".join(f"{name} {value}" for name, value in seen.items())
    return f"{_compared(off, on, 0)} requests/s, {_compared(off, on, 1)} items/s; viewer: {figures}"


def _compared(off: list[tuple[float, float]], on: list[tuple[float, float]], which: int) -> str:
    without, with_one = (statistics.mean(each[which] for each in rates) for rates in (off, on))
    change = with_one / max(without, 0.001) - 1
    return f"{without:,.1f} without and {with_one:,.1f} with a viewer ({change:+.1%})"


def _rate(environment: dict[str, str], seconds: float) -> tuple[float, float]:
    """Requests a second and items a second over a window."""
    before, began = _counts(environment), time.monotonic()
    time.sleep(seconds)
    after, ended = _counts(environment), time.monotonic()
    return (after[0] - before[0]) / (ended - began), (after[1] - before[1]) / (ended - began)


def _counts(environment: dict[str, str]) -> tuple[int, int]:
    (path,) = Path(environment["LLMTOP_HOME"]).glob("engines/*.sock")
    return asyncio.run(_ask(path))


async def _ask(path: Path) -> tuple[int, int]:
    from llmtop.control.client import EngineClient

    async with EngineClient(path) as client:
        (line,) = await client.runs()
        snapshot = await (await client.run(line.run_id)).snapshot()
        return snapshot.throughput.requests, snapshot.counts.finished


def _viewer(terminal: Terminal, meanwhile: Callable[[], object]) -> dict[str, str]:
    terminal.wait_for(lambda: any(amount > 300 for _, amount in terminal.arrivals), 30)
    first = next(at for at, amount in terminal.arrivals if amount > 300) - terminal.started_at
    terminal.wait_for_text("bench", 20)
    figures = time.monotonic() - terminal.started_at
    time.sleep(1.5)
    process = psutil.Process(terminal.child.pid)
    before, moment = process.cpu_times(), time.monotonic()
    meanwhile()
    after, elapsed = process.cpu_times(), time.monotonic() - moment
    cpu = (after.user + after.system - before.user - before.system) / elapsed
    return {
        "first picture": f"{first:.2f} s",
        "with figures": f"{figures:.2f} s",
        "CPU": f"{cpu:.1%}",
        "RSS": f"{process.memory_info().rss / 2**20:.1f} MiB",
        "bytes/s": f"{terminal.bytes_since(moment) / elapsed:,.0f}",
    }


def _paging(home: Path) -> str:
    """Keys on the items screen over 1,000,000 items, from press to paint."""
    folder = home / "runs" / "motions-3f9a2c"
    folder.mkdir(parents=True)

    async def make() -> None:
        big_ledger.make(folder, 1_000_000, 900_000)

    asyncio.run(make())
    waits: dict[str, float] = {}
    with Terminal([_LLMTOP, "attach"], _SIZE, {"LLMTOP_HOME": str(home)}) as terminal:
        terminal.wait_for_text("motions", 20)
        time.sleep(1)
        for name, keys, text in (
            ("open", "3", "m-900000"),
            ("last", "G", "m-899999"),
            ("first", "g", "m-900000"),
            ("failed", "\t\t\t\t", "m-7 "),
            ("their last", "G", "m-899907"),
        ):
            moment = time.monotonic()
            terminal.send(keys)
            terminal.wait_for_text(text, 20)
            waits[name] = time.monotonic() - moment
        rss = psutil.Process(terminal.child.pid).memory_info().rss / 2**20
    words = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in waits.items())
    return f"1,000,000 items: {words}; viewer {rss:.1f} MiB"


if __name__ == "__main__":
    main()
