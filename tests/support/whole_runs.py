"""A desk to start whole runs from: configs, inputs, the real program as a process, and what it left.

`Desk.llmtop` runs one command to its end, `Desk.started` one that is steered or killed meanwhile.
`until` waits for something that another process does; it looks again and again, and has a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtop.adapters.home import Home
from llmtop.adapters.simulator import SimulatedProvider, load_profile
from llmtop.config.loader import load_config
from llmtop.engine import Engine
from llmtop.run.opened import StartOptions
from llmtop.run.run import Run

LLMTOP = [sys.executable, "-c", "import sys; from llmtop_tui.cli import main; sys.exit(main())"]
_LOOK_S = 0.01


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What it said, where that is one JSON value."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it said, where that is one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Desk:
    """A working folder with `home/` as state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home_folder = folder / "home"
        self.output = folder / "out.jsonl"
        self._processes: list[asyncio.subprocess.Process] = []
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith("LLMTOP_")}
        self.environ |= {"LLMTOP_HOME": str(self.home_folder), "SIM_KEY": "sk-simulated-1234"}

    @property
    def home(self) -> Home:
        """The state folder, as the program sees it."""
        return Home.open(self.home_folder, {})

    def items(self, number: int, name: str = "items.jsonl", text: str = "rain on the roof") -> list[str]:
        """Write an input of so many items; return their ids."""
        ids = [f"m-{index}" for index in range(number)]
        lines = (json.dumps({"id": each, "text": f"{text} {each}"}) + "\n" for each in ids)
        (self.folder / name).write_text("".join(lines))
        return ids

    def config(self, base_url: str, name: str = "job", **tables: Mapping[str, Any]) -> Path:
        """Write a config that asks the simulator at `base_url`; `tables` add to it and override it."""
        settings: dict[str, dict[str, Any]] = {
            "provider": {
                "kind": "openai",
                "base_url": base_url,
                "model": "sim-small",
                "api_key_env": "SIM_KEY",
            },
            "input": {"path": "items.jsonl"},
            "request": {"prompt": "Explain: {text}, id: {id}", "max_output_tokens": 400},
            "execution": {"concurrency": 4},
            "prices": {"input": 0.05, "output": 0.1, "cached_input": 0.01},
            "output": {"path": self.output.name},
        }
        for table, values in tables.items():
            kept = settings.setdefault(table, {}) | values
            settings[table] = {key: value for key, value in kept.items() if value is not None}
        lines = [f"name = {json.dumps(name)}"]
        for table, values in settings.items():
            lines.append(f"\n[{table}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    # -- the program ---------------------------------------------------------------------------

    async def started(self, *words: str | Path, **streams: Any) -> asyncio.subprocess.Process:
        """Start a command; its stdout and stderr are pipes unless told otherwise."""
        pipes: dict[str, Any] = {"stdin": asyncio.subprocess.DEVNULL}
        pipes |= {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | streams
        process = await asyncio.create_subprocess_exec(
            *LLMTOP, *map(str, words), cwd=self.folder, env=self.environ, limit=1 << 22, **pipes
        )
        self._processes.append(process)
        return process

    def clear_away(self) -> None:
        """End what a test that failed has left running."""
        for process in self._processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()

    async def llmtop(self, *words: str | Path, stdin: bytes | None = None, timeout_s: float = 30.0) -> Said:
        """Run a command to its end."""
        pipe = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
        return await ended(await self.started(*words, stdin=pipe), stdin=stdin, timeout_s=timeout_s)

    @asynccontextmanager
    async def engine(self, *configs: Path, start: StartOptions | None = None) -> AsyncIterator[list[Run]]:
        """An engine in this process with these configs' runs started, in their order."""
        async with Engine(self.home, environ=self.environ) as engine:
            loaded = [run for path in configs for run in load_config(path)]
            await engine.open(loaded, start or StartOptions())
            engine.start()
            yield list(engine.runs.values())

    async def goes_on(self, *configs: Path) -> int:
        """Run to the end what the same command would run, in this process: a second less; the exit code."""
        async with self.engine(*configs) as runs:
            for run in runs:
                await run.settled()
            return max(run.exit_code for run in runs)

    # -- what it left --------------------------------------------------------------------------

    def results(self, path: Path | None = None) -> list[dict[str, Any]]:
        """Return the lines of the output file."""
        text = (path or self.output).read_text(encoding="utf-8")
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def written_ids(self, path: Path | None = None) -> Counter[str]:
        """Count the ids of the output file."""
        return Counter(result["id"] for result in self.results(path))

    def rows(self, sql: str, run: str = "latest") -> list[tuple[Any, ...]]:
        """Ask a run's ledger."""
        folder = self.home.resolve(run).folder
        with closing(sqlite3.connect(f"file:{folder / 'run.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def lines(self, run: str = "latest") -> dict[str, bytes]:
        """Return what the ledger accepted: id -> line."""
        return dict(
            self.rows("SELECT results.id, line FROM results JOIN lines ON lines.seq = results.seq", run)
        )

    def attempts(self, run: str = "latest") -> int:
        """Return how many requests the ledger knows of."""
        return int(self.rows("SELECT COUNT(*) FROM attempts", run)[0][0])


async def ended(
    process: asyncio.subprocess.Process, *, stdin: bytes | None = None, timeout_s: float = 30.0
) -> Said:
    """Wait for a command to end; kill it where it does not."""
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    assert process.returncode is not None
    said = Said(process.returncode, (out or b"").decode(), (err or b"").decode())
    assert "Traceback" not in said.err, said.err
    return said


async def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(_LOOK_S)


def simulator(port: int = 0, **settings: Any) -> SimulatedProvider:
    """Return a simulated provider without latency, limits and faults but for the given ones."""
    return SimulatedProvider(load_profile({"profile": "instant"} | settings), port)


def each_once(ids: Sequence[str]) -> Counter[str]:
    """Return what `written_ids` must be."""
    return Counter(dict.fromkeys(ids, 1))
