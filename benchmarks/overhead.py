"""What a request costs the client: requests a second and CPU microseconds, beside a bare aiohttp loop.

    python benchmarks/overhead.py [--requests 20000] [--concurrency 200] [--rounds 3] [--latency-ms 50]

The simulator answers in a process of its own. Each contender runs in a fresh process too, and they take
turns, so that a busy machine is as busy for one as for the other; the median of the rounds is printed,
and the ratio is the median of the ratios within a round. CPU is user and system time of the contender's
process, its threads included, imports left out. The engine's begins with reading the input and ends with
everything on disk; the viewer's is told apart, as the share of a core that it takes.

A contender is an async function that gets a `Load` and returns when every request is answered: to
measure something else, write one and add it to `CONTENDERS`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from engine_load import prepared, run_engine

from llmtop.adapters.http import HttpTransport
from llmtop.adapters.providers.catalog import wire_format
from llmtop.adapters.secrets import Secret
from llmtop.adapters.simulator.profiles import load_profile
from llmtop.adapters.simulator.server import SimulatedProvider
from llmtop.config.schema import ProviderConfig
from llmtop.control.process import ease_collector, fastest_loop, keep_one_heap
from llmtop.model import Answer, ChatRequest, RawReply

_KEY = "sk-benchmark-0123456789"
_SYSTEM = "Explain the text in two sentences for somebody who has never heard of it."
_TEXT = "Motion {n}: the council asks the mayor to report on the state of the harbour before the summer. "


@dataclass(frozen=True, slots=True)
class Load:
    """What every contender has to do."""

    base_url: str
    requests: int
    concurrency: int

    def texts(self) -> Iterator[str]:
        """Yield one prompt a request."""
        return (_TEXT.format(n=n) * 3 for n in range(self.requests))


Contender = Callable[[Load], Awaitable[Mapping[str, float] | None]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contender took for one load."""

    seconds: float
    cpu_s: float
    peak_mib: float
    seen: dict[str, float]
    """What the contender had to say for itself."""


def _messages(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": prompt}]


async def bare_gather(load: Load) -> None:
    """The loop that everybody writes: a task an item, a semaphore, aiohttp, and nothing kept."""
    slots = asyncio.Semaphore(load.concurrency)
    url = f"{load.base_url}/chat/completions"
    headers = {"Authorization": f"Bearer {_KEY}"}

    async def ask(session: aiohttp.ClientSession, prompt: str) -> None:
        async with slots:
            body = {"model": "simulated-small", "messages": _messages(prompt)}
            async with session.post(url, json=body, headers=headers) as response:
                answer = orjson.loads(await response.read())
                assert answer["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, prompt) for prompt in load.texts()))


async def bare_workers(load: Load) -> None:
    """The same without a task an item: as many workers as may be in flight, over one iterator."""
    url = f"{load.base_url}/chat/completions"
    headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
    prompts = load.texts()

    async def work(session: aiohttp.ClientSession) -> None:
        for prompt in prompts:
            body = orjson.dumps({"model": "simulated-small", "messages": _messages(prompt)})
            response = await session.post(url, data=body, headers=headers)
            answer = orjson.loads(await response.read())
            assert answer["choices"][0]["message"]["content"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(load.concurrency)))


async def transport_and_format(load: Load) -> None:
    """llmtop's own transport and wire format under the same workers: requests built, answers read."""
    wire = wire_format("openai", load.base_url)
    prompts = load.texts()
    settings = ProviderConfig()

    async def work(transport: HttpTransport) -> None:
        for prompt in prompts:
            raw = await transport.send(wire.build(ChatRequest("simulated-small", tuple(_messages(prompt)))))
            assert isinstance(raw, RawReply), raw
            assert isinstance(wire.read(raw, time.time()), Answer)

    async with HttpTransport(
        load.base_url,
        Secret(_KEY),
        wire.key_headers,
        settings.headers,
        settings.timeout,
        settings.connect_timeout,
        settings.max_response_bytes,
        is_proxied=False,
    ) as transport:
        await asyncio.gather(*(work(transport) for _ in range(load.concurrency)))


async def engine(load: Load) -> Mapping[str, float]:
    """A whole run without a display: input read and stored, every attempt and result in the ledger."""
    return await _engine(load, viewer=None)


async def engine_watched(load: Load) -> Mapping[str, float]:
    """The same with a dashboard on its socket, in a process of its own that is not counted here."""
    return await _engine(load, viewer=str(Path(__file__).with_name("watching.py")))


async def _engine(load: Load, viewer: str | None) -> Mapping[str, float]:
    with prepared(load.base_url, load.concurrency, _SYSTEM, load.texts()) as config:
        started, cpu_before = time.perf_counter(), _cpu_s()
        ease_collector()
        keep_one_heap()
        seen = await run_engine(config, load.requests, viewer)
        return {"seconds": time.perf_counter() - started, "cpu_s": _cpu_s() - cpu_before, **seen}


CONTENDERS: dict[str, Contender] = {
    "bare gather": bare_gather,
    "bare workers": bare_workers,
    "transport + format": transport_and_format,
    "engine": engine,
    "engine + dashboard": engine_watched,
    "engine on uvloop": engine,
}
BASELINE = "bare gather"
_UVLOOP = "engine on uvloop"


def _cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


async def _timed(contender: Contender, load: Load) -> Figures:
    started, cpu_before = time.perf_counter(), _cpu_s()
    seen = dict(await contender(load) or {})
    seconds = seen.pop("seconds", time.perf_counter() - started)
    cpu_s = seen.pop("cpu_s", _cpu_s() - cpu_before)
    return Figures(seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, seen)


async def _serve(latency_ms: float) -> None:
    """Be the simulator: print the address, answer until stdin ends."""
    profile = load_profile({"profile": "fast", "latency_s": latency_ms / 1000.0})
    async with SimulatedProvider(profile) as provider:
        print(provider.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _alone(name: str, load: Load) -> Figures:
    """Run one contender in a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--base-url", load.base_url]
    command += ["--requests", str(load.requests), "--concurrency", str(load.concurrency)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Figures(**json.loads(finished.stdout))


def compare(load: Load, rounds: int, names: Sequence[str]) -> dict[str, list[Figures]]:
    """Let the contenders take turns for `rounds` rounds."""
    taken: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, figures in taken.items():
            figures.append(_alone(name, load))
    return taken


def report(taken: dict[str, list[Figures]], requests: int) -> str:
    """Return the table: medians, and the ratio of CPU to the baseline of the same round."""
    lines = [f"{'':20} {'requests/s':>10} {'CPU us/request':>15} {'x bare':>7} {'peak MiB':>9}"]
    baseline = taken[BASELINE]
    for name, figures in taken.items():
        rate = statistics.median(requests / one.seconds for one in figures)
        cpu_us = statistics.median(one.cpu_s / requests * 1e6 for one in figures)
        ratio = statistics.median(one.cpu_s / bare.cpu_s for one, bare in zip(figures, baseline, strict=True))
        peak = statistics.median(one.peak_mib for one in figures)
        seen = {key: statistics.median(one.seen[key] for one in figures) for key in figures[0].seen}
        words = ", ".join(f"{key} {value:.1f}" for key, value in seen.items())
        lines.append(f"{name:20} {rate:10.0f} {cpu_us:15.1f} {ratio:7.2f} {peak:9.0f}  {words}".rstrip())
    return "\n".join(lines)


def _loop_of(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the standard loop for all, and uvloop's for the one that is about it."""
    return fastest_loop() if name == _UVLOOP else asyncio.new_event_loop


def _names(asked: Sequence[str]) -> list[str]:
    """Put the baseline first, and leave out what this machine does not have."""
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    return list(dict.fromkeys([BASELINE, *(name for name in asked if name != _UVLOOP or has_uvloop)]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Client cost of a request, beside a bare aiohttp loop.")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--contenders", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print; or be one of the processes that are measured."""
    asked = _arguments()
    if asked.serve:
        asyncio.run(_serve(asked.latency_ms))
        return
    if asked.only:
        load = Load(asked.base_url, asked.requests, asked.concurrency)
        with asyncio.Runner(loop_factory=_loop_of(asked.only)) as runner:
            figures = runner.run(_timed(CONTENDERS[asked.only], load))
        print(json.dumps({name: getattr(figures, name) for name in Figures.__slots__}))
        return
    command = [sys.executable, __file__, "--serve", "--latency-ms", str(asked.latency_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        load = Load(server.stdout.readline().strip(), asked.requests, asked.concurrency)
        print(f"{load.requests} requests, {asked.latency_ms:g} ms, concurrency {load.concurrency}")
        print(report(compare(load, asked.rounds, _names(asked.contenders)), load.requests))
        server.communicate("")


if __name__ == "__main__":
    main()
