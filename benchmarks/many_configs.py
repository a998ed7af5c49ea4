"""Twenty configurations: the memory of one process that runs them all, beside one process for each.

    python benchmarks/many_configs.py [--configs 20] [--items 400] [--item-bytes 20000] [--modes batch]

All configurations ask different models about the same file of items. The program is the real one
(`llmtop run ... --display none`), the simulated provider is a process of its own. Ten times a second the
memory of every `llmtop` process and its children is summed up; the peaks are printed: RSS (what is
resident, shared libraries counted in every process) and USS (what would be free if the processes ended).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from llmtop.adapters.simulator import SimulatedProvider, load_profile

_LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_LOOK_S = 0.1
_MIB = 2**20
_WORDS = "a large text of many words, "
_CONFIG = """
name = "{name}"
[provider]
kind = "openai"
base_url = "{url}"
model = "simulated-{name}"
api_key_env = "SIM_KEY"
[input]
path = "items.jsonl"
[request]
prompt = "Explain: {{text}}, id: {{id}}"
max_output_tokens = 600
[execution]
mode = "{mode}"
concurrency = 8
[prices]
input = 0.05
output = 0.10
{batch}
[output]
path = "{name}.jsonl"
"""
_BATCH = '[batch]\npoll_interval = "500ms"\n'


@dataclass(slots=True)
class Peak:
    """The most that was seen, in bytes; `processes` at one moment."""

    rss: int = 0
    uss: int = 0
    processes: int = 0
    seconds: float = 0.0


def serve(pipe: Connection) -> None:
    """Be the provider."""

    async def run() -> None:
        settings = {"profile": "instant", "latency_s": 0.1, "batch_s": 5.0, "output_tokens": 300}
        async with SimulatedProvider(load_profile(settings)) as provider:
            pipe.send(provider.base_url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


def prepare(folder: Path, url: str, asked: argparse.Namespace, mode: str) -> list[Path]:
    """Write the items and a config for each model."""
    text = _WORDS * max(1, asked.item_bytes // len(_WORDS))
    with (folder / "items.jsonl").open("w") as file:
        for number in range(asked.items):
            file.write(json.dumps({"id": f"m-{number}", "text": f"{number} {text}"}) + "\n")
    configs = []
    for number in range(asked.configs):
        path = folder / f"c{number:02d}.toml"
        batch = _BATCH if mode == "batch" else ""
        path.write_text(_CONFIG.format(name=path.stem, url=url, mode=mode, batch=batch))
        configs.append(path)
    return configs


def measured(folder: Path, commands: Sequence[Sequence[Path]]) -> Peak:
    """Run one process a command, all at once, to their ends; each must have done all its items."""
    for left in folder.glob("c*.jsonl"):
        left.unlink()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LLMTOP_")}
    environ |= {"LLMTOP_HOME": str(folder / "home"), "SIM_KEY": "sk-simulated-1234"}
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [*_LLMTOP, "run", *map(str, configs), "--fresh", "--display", "none"], cwd=folder, env=environ
        )
        for configs in commands
    ]
    peak = Peak()
    try:
        while any(process.poll() is None for process in running):
            look(peak, running)
            time.sleep(_LOOK_S)
    finally:
        for process in running:
            process.kill()
            process.wait()
    codes = {process.returncode for process in running}
    if codes != {0}:
        raise SystemExit(f"a run ended with {sorted(codes)}")
    peak.seconds = time.monotonic() - began
    return peak


def look(peak: Peak, running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Sum up what the processes and their children hold right now."""
    rss = uss = processes = 0
    for process in running:
        try:
            parent = psutil.Process(process.pid)
            for each in (parent, *parent.children(recursive=True)):
                memory = each.memory_full_info()
                rss, uss, processes = rss + memory.rss, uss + memory.uss, processes + 1
        except psutil.Error:  # it has just ended
            continue
    peak.rss, peak.uss = max(peak.rss, rss), max(peak.uss, uss)
    peak.processes = max(peak.processes, processes)


def compare(url: str, asked: argparse.Namespace, mode: str) -> None:
    """Measure the three ways, and print a table."""
    rows: list[tuple[str, Peak]] = []
    with tempfile.TemporaryDirectory(prefix="llmtop-many-") as name:
        folder = Path(name)
        configs = prepare(folder, url, asked, mode)
        size = (folder / "items.jsonl").stat().st_size / _MIB
        print(f"\n{mode}: {asked.items:,} items of {asked.item_bytes:,} bytes ({size:.0f} MiB)\n")
        rows.append(("1 configuration", measured(folder, [configs[:1]])))
        rows.append((f"{len(configs)} in one process", measured(folder, [configs])))
        rows.append((f"{len(configs)} processes", measured(folder, [[each] for each in configs])))
    (_, one), (_, together), (_, apart) = rows
    print("| | processes | peak RSS MiB | peak USS MiB | times one | seconds |\n|---|---|---|---|---|---|")
    for label, peak in rows:
        rss, uss = peak.rss / _MIB, peak.uss / _MIB
        print(
            f"| {label} | {peak.processes} | {rss:.0f} | {uss:.0f} | {peak.rss / one.rss:.1f}"
            f" | {peak.seconds:.0f} |"
        )
    more = (together.rss - one.rss) / max(1, len(configs) - 1) / _MIB
    print(f"\neach further configuration: {more:.1f} MiB in one process;", end=" ")
    print(f"one process holds 1/{apart.rss / together.rss:.1f} of what {len(configs)} processes hold")


def main() -> None:
    """Start the provider, then measure each mode."""
    parser = argparse.ArgumentParser(description="Memory of many configurations in one process and in many.")
    parser.add_argument("--configs", type=int, default=20)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--item-bytes", type=int, default=20_000)
    parser.add_argument("--modes", nargs="+", choices=("realtime", "batch"), default=("realtime", "batch"))
    asked = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    provider.start()
    try:
        url = here.recv()
        for mode in asked.modes:
            compare(url, asked, mode)
    finally:
        here.send(None)
        provider.join(10)
        provider.kill()


if __name__ == "__main__":
    main()
