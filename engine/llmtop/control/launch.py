"""Start an engine in this process, with its control socket: what a viewer does not import."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from llmtop import __version__
from llmtop.adapters.engines import EngineRecord
from llmtop.adapters.home import Home
from llmtop.adapters.simulator import Addresses, load_profile, run_forever, settings_of
from llmtop.config.schema import RunConfig
from llmtop.control.local import LocalRun
from llmtop.control.metrics import MetricsServer
from llmtop.control.planning import Plan, plan_of
from llmtop.control.server import ControlServer
from llmtop.control.spawning import RunOptions
from llmtop.engine import Engine
from llmtop.run.opened import StartOptions

__all__ = [
    "Addresses",
    "EngineHere",
    "Plan",
    "RunOptions",
    "engine_here",
    "plan_of",
    "simulate",
]


class EngineHere:
    """An engine in this process, with its runs started and its control socket open."""

    def __init__(
        self, engine: Engine, server: ControlServer, doors: tuple[LocalRun, ...], notices: tuple[str, ...]
    ) -> None:
        self.doors = doors
        self.notices = notices
        self.run_ids = tuple(door.run_id for door in doors)
        self.socket = server.path
        self._engine = engine
        self._server = server

    @property
    def viewers(self) -> int:
        """Viewers on the socket now."""
        return self._server.viewers

    @property
    def is_settled(self) -> bool:
        """Whether no run has anything to do unless somebody changes something."""
        return self._engine.is_settled

    async def wait(self) -> int:
        """Wait until no run has anything to do; return the worst exit code. Raises what a bug raised."""
        await self._engine.settled()
        return self._engine.exit_code

    @property
    def exit_code(self) -> int:
        """The worst of the runs' exit codes as they stand."""
        return self._engine.exit_code

    def stop(self, signal_code: int = 130) -> None:
        """End politely: nothing new, what is in flight lands within the grace."""
        self._engine.stop(signal_code)

    def stop_now(self, signal_code: int = 130) -> None:
        """End at once; nothing accepted is lost."""
        self._engine.stop_now(signal_code)


@asynccontextmanager
async def engine_here(
    home: Home,
    configs: Sequence[RunConfig],
    options: RunOptions,
    on_progress: Callable[[float], None] | None = None,
) -> AsyncIterator[EngineHere]:
    """Run an engine in this process; leaving it ends its runs politely.

    Raises ConfigError, InputError, UsageError, RunOwned or StateError before anything is sent.
    """
    resume = home.resolve(options.resume).run_id if options.resume else None
    engine = Engine(home, stdin=sys.stdin.buffer, on_progress=on_progress)
    async with engine:
        notices = await engine.open(
            configs, StartOptions(resume=resume, is_fresh=options.fresh, allow_code=options.allow_code)
        )
        doors = {run_id: LocalRun(engine, run_id) for run_id in engine.runs}
        pid = os.getpid()
        server = ControlServer(home.socket_path(pid, os.environ), doors, engine.lines)
        engine.host.viewers = lambda: server.viewers
        async with server, _metrics(engine, options.metrics_port):
            entry = home.announce(EngineRecord(pid, str(server.path), time.time(), __version__))
            try:
                engine.start()
                yield EngineHere(engine, server, tuple(doors.values()), notices)
            finally:
                try:
                    await engine.end()  # before the server: its viewers see how it ended
                finally:
                    entry.withdraw()
                    for door in doors.values():
                        await door.close()


@asynccontextmanager
async def _metrics(engine: Engine, port: int | None) -> AsyncIterator[None]:
    """Serve figures for Prometheus, where that is asked for."""
    if port is None:
        yield
        return
    async with MetricsServer(port, lambda: map(engine.snapshot, engine.runs)):
        yield


async def simulate(
    name_or_path: str, settings: Sequence[str], port: int, on_ready: Callable[[Addresses], None]
) -> None:
    """Serve a simulated provider until cancelled. `settings`: KEY=VALUE. Raises ConfigError or UsageError."""
    await run_forever(load_profile({**settings_of(settings), "profile": name_or_path}), port, on_ready)
