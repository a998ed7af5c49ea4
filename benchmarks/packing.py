"""Items an hour by items in a request: python -m benchmarks.packing [--svg FILE]

The simulated provider runs in a process of its own and takes 3.99 s + 1.152 s an item for a request,
which is 700 items an hour one by one; it refuses a sixth request at a time. All seconds are divided
by `SCALE`, so what this program itself takes weighs a hundred times what it would. Each row is one
`llmtop run`. Exits with 1 where 5 x 20 is not 19 times as fast as one by one, or where the tuner,
once it has learned (the last half of its items), is not within 10 % of the best fixed size.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.packing_plot import Bar, plot

SCALE = 100.0
BASE_S, PER_ITEM_S = 3.99, 1.152
AT_A_TIME = 5
LEAST_SPEED_UP, WITHIN = 19.0, 0.9
SWEEP = (10, 15, 20, 28, 40)
_LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_SYSTEM = (
    "You explain the motions of a town council to the people who live there. Write three plain sentences: "
    "what the motion wants, whom it is for, and what will be different when it is carried. Use short words, "
    "no jargon, no lists and no headings. Do not judge the motion, and do not add facts that it does not "
    "state. Where the motion names an amount or a date, repeat it as it stands. Where it asks the council to "
    "examine something, say that nothing is decided yet. Address nobody, and do not begin with the title. "
) * 3
_PROFILE = f"""
latency_s = {BASE_S / SCALE}
latency_per_item_s = {PER_ITEM_S / SCALE}
concurrency = {AT_A_TIME}
output_tokens = 60
track_ids = false
"""
_CONFIG = """
[provider]
kind = "openai"
base_url = "{url}"
model = "sim-small"
api_key_env = ""
[input]
path = "items.jsonl"
limit = {items}
[request]
system = {system}
prompt = "Explain this motion. {{text}}"
max_output_tokens = 200
[execution]
concurrency = {concurrency}
items_per_request = {size}
[prices]
input = 0.05
output = 0.10
"""


@dataclass(frozen=True)
class Seen:
    """One run."""

    name: str
    items: int
    requests: int
    items_per_s: float
    """Over the whole run, in scaled seconds."""
    late_items_per_s: float
    """Over the last half of its items."""
    tokens: int
    cost_usd: float
    pack: str
    """Items in a request at the end."""

    @property
    def per_hour(self) -> float:
        """Items an hour of real time."""
        return self.items_per_s / SCALE * 3600


class Bench:
    """A folder, a provider in another process, and runs against it."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._environ = {**os.environ, "LLMTOP_HOME": str(folder / "home")}

    def run(self, name: str, concurrency: int | str, size: int | str, items: int) -> Seen:
        """Run one setting to its end."""
        path = self._folder / f"{name.replace(' ', '_')}.toml"
        path.write_text(
            _CONFIG.format(
                url=self._url,
                items=items,
                system=json.dumps(_SYSTEM),
                concurrency=json.dumps(concurrency),
                size=json.dumps(size),
            )
        )
        said = self._llmtop("run", str(path), "--display", "json")
        events = [json.loads(line) for line in said.splitlines()]
        end = next(event for event in events if event["event"] == "run_finished")
        assert end["counts"]["done"] == items, end
        shown = json.loads(self._llmtop("show", end["run_id"], "--json"))
        packs = [each["new"] for each in shown["decisions"] if each["what"] == "pack"]
        return Seen(
            name=name,
            items=items,
            requests=end["requests"],
            items_per_s=items / end["elapsed_s"],
            late_items_per_s=_late(events, items) or items / end["elapsed_s"],
            tokens=shown["tokens"]["input"] + shown["tokens"]["output"],
            cost_usd=float(end["cost_usd"]),
            pack=packs[-1] if packs else str(size),
        )

    def _llmtop(self, *words: str) -> str:
        done = subprocess.run(
            [*_LLMTOP, *words], capture_output=True, text=True, env=self._environ, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _late(events: list[dict[str, Any]], items: int) -> float | None:
    """Return the items a second from the half of the items to the last second that was told of."""
    told = [
        (_epoch(event["at"]), event["counts"]["done"]) for event in events if event["event"] == "progress"
    ]
    late = [(at, done) for at, done in told if items / 2 <= done < items]
    if len(late) < 3:
        return None
    return (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])


def _epoch(at: Any) -> float:
    if isinstance(at, int | float):
        return float(at)
    from datetime import datetime

    return datetime.fromisoformat(at).timestamp()


def _table(rows: list[Seen], single: Seen) -> None:
    head = ("setting", "items/h", "speed-up", "requests", "tokens/1,000", "USD/1,000", "size at the end")
    print(("{:<22}" + "{:>16}" * 6).format(*head))
    for row in rows:
        print(
            f"{row.name:<22}{row.per_hour:>16,.0f}{row.items_per_s / single.items_per_s:>16.1f}"
            f"{row.requests:>16,}{row.tokens * 1000 / row.items:>16,.0f}"
            f"{row.cost_usd * 1000 / row.items:>16.4f}{row.pack:>16}"
        )


def main() -> int:
    """Measure and print; return 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packing")
    parser.add_argument("--svg", type=Path, help="write the plot there")
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="llmtop-") as name:
        folder = Path(name)
        (folder / "slow.toml").write_text(_PROFILE)
        lines = (
            json.dumps({"id": f"m-{n}", "text": f"A motion on street {n}."}) + "\n" for n in range(40_000)
        )
        (folder / "items.jsonl").write_text("".join(lines))
        words = [*_LLMTOP, "simulate", "--profile", str(folder / "slow.toml")]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            bench = Bench(folder, server.stdout.readline().strip())
            single = bench.run("one by one", 1, 1, 150)
            rows = [single, bench.run("3 x 15", 3, 15, 1800), bench.run("5 x 20", AT_A_TIME, 20, 4000)]
            sweep = [
                bench.run(f"{AT_A_TIME} x {size}", AT_A_TIME, size, 3200) for size in SWEEP if size != 20
            ]
            sweep.append(rows[-1])
            tuned = bench.run("the tuner", "1-4-16", "1-8-40", 24_000)
        finally:
            server.terminate()
            server.wait()
    _table([*rows, *sweep[:-1], tuned], single)
    best = max(sweep, key=lambda row: row.items_per_s)
    speed_up = rows[-1].items_per_s / single.items_per_s
    share = tuned.late_items_per_s / best.items_per_s
    print(f"5 x 20 is {speed_up:.1f} times as fast as one by one (promised: {LEAST_SPEED_UP:.0f})")
    print(
        f"the tuner: {tuned.items_per_s / best.items_per_s:.0%} of the best fixed setting ({best.name}) over "
        f"the whole run, {share:.0%} over its last half (promised: {WITHIN:.0%})"
    )
    print(f"{SCALE:.0f} times as fast as life, {time.monotonic() - began:.0f} s in all")
    if chosen.svg is not None:
        bars = [
            Bar(row.name, row.per_hour, row.items_per_s / single.items_per_s) for row in [*rows, best, tuned]
        ]
        chosen.svg.write_text(plot(bars), encoding="utf-8")
    return 0 if speed_up >= LEAST_SPEED_UP and share >= WITHIN else 1


if __name__ == "__main__":
    sys.exit(main())
