"""The machine under the engine: memory and processes for every snapshot, and the guard on memory."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from llmtop.adapters.probes import MemoryProbe, MemoryReading, ProcessProbe, ProcessReading
from llmtop.model import Decision
from llmtop.policy.antipattern import ProcessFigures, anti_pattern
from llmtop.policy.guard import GuardVerdict, MemoryGuard
from llmtop.run.run import Run
from llmtop.snapshot import MemoryView, ProcessView

_GROWTH_WINDOW = 61
"""Readings, one a second, between which growth is measured."""


class Host:
    """Read once a second; the scan over all processes has a thread of its own: nothing waits for it."""

    def __init__(self) -> None:
        self.viewers: Callable[[], int] = lambda: 0
        """Counts the viewers on the control socket."""
        self._memory = MemoryProbe()
        self._processes = ProcessProbe()
        self._memory_reading = MemoryReading()
        self._process_reading: ProcessReading | None = None
        self._guards: dict[str, MemoryGuard] = {}
        self._verdicts: dict[str, GuardVerdict] = {}
        self._rss: deque[tuple[float, int]] = deque(maxlen=_GROWTH_WINDOW)
        self._scanner = ThreadPoolExecutor(1, thread_name_prefix="processes")
        self._scanning: Future[object] | None = None

    def read(self, now: float) -> None:
        """Look at memory and processes; well under a millisecond on the event loop."""
        self._memory_reading = self._memory.read()
        self._process_reading = self._processes.read()
        if self._process_reading.engine_rss_bytes is not None:
            self._rss.append((now, self._process_reading.engine_rss_bytes))
        if self._scanning is None or self._scanning.done():
            self._scanning = self._scanner.submit(self._processes.scan)

    def close(self) -> None:
        """Let the scanning thread end."""
        self._scanner.shutdown(wait=False, cancel_futures=True)

    def guard(self, run: Run) -> None:
        """Let the memory guard decide for one run, and do what it says."""
        if run.is_settled:
            return
        guard = self._guards.get(run.id)
        if guard is None:
            floor = run.config.execution.concurrency.low
            guard = self._guards[run.id] = MemoryGuard(run.config.memory, floor)
        reading = self._memory_reading
        now = asyncio.get_running_loop().time()
        verdict = guard.on_reading(now, reading.working_set_bytes, reading.limit_bytes, run.lane.concurrency)
        self._verdicts[run.id] = verdict
        for change in verdict.changes:
            run.decided(Decision(run.wall(), change.what, change.old, change.new, change.why, "guard"))
        ceiling = 0 if verdict.is_paused else verdict.ceiling
        run.parts.submitter.bound(ceiling, may_read_ahead=verdict.is_growth_allowed)

    def memory(self, run: Run) -> MemoryView:
        """Return the memory panel of a run."""
        reading = self._memory_reading
        verdict = self._verdicts.get(run.id)
        threshold = run.config.memory.threshold
        mark = None if reading.limit_bytes is None else int(threshold * reading.limit_bytes)
        process = self._process_reading
        return MemoryView(
            source=reading.source,
            working_set_bytes=reading.working_set_bytes,
            usage_bytes=reading.usage_bytes,
            limit_bytes=reading.limit_bytes,
            threshold=threshold,
            mark_bytes=mark,
            engine_rss_bytes=process.engine_rss_bytes if process else None,
            growth_bytes_per_min=self._growth(),
            pressure_some_pct=reading.pressure_some_pct,
            guard=verdict.words if verdict else "idle",
            level=verdict.level if verdict else "good",
        )

    def processes(self, per_process_bytes: int = 0) -> ProcessView:
        """Return the processes panel."""
        reading = self._process_reading
        if reading is None:
            return ProcessView(engine_pid=os.getpid(), viewers=self.viewers())
        others = reading.others
        figures = ProcessFigures(
            count=others.count,
            rss_bytes=others.rss_bytes,
            largest_rss_bytes=others.largest_rss_bytes,
            api_count=others.api_count,
            api_rss_bytes=others.api_rss_bytes,
            same_count=others.same_count,
            same_rss_bytes=others.same_rss_bytes,
            load_1m=reading.load_1m,
            cores=reading.machine_cores,
            cpu_pct=reading.cpu_pct,
        )
        return ProcessView(
            engine_pid=reading.engine_pid,
            engine_cpu_pct=reading.engine_cpu_pct,
            viewers=self.viewers(),
            children=others.children,
            cgroup_processes=reading.cgroup_processes,
            python_processes=others.count,
            python_rss_bytes=others.rss_bytes,
            python_pids=others.pids,
            cores=reading.machine_cores,
            load_1m=reading.load_1m,
            cpu_pct=reading.cpu_pct,
            open_files=reading.open_files,
            open_files_limit=reading.open_files_limit,
            warning=anti_pattern(figures, per_process_bytes),
        )

    def _growth(self) -> float | None:
        if len(self._rss) < 10:
            return None
        (then, before), (now, after) = self._rss[0], self._rss[-1]
        return (after - before) / (now - then) * 60.0 if now > then else None
