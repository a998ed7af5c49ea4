"""Does memory grow with the number of items, or with the size of the input?

    python benchmarks/memory.py [--items 1000 200000] [--concurrency 200] [--input-mib 200]

Prints the peak resident memory of the engine's process for runs of so many items, and for a run over an
input of so many MiB beside one of the same number of small items. Each run has a process of its own; the
simulator answers in another, without latency. Everything is on, as in `overhead.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator

from engine_load import prepared, run_engine

from llmtop.adapters.simulator.profiles import load_profile
from llmtop.adapters.simulator.server import SimulatedProvider
from llmtop.control.process import run_engine_process

_SYSTEM = "Explain the text."
_BIG_ITEM_BYTES = 512 * 1024
_WORDS = "a large text of many words, "


def _texts(items: int, item_bytes: int) -> Iterator[str]:
    times = max(1, item_bytes // len(_WORDS))
    return (f"{number} {_WORDS * times}" for number in range(items))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def _run(base_url: str, items: int, item_bytes: int, concurrency: int) -> None:
    """Be the engine: run so many items and print the peak."""
    with prepared(base_url, concurrency, _SYSTEM, _texts(items, item_bytes)) as config:
        run_engine_process(run_engine(config, items))
        print(_peak_mib())


async def _serve() -> None:
    async with SimulatedProvider(load_profile({"profile": "fast", "latency_s": 0.0})) as provider:
        print(provider.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _alone(base_url: str, items: int, item_bytes: int, concurrency: int) -> float:
    command = [sys.executable, __file__, "--only", base_url, "--items", str(items)]
    command += ["--item-bytes", str(item_bytes), "--concurrency", str(concurrency)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def _compare(base_url: str, asked: argparse.Namespace) -> None:
    peaks = []
    for items in asked.items:
        peaks.append(_alone(base_url, items, 0, asked.concurrency))
        print(f"{items:>9,} items: peak {peaks[-1]:6.1f} MiB", flush=True)
    print(f"difference: {max(peaks) - min(peaks):.1f} MiB (less than 60 is wanted)")
    if asked.input_mib:
        count = asked.input_mib * 2**20 // _BIG_ITEM_BYTES
        small, large = (_alone(base_url, count, size, 8) for size in (0, _BIG_ITEM_BYTES))
        print(f"{count:>9,} items of {_BIG_ITEM_BYTES // 1024} KiB, 8 in flight: peak {large:6.1f} MiB")
        print(f"{count:>9,} small items, 8 in flight: peak {small:6.1f} MiB")
        print(f"difference: {large - small:.1f} MiB (less than 100 is wanted)")


def main() -> None:
    """Measure and print; or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description="Peak memory of the engine by the size of its input.")
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 200_000])
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--input-mib", type=int, default=200, help="0: leave that part out.")
    parser.add_argument("--item-bytes", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(_serve())
    elif asked.only:
        _run(asked.only, asked.items[0], asked.item_bytes, asked.concurrency)
    else:
        command = [sys.executable, __file__, "--serve"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            _compare(server.stdout.readline().strip(), asked)
            server.communicate("")


if __name__ == "__main__":
    main()
