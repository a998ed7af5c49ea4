"""All runs of one process: opens them, gives them lanes and transports, ticks and ends them.

One engine, one event loop. Two runs on the same provider, key and model share a lane, so that
they share its limits. The engine knows no screen: front ends hold doors (`llmtop.control`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import BinaryIO

from llmtop.adapters import open_files
from llmtop.adapters.home import Home
from llmtop.adapters.http_batches import BatchTransport
from llmtop.adapters.prices import find_prices
from llmtop.adapters.providers.catalog import batch_provider, wire_format
from llmtop.config.kinds import effective_base_url
from llmtop.config.schema import RunConfig
from llmtop.engine.caches import Caches
from llmtop.engine.host import Host
from llmtop.engine.lanes import Lanes
from llmtop.engine.opening import Opening
from llmtop.engine.simulators import Simulators
from llmtop.errors import ConfigError
from llmtop.policy.estimates import TokenEstimates
from llmtop.run.batch_parts import Jobs
from llmtop.run.exchange import ChatExchange
from llmtop.run.opened import Checked, Opened, StartOptions, check
from llmtop.run.parts import Caching, Parts, assemble
from llmtop.run.picture import line_of, picture, see_state
from llmtop.run.run import Run
from llmtop.snapshot import RunLine, Snapshot

_TICK_S = 1.0
_SEVERITY = (1, 4, 5, 2, 3, 6, 8, 143, 130, 129, 7, 0)
"""Exit codes, worst first: several runs end with the worst of theirs."""


class Engine:
    """Use it as `async with`: leaving it ends its runs politely and saves everything.

    `runs` holds the runs by id; `failures` what a bug did to one of them.
    """

    def __init__(
        self,
        home: Home,
        *,
        environ: Mapping[str, str] | None = None,
        stdin: BinaryIO | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        self.home = home
        self.runs: dict[str, Run] = {}
        self.host = Host()
        self.is_closed = False
        """All runs have ended and all is saved: what a door shows now is the last."""
        self.is_ending = False
        """No command is taken any more."""
        self._environ = os.environ if environ is None else environ
        self._opening = Opening(home, stdin=stdin, on_progress=on_progress)
        self._lanes = Lanes()
        self._caches = Caches(home.folder, self._environ)
        self._simulators = Simulators()
        self._estimates = TokenEstimates()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._mains: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Engine {list(self.runs.values())}>"

    async def __aenter__(self) -> Engine:
        open_files.raise_limit()
        self.host.read(time.monotonic())
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self._simulators)
        self._stack.push_async_callback(self._caches.close)
        self._tasks.append(asyncio.create_task(self._tick(), name="tick"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.end()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.host.close()
            await self._stack.aclose()

    # -- start -------------------------------------------------------------------------------

    async def open(self, configs: Sequence[RunConfig], options: StartOptions) -> tuple[str, ...]:
        """Check and open all runs before the first request of any leaves; return what to tell the user.

        Raises ConfigError, InputError, UsageError, RunOwned or StateError; then nothing is started.
        """
        checked = [await self._check(config, allow_code=options.allow_code) for config in configs]
        opened: list[Opened] = []
        try:
            for one in checked:
                run = await self._opening.open(one, options)
                opened.append(run)  # one by one: a later one may fail, and these are to be closed then
            for one_opened in opened:
                await self._add(one_opened)
        except BaseException:
            for done in opened:
                self.runs.pop(done.record.id, None)
                done.ledger.close()
            raise
        notices = [f"{o.config.name}: {notice}" for o in opened for notice in o.notices]
        for one_opened in opened:
            told = self._lanes.notice(one_opened.config, self.runs[one_opened.record.id].lane)
            notices += [] if told is None else [f"{one_opened.config.name}: {told}"]
        return (*notices, *self._tell_of_caches())

    def start(self) -> None:
        """Let the opened runs go."""
        for run in self.runs.values():
            if run.id not in self._mains:
                self._mains[run.id] = asyncio.create_task(run.main(), name=f"run {run.id}")

    async def _check(self, config: RunConfig, *, allow_code: bool) -> Checked:
        if config.provider.kind == "simulator" and config.provider.base_url is None:
            config = await self._simulators.serve(config)
        _check_files(config)
        await self._caches.use(config)  # what is wrong with it is found before a run is begun
        pricer = find_prices(config.provider, config.prices, time.time(), config.request.extra)
        return await asyncio.to_thread(check, config, pricer, self._environ, allow_code=allow_code)

    async def _add(self, opened: Opened) -> None:
        config, checked = opened.config, opened.checked
        base_url = self._simulators.address(config) or effective_base_url(config.provider) or ""
        wire = wire_format(config.provider.kind, base_url, config.provider.server)
        transport = await self._stack.enter_async_context(
            BatchTransport(
                base_url,
                checked.key,
                wire.key_headers,
                config.provider.headers,
                config.provider.timeout,
                config.provider.connect_timeout,
                config.provider.max_response_bytes,
                is_proxied=config.provider.kind != "simulator",
            )
        )
        exchange = ChatExchange(config, wire, transport, checked.template, checked.form)
        lane = self._lanes.lane(config, base_url, checked.key)
        use = await self._caches.use(config)
        caching = None if use is None else Caching(use, self._caches.in_flight)
        batches = batch_provider(wire, transport, config.batch.completion_window)
        jobs = Jobs(batches, self._lanes.desk(base_url, checked.key))
        run = Run(opened, lane, partial(_assembled, exchange, checked, self._estimates, caching, jobs))
        opened.ledger.start(asyncio.get_running_loop(), run.troubled, run.failed)
        self.runs[run.id] = run

    # -- life --------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until no run has anything to do. Raises what a bug raised in one of them."""
        waits = asyncio.create_task(self._all_settled())
        try:
            await asyncio.wait([waits, *self._mains.values()], return_when=asyncio.FIRST_COMPLETED)
            for main in self._mains.values():
                if main.done():
                    main.result()
            await waits
        finally:
            waits.cancel()

    async def _all_settled(self) -> None:
        for run in self.runs.values():
            await run.settled()

    @property
    def is_settled(self) -> bool:
        """Whether no run has anything to do unless somebody changes something."""
        return all(run.is_settled for run in self.runs.values())

    @property
    def exit_code(self) -> int:
        """The worst of the runs' exit codes."""
        codes = {run.exit_code for run in self.runs.values()}
        return min(codes, key=_SEVERITY.index, default=0)

    def stop(self, signal_code: int = 130) -> None:
        """End all runs politely: nothing new, what is in flight lands within the grace."""
        for run in self.runs.values():
            run.stop(signal_code)

    def stop_now(self, signal_code: int = 130) -> None:
        """End all runs at once; nothing accepted is lost."""
        for run in self.runs.values():
            run.stop_now(signal_code)

    def snapshot(self, run_id: str) -> Snapshot:
        """Return one run as it stands."""
        run = self.runs[run_id]
        return picture(run, self.host.memory(run), self.host.processes(run.config.memory.per_process))

    def lines(self) -> tuple[RunLine, ...]:
        """List the runs."""
        return tuple(line_of(run, os.getpid()) for run in self.runs.values())

    async def _tick(self) -> None:
        """Once a second: look at the machine, let the guard act, let runs save themselves; measure lag."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            lag_s = max(0.0, loop.time() - due)
            self.host.read(loop.time())
            for run in self.runs.values():
                run.parts.meters.lagged(run.clock(), lag_s)
                self.host.guard(run)
                run.tick()
                see_state(run, run.wall())
            self._tell_of_caches()
            self._share_halts()

    def _share_halts(self) -> None:
        """What the provider refuses to one run of a lane it refuses to all: they end together."""
        for run in self.runs.values():
            if run.lane.is_stopped and run.standing.halt is None and run.standing.phase == "running":
                sharers = (other.standing.halt for other in self.runs.values() if other.lane is run.lane)
                if (halt := next(filter(None, sharers), None)) is not None:
                    run.halted(halt)

    def _tell_of_caches(self) -> list[str]:
        """Let the runs that use a cache say what happened to it; return it too."""
        notices = self._caches.take_notices()
        for run in self.runs.values():
            for notice in notices if run.config.cache.enabled else ():
                run.noticed("cache", notice)
        return notices

    async def end(self) -> None:
        """End the runs politely and save everything; doors see their last state. Safe to call twice."""
        if self.is_ending:
            return
        self.is_ending = True
        for run in self.runs.values():
            if not run.is_settled or run.standing.phase == "running":
                run.stop_now(run.signal_code)
            run.close()
        await asyncio.gather(*self._mains.values(), return_exceptions=True)
        faults: list[BaseException] = []
        for run in self.runs.values():
            run.parts.line.close()
            try:
                run.ledger.close()
            except Exception as error:
                faults.append(error)
        self.is_closed = True
        for run in self.runs.values():
            run.touch()
        if faults and not any(run.standing.fault for run in self.runs.values()):
            raise faults[0]


def _assembled(
    exchange: ChatExchange,
    checked: Checked,
    estimates: TokenEstimates,
    caching: Caching | None,
    jobs: Jobs,
    run: Run,
) -> Parts:
    return assemble(run, exchange, checked.pricer, estimates, caching, jobs)


def _check_files(config: RunConfig) -> None:
    high, most = config.execution.concurrency.high, open_files.most_requests()
    if most is not None and high > most:
        raise ConfigError(
            "execution.concurrency",
            f"may reach {high}, and this process may open {open_files.limit()} files",
            f"raise the limit (`ulimit -n {high + open_files.BESIDE_REQUESTS}`) or lower the concurrency",
        )
