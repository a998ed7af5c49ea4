"""kill -9 at random moments of one run, each time started again with the same command.

    python -m benchmarks.kill_and_resume [--kills 20] [--items 3000] [--concurrency 16] [--seed 1]

The simulated provider runs in this process and keeps its own books, `llmtop run` in another one. At
the end every id must be in the output exactly once, no accepted result may have changed, and the
provider must have served at most concurrency x kills answers more than there are items, and billed
at most twice that: what was on its way or waited for its commit when the process died. Exits 1
where one of these does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from llmtop.adapters.simulator import SimulatedProvider, load_profile

LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
LATENCY_S = 0.05


@dataclass
class Tally:
    """What was seen over all starts."""

    kills: int = 0
    changed: int = 0
    """Accepted results that were lost or changed."""
    accepted: dict[str, bytes] = field(default_factory=dict)
    moments_s: list[float] = field(default_factory=list)


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--items", type=int, default=3000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmtop-kills-") as folder:
        return asyncio.run(measure(Path(folder), chosen))


async def measure(folder: Path, chosen: argparse.Namespace) -> int:
    """Kill and start again until the run is done; return the exit code."""
    rng = random.Random(chosen.seed)
    tally = Tally()
    began = time.monotonic()
    profile = load_profile({"profile": "instant", "latency_s": LATENCY_S})
    async with SimulatedProvider(profile) as server:
        config = _config(folder, server.base_url, chosen)
        code = await _start(folder, config, rng, tally, None)
        while tally.kills < chosen.kills:
            code = await _start(folder, config, rng, tally, chosen.kills)
            if code == 0:
                break
        if code != 0:
            code = await _start(folder, config, rng, tally, 0)
        books = server.books
    written = Counter(json.loads(line)["id"] for line in (folder / "out.jsonl").read_bytes().splitlines())
    extra, allowed = books.served - chosen.items, chosen.concurrency * tally.kills
    once = sum(count == 1 for count in written.values())
    print(f"items {chosen.items}, concurrency {chosen.concurrency}, latency {LATENCY_S * 1000:.0f} ms")
    print(f"kills {tally.kills}, after {min(tally.moments_s):.2f} to {max(tally.moments_s):.2f} s of a start")
    print(
        f"ids in the output once {once}, twice {len(written) - once}, missing {chosen.items - len(written)}"
    )
    print(f"accepted results lost or changed {tally.changed}")
    print(f"served {books.served}, that is {extra} more than the items; allowed {allowed}")
    lost = books.billed_requests - chosen.items
    print(f"billed {books.billed_requests}, answers that nobody was there to take included: {lost} more")
    print(f"exit code {code}, {time.monotonic() - began:.0f} s in all")
    is_good = (
        code == 0
        and once == chosen.items == len(written)
        and not tally.changed
        and max(extra, lost / 2) <= allowed
    )
    return 0 if is_good else 1


async def _start(folder: Path, config: Path, rng: random.Random, tally: Tally, kills: int | None) -> int:
    """Start the command and kill it at a random moment; `kills` 0: let it end."""
    environ = {**os.environ, "LLMTOP_HOME": str(folder / "home")}
    process = await asyncio.create_subprocess_exec(
        *[*LLMTOP, "run", str(config), "--display", "none"],
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    if kills != 0:
        moment_s = rng.uniform(0.1, 1.6)
        try:
            async with asyncio.timeout(moment_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            tally.kills += 1
            tally.moments_s.append(moment_s)
    code = await process.wait()
    now = _accepted(folder)
    tally.changed += sum(now.get(each) != line for each, line in tally.accepted.items())
    tally.accepted = now
    return code


def _accepted(folder: Path) -> dict[str, bytes]:
    lines: dict[str, bytes] = {}
    for path in (folder / "home").glob("runs/*/run.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            lines |= connection.execute(
                "SELECT results.id, line FROM results JOIN lines ON lines.seq = results.seq"
            ).fetchall()
    return lines


def _config(folder: Path, base_url: str, chosen: argparse.Namespace) -> Path:
    items = (json.dumps({"id": f"m-{n}", "text": f"rain {n}"}) + "\n" for n in range(chosen.items))
    (folder / "items.jsonl").write_text("".join(items))
    path = folder / "kills.toml"
    path.write_text(
        f"""
[provider]
kind = "simulator"
base_url = "{base_url}"
model = "sim-small"
[input]
path = "items.jsonl"
[request]
prompt = "Explain: {{text}}, id: {{id}}"
[execution]
concurrency = {chosen.concurrency}
[output]
path = "out.jsonl"
"""
    )
    return path


if __name__ == "__main__":
    sys.exit(main())
