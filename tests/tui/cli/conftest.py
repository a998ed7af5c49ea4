"""A command line over runs that exist in memory only."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from llmtop.errors import StateError, UsageError
from llmtop.listing import AttemptRow, ItemDetail, ItemPage, ItemQuery, ItemRow
from llmtop.model import Acknowledgement, Change, Command, Decision, RunCounts
from llmtop.snapshot import CostView, Knob, RunLine, Snapshot, ThroughputView, TunerView
from llmtop_tui.cli import main

HOSTILE = "m\x1b]0;owned\x07-17\u202e"


def row(seq: int, state: str = "done", **changes: Any) -> ItemRow:
    made = ItemRow(
        seq, f"m-{seq}", state, 1, 812, 410, 82, 27_100_000, None, None, 1_790_000_000.0, "Het antwoord"
    )  # type: ignore[arg-type]
    return replace(made, **changes)


@dataclass
class FakeDoor:
    """One run in memory: a door that remembers what it was told."""

    run_id: str = "motions-3f9a2c"
    states: Sequence[str] = ("running",)
    rows: Sequence[ItemRow] = field(default_factory=lambda: [row(seq) for seq in range(3)])
    told: list[Command] = field(default_factory=list)
    queries: list[ItemQuery] = field(default_factory=list)
    refusal: str | None = None
    exit_code: int | None = None
    is_closed: bool = False
    name: str = "motions"

    def at(self, state: str) -> Snapshot:
        return Snapshot(
            version=1,
            at=1_790_000_000.0,
            run_id=self.run_id,
            name=self.name,
            state=state,  # type: ignore[arg-type]
            counts=RunCounts(total=10, done=7, rejected=1, failed=2),
            throughput=ThroughputView(requests=12, retries=2, throttled_429=1),
            cost=CostView(spent_pusd=420_000_000_000, cap_pusd=5 * 10**12),
            tuner=TunerView(knobs=(Knob("concurrency", "32", "4", "256", "flag"),)),
            exit_code=self.exit_code,
            elapsed_s=61.0,
            output_path="/data/out.jsonl",
        )

    async def snapshot(self) -> Snapshot:
        return self.at(self.states[-1])

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        for state in self.states:
            yield self.at(state)
            await asyncio.sleep(0)

    async def command(self, command: Command) -> Acknowledgement:
        self.told.append(command)
        if self.refusal is not None:
            return Acknowledgement(False, self.refusal)
        return Acknowledgement(True, "done", (Change("concurrency", "28", "32"),))

    async def items(self, query: ItemQuery) -> ItemPage:
        self.queries.append(query)
        left = [each for each in self.rows if each.seq > query.after_seq]
        if query.states:
            left = [each for each in left if each.state in query.states]
        page = tuple(left[: query.limit])
        return ItemPage(page, page[-1].seq if len(left) > len(page) else None)

    async def item(self, item_id: str) -> ItemDetail | None:
        found = next((each for each in self.rows if each.id == item_id), None)
        if found is None:
            return None
        attempt = AttemptRow(
            1, 1, 1.0, 2.0, "ok", 200, None, None, None, 812, 1, False, None, '{"raw": "\x1b[2J"}'
        )
        messages = ({"role": "user", "content": "Leg uit:\n\x1b[2Jtekst"},)
        return ItemDetail(found, messages, "", {"output": "Het\x1b]0;x\x07 antwoord"}, (attempt,))

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        return (Decision(1.0, "concurrency", "31", "32", "p95 steady", "tuner"),)

    async def close(self) -> None:
        self.is_closed = True


class FakeHome:
    """A state folder that holds nothing but the given lines."""

    lines: tuple[RunLine, ...] = ()
    faults: tuple[StateError, ...] = ()
    pid: int | None = 4117

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resolve(self, ref: str) -> Any:
        return SimpleNamespace(run_id=ref, name=ref, folder=self.folder)

    def run_folder(self, run_id: str) -> Path:
        return self.folder

    def owner_pid(self, run_id: str) -> int | None:
        return self.pid

    def runs(self) -> tuple[RunLine, ...]:
        return self.lines


class FakeEngine:
    """An engine in this process whose runs are doors in memory."""

    def __init__(self, doors: Sequence[FakeDoor], code: int, notices: Sequence[str] = ()) -> None:
        self.doors = tuple(doors)
        self.notices = tuple(notices)
        self.code = code
        self.stops: list[str] = []
        self._stopped = asyncio.Event()
        self.waits_for_stop = False

    async def __aenter__(self) -> FakeEngine:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def wait(self) -> int:
        if self.waits_for_stop:
            await self._stopped.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return self.code

    def stop(self, signal_code: int) -> None:
        self.stops.append("stop")
        self.code = signal_code
        self._stopped.set()

    def stop_now(self, signal_code: int) -> None:
        self.stops.append("stop_now")


@dataclass
class World:
    """What the fakes hold, and what was asked of them."""

    home: FakeHome
    doors: dict[str, FakeDoor] = field(default_factory=dict)
    started: list[tuple[Any, Any]] = field(default_factory=list)
    engine_code: int = 0
    launch: ModuleType = field(default_factory=lambda: ModuleType("llmtop.control.launch"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Put an engine in memory where the commands look for the real one."""
    for name in ("HOME", "JSON", "DEBUG", "DISPLAY"):
        monkeypatch.delenv(f"LLMTOP_{name}", raising=False)
    made = World(FakeHome(tmp_path), {"motions-3f9a2c": FakeDoor()})

    async def open_run(home: Any, ref: str) -> FakeDoor:
        found = made.doors.get(ref) or (next(iter(made.doors.values()), None) if ref == "latest" else None)
        if found is None:
            raise UsageError(ref, "no such run", "`llmtop runs` lists them")
        return found

    def engine_here(home: Any, configs: Any, options: Any, on_progress: Any) -> FakeEngine:
        made.started.append((configs, options))
        return FakeEngine(list(made.doors.values()), made.engine_code, ["continues run motions-3f9a2c"])

    opening = ModuleType("llmtop.control.opening")
    opening.open_run = open_run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llmtop.control.opening", opening)
    made.launch.engine_here = engine_here  # type: ignore[attr-defined]
    library = ModuleType("llmtop.control.library")
    library.Home = type("Home", (), {"open": staticmethod(lambda path, environ: made.home)})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llmtop.control.launch", made.launch)
    settings = ModuleType("llmtop.control.settings")
    shown = SimpleNamespace(key="retry.max_attempts", value="6", origin="default")
    settings.settings_of = lambda folder: (shown,)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "llmtop.control.library", library)
    monkeypatch.setitem(sys.modules, "llmtop.control.settings", settings)
    return made


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def llmtop(world: World, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command in this process."""

    def run(*words: str) -> Said:
        code = main(list(words))
        captured = capfd.readouterr()
        return Said(code, captured.out, captured.err)

    return run
