"""Lanes in virtual time, and waiters that note when they leave."""

from __future__ import annotations

import asyncio

from llmtop.config.schema import LimitsConfig, Range, RetryConfig, TunerConfig
from llmtop.model import Outcome
from llmtop.submit.gate import Cost, Lane, Line, Report

COST = Cost(10.0, 5.0)


def lane_of(
    concurrency: int = 100, *, max_wait: float = 60.0, is_tuning: bool = False, **limits: float
) -> Lane:
    clock = asyncio.get_running_loop().time
    return Lane(
        "test",
        LimitsConfig(**limits),
        Range(1, concurrency, max(512, concurrency)),
        clock=clock,
        wall=clock,
        retry=RetryConfig(max_wait=max_wait),
        tuning=TunerConfig(enabled=is_tuning),
    )


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Departures:
    """Waiters that note when they leave, and hold their lease for `lasting` seconds."""

    def __init__(self, line: Line, *, lasting: float = 0.0) -> None:
        self.line = line
        self.lasting = lasting
        self.names: list[str] = []
        self.times: list[float] = []

    def send(self, count: int, name: str = "w") -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._one(f"{name}{number}")) for number in range(count)]

    async def _one(self, name: str) -> None:
        with await self.line.acquire(COST) as lease:
            self.names.append(name)
            self.times.append(asyncio.get_running_loop().time())
            if self.lasting:
                await asyncio.sleep(self.lasting)
            lease.settle(10.0, 5.0)


def ok() -> Report:
    return Report(outcome=Outcome.OK, latency_s=0.5, input_tokens=10.0, output_tokens=5.0)


def refused(**told: float | str | None) -> Report:
    return Report(outcome=Outcome.REFUSED_RATE, latency_s=0.05, **told)  # type: ignore[arg-type]
