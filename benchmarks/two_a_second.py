"""Ten requests against a server that allows 2 a second and takes 2 to 5 s: seconds, and refusals.

    python benchmarks/two_a_second.py [--rounds 5]

Each round uses another seed. Contenders take turns against the same latencies: llmtop with
`sample_configs/rate_limited.toml`, and a plain asyncio client with a token bucket of whole tokens that starts
empty, with the same prompts. Seconds are from the start of sending to the last answer, by the wall clock; the
server counts refusals.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from llmtop.adapters.home import Home
from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.adapters.sources import open_source
from llmtop.config.loader import load_config
from llmtop.control.launch import RunOptions, engine_here
from llmtop.policy.template import Template

_CONFIG = Path(__file__).parents[1] / "sample_configs" / "rate_limited.toml"
_REQUESTS = 10
_RATE = 2.0


async def llmtop_run(base_url: str) -> float:
    """Run the sample config against the server; return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        override = [f'provider.base_url="{base_url}"']
        flags = {"output.path": f"{folder}/out.jsonl"}
        configs = load_config(_CONFIG, overrides=override, flags=flags, environ={})
        home = Home.open(Path(folder) / "home", {})
        async with engine_here(home, configs, RunOptions()) as engine:
            began = time.monotonic()
            code = await engine.wait()
            took = time.monotonic() - began
    if code:
        raise SystemExit(f"the run ended with {code}")
    return took


async def empty_bucket(base_url: str) -> float:
    """Send ten requests through a bucket of whole tokens that starts empty; return the seconds."""
    async with aiohttp.ClientSession() as session:
        began = time.monotonic()

        async def ask(number: int, prompt: str) -> None:
            await asyncio.sleep((number + 1) / _RATE)
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": 100}
            async with session.post(f"{base_url}/chat/completions", json=body) as answer:
                await answer.read()

        await asyncio.gather(*(ask(*each) for each in enumerate(_prompts())))
        return time.monotonic() - began


def _prompts() -> list[str]:
    """Return the prompts of the sample config, so that both meet the same latencies."""
    (config,) = load_config(_CONFIG, environ={})
    template = Template(config.request.prompt or "")
    source = open_source(config.input)
    return [template.render(item.fields) for item in source.items(range(_REQUESTS))]


async def main(rounds: int) -> None:
    """Print each round, the means and the refusals."""
    contenders = {"llmtop": llmtop_run, "bucket that starts empty": empty_bucket}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    refused = dict.fromkeys(contenders, 0)
    for seed in range(rounds):
        for name, contender in contenders.items():
            async with SimulatedProvider(load_profile({"profile": "two_per_second"}), seed=seed) as server:
                seconds[name].append(await contender(server.base_url))
                refused[name] += sum(server.books.refused.values())
    for name, each in seconds.items():
        listed = " ".join(f"{one:.2f}" for one in each)
        print(f"{name:26} mean {statistics.mean(each):.2f} s   429s {refused[name]}   rounds {listed}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(main(parser.parse_args().rounds))
