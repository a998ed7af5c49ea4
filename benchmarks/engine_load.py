"""The engine as a contender: the same load as a bare loop, with its ledger, output file and gate.

Everything is on: prices, a budget, the output file, raw answers, the tuner, the control socket. The
input is made beforehand; reading, checking and storing it is counted, as it is part of a run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmtop.adapters.home import Home
from llmtop.config.loader import load_config
from llmtop.config.schema import RunConfig
from llmtop.control.launch import EngineHere, RunOptions, engine_here

_KEY_VARIABLE = "LLMTOP_BENCHMARK_KEY"
_KEY = "sk-benchmark-0123456789"
_CONFIG = """
name = "load"
[provider]
kind = "openai"
base_url = "{base_url}"
model = "simulated-small"
api_key_env = "{variable}"
[input]
path = "items.jsonl"
[request]
system = "{system}"
prompt = "{{text}}"
max_output_tokens = 200
[execution]
concurrency = {concurrency}
[prices]
input = 0.05
output = 0.10
[budget]
max_cost = 1000
[output]
path = "results.jsonl"
"""


@contextmanager
def prepared(base_url: str, concurrency: int, system: str, texts: Iterator[str]) -> Iterator[RunConfig]:
    """Write items and a config into a folder of their own; the folder goes with the `with`."""
    os.environ[_KEY_VARIABLE] = _KEY
    with tempfile.TemporaryDirectory(prefix="llmtop-load-") as folder:
        with Path(folder, "items.jsonl").open("w") as items:
            items.writelines(
                json.dumps({"id": f"item-{number}", "text": text}) + "\n" for number, text in enumerate(texts)
            )
        words = {"base_url": base_url, "variable": _KEY_VARIABLE, "system": system}
        config = Path(folder, "load.toml")
        config.write_text(_CONFIG.format(concurrency=concurrency, **words))
        (run,) = load_config(config)
        yield run


async def run_engine(config: RunConfig, items: int, viewer: str | None = None) -> dict[str, float]:
    """Run it to its end in this process; `viewer`: a script that looks at the run meanwhile.

    Returns what was seen on the way: the event loop's lag, and what the viewer cost.
    """
    assert config.file is not None
    home = Home.open(config.file.parent / "state", os.environ)
    seen: dict[str, float] = {}
    async with engine_here(home, [config], RunOptions(fresh=True)) as engine:
        watching = None if viewer is None else _watch(viewer, home, engine)
        code = await engine.wait()
        snapshot = await engine.doors[0].snapshot()
        assert code == 0, f"ended with {code}: {snapshot.state_detail}"
        assert snapshot.counts.done == items, snapshot.counts
        if watching is not None:
            out, _ = watching.communicate("", timeout=30)
            seen |= json.loads(out)
        seen |= {"lag_p99_ms": 1000.0 * (snapshot.latency.loop_lag_p99_s or 0.0)}
    return seen


def _watch(viewer: str, home: Home, engine: EngineHere) -> subprocess.Popen[str]:
    command = [sys.executable, viewer, str(home.folder), engine.run_ids[0]]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
