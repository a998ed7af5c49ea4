"""50,000 items with 2 KB answers by one batch job: peak memory of the process, and items a second.

    python benchmarks/batch_retrieval.py [ITEMS]

The simulated provider is a process of its own, so that its memory is not counted.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from llmtop.adapters.home import Home
from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.opened import StartOptions

_ANSWER_TOKENS = 512
_CONFIG = """
name = "retrieval"
[provider]
kind = "openai"
base_url = "{url}"
model = "sim-small"
api_key_env = "SIM_KEY"
[input]
path = "items.jsonl"
[request]
prompt = "Explain: {{text}}, id: {{id}}"
max_output_tokens = 2000
[execution]
mode = "batch"
[batch]
poll_interval = "200ms"
[output]
path = "out.jsonl"
"""


def serve(pipe: Connection) -> None:
    """Be the provider."""

    async def run() -> None:
        settings = {"profile": "instant", "batch_s": 0.1, "output_tokens": _ANSWER_TOKENS}
        async with SimulatedProvider(load_profile(settings)) as provider:
            pipe.send(provider.base_url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


async def measure(folder: Path, url: str, items: int) -> None:
    """Run it, and print what it took."""
    with (folder / "items.jsonl").open("w") as file:
        for number in range(items):
            file.write(json.dumps({"id": f"m-{number}", "text": f"rain on roof {number}"}) + "\n")
    config = folder / "retrieval.toml"
    config.write_text(_CONFIG.format(url=url))
    home = Home.open(folder / "home", {})
    began = time.monotonic()
    first: float | None = None
    async with Engine(home, environ={"SIM_KEY": "sk-simulated-1234"}) as engine:
        await engine.open(load_config(config), StartOptions())
        engine.start()
        (run,) = engine.runs.values()
        while not run.is_settled:
            await asyncio.sleep(0.02)
            if first is None and run.counts.finished:
                first = time.monotonic()
        ended = time.monotonic()
        done = run.counts.done
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = (folder / "out.jsonl").stat().st_size / max(1, done)
    print(f"{done:,} of {items:,} done, {answer:,.0f} bytes a result line")
    print(f"peak RSS {peak:.0f} MiB")
    print(f"submitted and waited {(first or ended) - began:.1f} s")
    print(f"retrieved at {done / max(1e-9, ended - (first or began)):,.0f} items/s")


def main() -> None:
    """Start the provider, then measure."""
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    here, there = multiprocessing.get_context("spawn").Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    provider.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(Path(folder), here.recv(), items))
    finally:
        here.send(None)
        provider.join(10)
        provider.kill()


if __name__ == "__main__":
    main()
