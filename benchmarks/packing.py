"""Items an hour by items in a request: python -m benchmarks.packing [--svg FILE]

The simulated provider runs in a process of its own and takes 3.99 s + 1.152 s an item for a request,
which is 700 items an hour one by one; it refuses a sixth request at a time. All seconds are divided
by `SCALE`, so what this program itself takes weighs a hundred times what it would. Each row is one
`llmtop run`. Exits with 1 where 5 x 20 is not 19 times as fast as one by one, or where the tuner,
once it has learned (the last half of its items), is not within 10 % of the best fixed size.

What packing saves depends on how much of a request is the prompt that all items share, so the second table
takes three lengths of it. The longest is what the field report's 15 to 20 USD for 29,000 items come
to at these prices; it is to be ten times cheaper in packs of twenty.
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
LEAST_SPEED_UP, WITHIN, LEAST_SAVING = 19.0, 0.9, 10.0
FIELD_ITEMS = 29_000
SWEEP = (10, 15, 20, 28, 40)
_LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_SYSTEM = (
    "You explain the motions of a town council to the people who live there. Write three plain sentences: "
    "what the motion wants, whom it is for, and what will be different when it is carried. Use short words, "
    "no jargon, no lists and no headings. Do not judge the motion, and do not add facts that it does not "
    "state. Where the motion names an amount or a date, repeat it as it stands. Where it asks the council to "
    "examine something, say that nothing is decided yet. Address nobody, and do not begin with the title. "
)
_REPEATED = {"short": 3, "long": 24, "field report's": 92}
"""Shared prompt -> how often `_SYSTEM` stands in it."""
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
path = "{path}"
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

    def run(
        self,
        name: str,
        concurrency: int | str,
        size: int | str,
        items: int,
        prompt: str = "short",
        source: str = "items.jsonl",
    ) -> Seen:
        """Run one setting to its end."""
        path = self._folder / f"{prompt[0]}_{name.replace(' ', '_')}.toml"
        path.write_text(
            _CONFIG.format(
                url=self._url,
                path=source,
                items=items,
                system=json.dumps(_SYSTEM * _REPEATED[prompt]),
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


def _money(bench: Bench) -> float:
    """Print what packs of twenty motions cost by the length of prompt; return the saving for the longest."""
    head = (
        "shared prompt",
        "tokens/item",
        "in packs",
        "USD/1,000",
        "in packs",
        "times less",
        f"{FIELD_ITEMS:,}",
    )
    print("\n" + ("{:<16}" + "{:>14}" * 5 + "{:>20}").format(*head))
    saving = 0.0
    for prompt in _REPEATED:
        single = bench.run("alone", AT_A_TIME, 1, 100, prompt, "motions.jsonl")
        packed = bench.run("packed", AT_A_TIME, 20, 1000, prompt, "motions.jsonl")
        one, many = single.cost_usd / single.items, packed.cost_usd / packed.items
        saving = one / many
        print(
            f"{prompt:<16}{single.tokens / single.items:>14,.0f}{packed.tokens / packed.items:>14,.0f}"
            f"{one * 1000:>14.4f}{many * 1000:>14.4f}{saving:>14.1f}"
            f"{f'${one * FIELD_ITEMS:.2f} -> ${many * FIELD_ITEMS:.2f}':>20}"
        )
    return saving


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
        texts = (f"A motion on street {n}. " + _SYSTEM for n in range(1000))
        lines = (json.dumps({"id": f"m-{n}", "text": text}) + "\n" for n, text in enumerate(texts))
        (folder / "motions.jsonl").write_text("".join(lines))
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
            _table([*rows, *sweep[:-1], tuned], single)
            saving = _money(bench)
        finally:
            server.terminate()
            server.wait()
    best = max(sweep, key=lambda row: row.items_per_s)
    speed_up = rows[-1].items_per_s / single.items_per_s
    share = tuned.late_items_per_s / best.items_per_s
    print(f"\n5 x 20 is {speed_up:.1f} times as fast as one by one (promised: {LEAST_SPEED_UP:.0f})")
    print(
        f"the tuner: {tuned.items_per_s / best.items_per_s:.0%} of the best fixed setting ({best.name}) over "
        f"the whole run, {share:.0%} over its last half (promised: {WITHIN:.0%})"
    )
    print(
        f"packs of 20 cost {saving:.1f} times less (promised, at that length of prompt: {LEAST_SAVING:.0f})"
    )
    print(f"{SCALE:.0f} times as fast as life, {time.monotonic() - began:.0f} s in all")
    if chosen.svg is not None:
        bars = [
            Bar(row.name, row.per_hour, row.items_per_s / single.items_per_s) for row in [*rows, best, tuned]
        ]
        chosen.svg.write_text(plot(bars), encoding="utf-8")
    is_kept = speed_up >= LEAST_SPEED_UP and share >= WITHIN and saving >= LEAST_SAVING
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
