"""Figures of the runs for Prometheus, made from the same snapshots as the screen (extra `metrics`).

Served by the engine on 127.0.0.1 and nowhere else. Names follow Prometheus' rules: base units, counters
end in `_total`. A figure that is not known has no sample.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from aiohttp import web

from llmtop.errors import StateError, UsageError
from llmtop.model import PUSD_PER_USD
from llmtop.snapshot import Snapshot

HOST = "127.0.0.1"
_LABELS = ("run_id", "name")
_Figure = tuple[str, str, str, Callable[[Snapshot], float | None]]

_FIGURES: tuple[_Figure, ...] = (
    ("counter", "llmtop_requests", "Calls sent.", lambda s: s.throughput.requests),
    ("counter", "llmtop_retries", "Calls sent again.", lambda s: s.throughput.retries),
    ("counter", "llmtop_throttled", "Answers 429.", lambda s: s.throughput.throttled_429),
    ("counter", "llmtop_input_tokens", "Tokens sent.", lambda s: s.cost.input_tokens),
    ("counter", "llmtop_output_tokens", "Tokens received.", lambda s: s.cost.output_tokens),
    ("counter", "llmtop_cost_usd", "Money spent.", lambda s: s.cost.spent_pusd / PUSD_PER_USD),
    ("gauge", "llmtop_reserved_usd", "Money reserved.", lambda s: s.cost.reserved_pusd / PUSD_PER_USD),
    ("gauge", "llmtop_budget_usd", "Cap on the money.", lambda s: _usd(s.cost.cap_pusd)),
    ("gauge", "llmtop_in_flight", "Calls that are open.", lambda s: s.throughput.in_flight),
    ("gauge", "llmtop_concurrency", "Calls that may be open.", lambda s: s.throughput.concurrency),
    ("gauge", "llmtop_requests_per_second", "Over 10 s.", lambda s: s.throughput.requests_per_s),
    ("gauge", "llmtop_items_per_second", "Over 10 s.", lambda s: s.throughput.items_per_s),
    ("gauge", "llmtop_request_seconds_p50", "Of 5 minutes.", lambda s: s.latency.request.p50),
    ("gauge", "llmtop_request_seconds_p95", "Of 5 minutes.", lambda s: s.latency.request.p95),
    ("gauge", "llmtop_loop_lag_seconds_p99", "Of the engine.", lambda s: s.latency.loop_lag_p99_s),
    ("gauge", "llmtop_eta_seconds", "Until the last item.", lambda s: s.eta_s),
    ("gauge", "llmtop_memory_bytes", "Working set.", lambda s: s.memory.working_set_bytes),
    ("gauge", "llmtop_memory_limit_bytes", "Of the container.", lambda s: s.memory.limit_bytes),
    ("gauge", "llmtop_engine_memory_bytes", "RSS.", lambda s: s.memory.engine_rss_bytes),
)


def _usd(pusd: int | None) -> float | None:
    return None if pusd is None else pusd / PUSD_PER_USD


def require_library() -> None:
    """Raise UsageError when the extra is not installed."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise UsageError(
            "--metrics-port", "needs prometheus-client", "Install it: pip install 'llmtop-run[metrics]'"
        )


class MetricsServer:
    """Answers `GET /metrics` while it is entered; a scrape takes one snapshot of every run."""

    def __init__(self, port: int, snapshots: Callable[[], Iterable[Snapshot]]) -> None:
        require_library()
        self.port = port
        """0: the system chooses; the chosen one after entering."""
        self._library: Any = importlib.import_module("prometheus_client")
        self._core: Any = importlib.import_module("prometheus_client.core")
        self._snapshots = snapshots
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> MetricsServer:
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        runner = self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            reason = error.strerror or str(error)
            raise StateError(f"--metrics-port {self.port}", f"cannot be opened: {reason}") from error
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def collect(self) -> Iterator[Any]:
        """Yield the families of this moment: what the library asks a collector for."""
        snapshots = tuple(self._snapshots())
        kinds = {"counter": self._core.CounterMetricFamily, "gauge": self._core.GaugeMetricFamily}
        for kind, name, help_, value_of in _FIGURES:
            family = kinds[kind](name, help_, labels=_LABELS)
            for each in snapshots:
                if (value := value_of(each)) is not None:
                    family.add_metric((each.run_id, each.name), value)
            yield family
        yield self._labelled("llmtop_items", "Items by state.", "state", snapshots, _items)
        yield self._labelled("llmtop_errors", "Errors by kind.", "kind", snapshots, _errors)
        yield self._labelled("llmtop_run_state", "1 for the state it is in.", "state", snapshots, _state)

    def _labelled(
        self,
        name: str,
        help_: str,
        label: str,
        snapshots: Iterable[Snapshot],
        values: Callable[[Snapshot], Iterable[tuple[str, float]]],
    ) -> Any:
        family = self._core.GaugeMetricFamily(name, help_, labels=(*_LABELS, label))
        for each in snapshots:
            for word, value in values(each):
                family.add_metric((each.run_id, each.name, word), value)
        return family

    async def _answer(self, _request: web.Request) -> web.Response:
        registry = self._library.CollectorRegistry()
        registry.register(self)
        body = self._library.generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": self._library.CONTENT_TYPE_LATEST})


def _items(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    counts = snapshot.counts
    yield "done", counts.done
    yield "rejected", counts.rejected
    yield "failed", counts.failed
    yield "pending", counts.pending


def _errors(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    for kind in snapshot.errors.kinds:
        yield kind.name, kind.count


def _state(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    yield snapshot.state, 1
