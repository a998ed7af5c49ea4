"""Runs that go by batch jobs, against the simulated provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whole_runs import Desk

from llmtop.adapters.providers.batches import AnthropicBatches, GeminiBatches, OpenAIBatches
from llmtop.adapters.simulator import SimulatedProvider
from llmtop.run.run import Run
from llmtop.submit.batch_jobs import BatchSubmitter

PROVIDERS = ["openai", "anthropic", "gemini"]
JOBS: dict[str, type[Any]] = {
    "openai": OpenAIBatches,
    "anthropic": AnthropicBatches,
    "gemini": GeminiBatches,
}
"""What speaks to a provider about its jobs: for tests that stand in its way."""


def batch_config(
    desk: Desk, server: SimulatedProvider, kind: str = "openai", name: str = "job", **tables: Any
) -> Path:
    """Write a config that goes by batch jobs of 40 items."""
    base = server.base_url if kind == "openai" else server.root_url
    given: dict[str, dict[str, Any]] = {
        "provider": {"kind": kind, "base_url": base, "timeout": 3},
        "execution": {"mode": "batch"},
        "batch": {"look_for": "0s", "poll_interval": "20ms", "max_requests": 40},
        "prices": {"batch_discount": 0.5},
    }
    for table, values in tables.items():
        given[table] = {**given.get(table, {}), **values}
    path: Path = desk.config(base, name, **given)
    return path


async def finishes(desk: Desk, config: Path, timeout_s: float = 20.0) -> Run:
    """Run in this process to its end."""
    run: Run
    async with desk.engine(config) as (run,), asyncio.timeout(timeout_s):
        await run.settled()
        return run


async def until_true(condition: Callable[[], bool]) -> None:
    """Wait for what this process does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def jobs_of(run: Run) -> BatchSubmitter:
    """Return the batch side of a run."""
    assert run.parts.batches is not None
    return run.parts.batches
