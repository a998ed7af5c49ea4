"""The response cache under two processes at once: python -m benchmarks.cache

Prints how long a look into the cache takes, the longest that one process held up another, and the
hit rate of a second identical run in another process. Exits with 1 where a promise is not kept: no
look above 50 ms (it is in the event loop: what it takes, the run stands), a hit rate of 100 %. The
wait for the lock is the writing thread's own: no run stands still for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from llmtop.adapters.cache import SharedCache
from llmtop.adapters.cache.database import Database
from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.model import Answer, Usage

SECONDS = 10.0
ANSWER_BYTES = 1500
ITEMS = 500
MOST_S = 0.05
_LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_CONFIG = """
name = "cached"
[provider]
kind = "openai"
base_url = "{url}"
model = "sim-small"
api_key_env = ""
[input]
path = "items.jsonl"
[request]
prompt = "Explain {{text}}"
max_output_tokens = 300
[prices]
input = 0.05
output = 0.10
[cache]
enabled = true
"""


def _key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


class _Watched(Database):
    """Remembers the longest wait for the lock."""

    longest_s = 0.0
    commits = 0

    def begin(self, within_s: float) -> bool:
        began = time.monotonic()
        is_begun = super().begin(within_s)
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.commits += 1
        return is_begun


async def _work(path: Path, number: int, limit_bytes: int, started: float) -> dict[str, float]:
    """Read and write as a busy run does: every look timed; half of them hit what the other process wrote."""
    import llmtop.adapters.cache.shared as shared

    setattr(shared, "Database", _Watched)  # noqa: B010  (it is not exported)
    cache = SharedCache(path, limit_bytes)
    watched = cache._database
    assert isinstance(watched, _Watched)
    looks: list[float] = []
    hits = at = 0
    await asyncio.sleep(max(0.0, started - time.time()))
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for _ in range(20):
            began = time.perf_counter()
            found = await cache.get(_key(2 * at + (at % 2 == number)), 9999.0)
            looks.append(time.perf_counter() - began)
            hits += found is not None
            text = f"{at} ".ljust(ANSWER_BYTES, "x")
            cache.put(
                _key(2 * at + number),
                Answer(text, "stop", "m", Usage(400, 0, 0, 300), 27_100),
                place="m",
                ttl_s=9999.0,
            )
            at += 1
        await asyncio.sleep(0.005)
    await cache.close()
    looks.sort()
    return {
        "looks": len(looks),
        "hits": hits,
        "look_p50_us": looks[len(looks) // 2] * 1e6,
        "look_p99_us": looks[len(looks) * 99 // 100] * 1e6,
        "look_longest_ms": looks[-1] * 1e3,
        "commits": watched.commits,
        "lock_longest_ms": watched.longest_s * 1e3,
        "notices": len(cache.take_notices()),
    }


def _two_processes(folder: Path, limit_bytes: int) -> list[dict[str, float]]:
    words = [sys.executable, "-m", "benchmarks.cache", str(folder / "cache.db")]
    started = str(time.time() + 1.5)
    processes = [
        subprocess.Popen([*words, str(number), str(limit_bytes), started], stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


async def _second_run(folder: Path) -> tuple[float, float, float]:
    """Return the hit rate of a second identical run in another process, and how long both took."""
    lines = (json.dumps({"id": f"i-{number}", "text": f"word {number}"}) for number in range(ITEMS))
    (folder / "items.jsonl").write_text("\n".join(lines))
    async with SimulatedProvider(load_profile({"profile": "instant", "latency_s": 0.05})) as server:
        (folder / "cached.toml").write_text(_CONFIG.format(url=server.base_url))
        times = []
        for _ in range(2):
            before = server.books.received
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *_LLMTOP, "run", "cached.toml", "--fresh", "--display", "none", cwd=folder,
                env={**os.environ, "LLMTOP_HOME": str(folder / "home")},
            )  # fmt: skip
            assert await process.wait() == 0
            times.append(time.monotonic() - began)
        asked = server.books.received - before
    return 1 - asked / ITEMS, times[0], times[1]


def main() -> int:
    """Measure, print, judge."""
    is_kept = True
    for limit_bytes, words in ((2**30, "growing"), (2**24, "full, pruning all the while")):
        with tempfile.TemporaryDirectory() as folder:
            print(f"two processes, cache {words}:")
            for number, seen in enumerate(_two_processes(Path(folder), limit_bytes)):
                print(
                    f"  process {number}: {seen['looks']:,.0f} looks ({seen['hits']:,.0f} hits), "
                    f"p50 {seen['look_p50_us']:.0f} us, p99 {seen['look_p99_us']:.0f} us, "
                    f"longest {seen['look_longest_ms']:.1f} ms; {seen['commits']:,.0f} transactions, "
                    f"longest wait for the lock {seen['lock_longest_ms']:.1f} ms"
                )
                is_kept &= seen["look_longest_ms"] / 1e3 <= MOST_S
                is_kept &= not seen["notices"]
    with tempfile.TemporaryDirectory() as folder:
        rate, first_s, second_s = asyncio.run(_second_run(Path(folder)))
    print(f"second identical run in another process: hit rate {rate:.1%} of {ITEMS} items")
    print(f"  first run {first_s:.2f} s, second {second_s:.2f} s, with the start of the program")
    is_kept &= rate == 1.0
    print("kept" if is_kept else "NOT KEPT")
    return 0 if is_kept else 1


if __name__ == "__main__":
    if len(sys.argv) == 5:
        path, number, limit, started = sys.argv[1:]
        print(json.dumps(asyncio.run(_work(Path(path), int(number), int(limit), float(started)))))
    else:
        sys.exit(main())
