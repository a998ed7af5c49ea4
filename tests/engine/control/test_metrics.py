from __future__ import annotations

from dataclasses import replace

import aiohttp
import pytest

from llmtop.control.metrics import MetricsServer
from llmtop.errors import StateError
from llmtop.model import RunCounts
from llmtop.snapshot import CostView, ErrorKind, ErrorsView, Snapshot, ThroughputView

RUN = Snapshot(
    version=1,
    at=1.0,
    run_id="motions-3f",
    name='mo"ti\nons',
    state="running",
    counts=RunCounts(100, done=40, rejected=2, failed=1),
    throughput=ThroughputView(requests=57, in_flight=3, concurrency=8),
    cost=CostView(spent_pusd=1_500_000_000_000, input_tokens=900),
    errors=ErrorsView(kinds=(ErrorKind("timeout", 4, 0.1, 1.0, "4 tries", "slow"),)),
)


async def _scrape(server: MetricsServer) -> dict[str, float]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}/metrics") as answer,
    ):
        assert answer.status == 200
        text = await answer.text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_a_scrape_has_the_figures_of_the_snapshot_of_that_moment() -> None:
    now = [RUN]
    async with MetricsServer(0, lambda: now) as server:
        first = await _scrape(server)
        now[0] = replace(RUN, counts=replace(RUN.counts, done=41))
        second = await _scrape(server)

    label = 'name="mo\\"ti\\nons",run_id="motions-3f"'
    by_name = {name.partition("{")[0]: value for name, value in first.items()}
    assert (by_name["llmtop_requests_total"], by_name["llmtop_cost_usd_total"]) == (57.0, 1.5)
    assert any(label in name or "motions-3f" in name for name in first)
    assert {value for name, value in first.items() if 'state="done"' in name} == {40.0}
    assert {value for name, value in second.items() if 'state="done"' in name} == {41.0}
    assert {value for name, value in first.items() if 'kind="timeout"' in name} == {4.0}


async def test_a_figure_that_is_not_known_has_no_sample() -> None:
    async with MetricsServer(0, lambda: [RUN]) as server:
        names = {name.partition("{")[0] for name in await _scrape(server)}

    assert "llmtop_in_flight" in names
    assert not names & {"llmtop_eta_seconds", "llmtop_budget_usd", "llmtop_request_seconds_p95"}


async def test_a_port_that_is_taken_is_said() -> None:
    async with MetricsServer(0, list) as server:
        with pytest.raises(StateError, match="cannot be opened"):
            async with MetricsServer(server.port, list):
                raise AssertionError
