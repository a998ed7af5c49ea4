"""The classes of providers and their targets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.control.providers import (
    Setup,
    anything,
    ceiling,
    moving_ceiling,
    moving_pool,
    neighbour,
    packed,
    pooled,
    soft,
    stairs,
    storm,
    tokens,
    troubled,
    windowed,
)
from benchmarks.control.world import Batching, Queueing, Trouble


@dataclass(frozen=True, slots=True)
class Target:
    """What a class must reach: median and worst share of the clairvoyant's goodput, refusals per 1,000."""

    median: float
    worst: float
    refusals: float | None = None
    refusals_per_min: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One provider of one class. The steady window is from `warm_s` to `end_s`."""

    group: str
    name: str
    make: Callable[[random.Random], Setup]
    warm_s: float = 180.0
    end_s: float = 780.0
    steps: Sequence[float] = ()
    """Moments at which the provider changes for better or worse."""


TARGETS = {
    "hard ceiling": Target(0.97, 0.95, 5.0, 1.0),
    "declared or in headers": Target(0.97, 0.95, 1.0),
    "request bucket, unknown": Target(0.97, 0.94, 8.0),
    "token limit, unknown": Target(0.94, 0.92, 30.0),
    "per-second window, unknown": Target(0.88, 0.82, 10.0),
    "fixed minute, unknown": Target(0.97, 0.95, 12.0),
    "soft capacity": Target(0.95, 0.92, 0.0),
    "halves and doubles": Target(0.92, 0.87, 10.0),
    "wandering": Target(0.84, 0.80, 30.0),
    "packs": Target(0.95, 0.92, None, 1.0),
    "5xx storms": Target(0.96, 0.94, 8.0),
    "529 storms": Target(0.90, 0.86, 18.0),
    "outage": Target(0.95, 0.93),
    "random providers": Target(0.97, 0.90, 8.0),
}


def scenarios(*, random_count: int = 40) -> list[Scenario]:
    """Return all classes."""
    found = [
        Scenario(
            "hard ceiling",
            f"{slots} slots{'' if wait is None else f', Retry-After {wait:g}'}",
            ceiling(slots, wait, base),
        )
        for slots, wait, base in [
            (4, None, 0.5),
            (20, None, 2.0),
            (20, 2.0, 0.5),
            (100, None, 0.5),
            (100, 1.0, 2.0),
            (300, None, 8.0),
        ]
    ]
    found += [
        Scenario(
            "declared or in headers", "6/s bucket declared", pooled(6.0, 3.0, says_wait=True, declared=True)
        ),
        Scenario(
            "declared or in headers",
            "600/min window declared",
            windowed(600, 60.0, says_wait=True, declared=True),
        ),
        Scenario(
            "declared or in headers",
            "20/s bucket in headers",
            pooled(20.0, 40.0, says_wait=True, headers=True),
        ),
        Scenario(
            "declared or in headers",
            "10/s in slices declared",
            windowed(10, 1.0, says_wait=True, declared=True),
        ),
        Scenario(
            "declared or in headers",
            "tokens declared",
            tokens(20_000.0, 30.0, 0.7, says_wait=True, declared=True),
        ),
    ]
    found += [
        Scenario(
            "request bucket, unknown",
            f"{rate:g}/s, burst {burst:g}{'' if wait else ', no wait said'}",
            pooled(rate, burst, says_wait=wait),
        )
        for rate, burst, wait in [
            (2.0, 5.0, True),
            (10.0, 20.0, True),
            (10.0, 60.0, False),
            (40.0, 40.0, True),
        ]
    ]
    found += [
        Scenario(
            "token limit, unknown", f"{rate:g} tokens/s, cv {cv:g}", tokens(rate, 10.0, cv, says_wait=wait)
        )
        for rate, cv, wait in [(10_000.0, 1.0, True), (40_000.0, 1.5, True), (20_000.0, 1.0, False)]
    ]
    found += [
        Scenario("per-second window, unknown", f"{limit}/s", windowed(limit, 1.0, says_wait=True))
        for limit in (5, 20)
    ]
    found += [
        Scenario(
            "fixed minute, unknown", f"{limit}/min", windowed(limit, 60.0, says_wait=True), 300.0, 1200.0
        )
        for limit in (120, 900)
    ]
    found += [
        Scenario("soft capacity", "queue of 40", soft(lambda: Queueing(40, 0.3, 0.01), (44, 48, 56))),
        Scenario("soft capacity", "batching to 32", soft(lambda: Batching(0.3, 0.01, 32.0), (32, 40, 48))),
        Scenario(
            "soft capacity",
            "retrograde beyond 40",
            soft(lambda: Batching(0.3, 0.01, 40.0, 0.3), (36, 40, 44)),
        ),
    ]
    found += [
        Scenario(
            "halves and doubles",
            "60 slots",
            moving_ceiling(stairs([60, 30], 200.0), None),
            180.0,
            980.0,
            (200, 400, 600, 800),
        ),
        Scenario(
            "halves and doubles",
            "16/s",
            moving_pool(stairs([16, 8], 200.0), 16.0),
            180.0,
            980.0,
            (200, 400, 600, 800),
        ),
    ]
    found += [
        Scenario("wandering", "60 +- 12 slots", neighbour(60.0, 5.0, 1)),
        Scenario("wandering", "30 +- 6 slots", neighbour(30.0, 2.5, 2)),
    ]
    found += [
        Scenario("packs", f"{binds} bind", packed(binds), 300.0, 900.0)
        for binds in ("slots", "requests", "tokens")
    ]
    found += [
        Scenario("5xx storms", "25 % for 60 s in 180 s", troubled(Trouble(errors=storm(0.25, 60.0, 180.0)))),
        Scenario(
            "529 storms", "15 % for 10 s in 120 s", troubled(Trouble(overload=storm(0.15, 10.0, 120.0)))
        ),
        Scenario(
            "outage",
            "60 s",
            troubled(Trouble(is_down=lambda now: 300.0 <= now < 360.0)),
            180.0,
            780.0,
            (300, 360),
        ),
    ]
    found += [Scenario("random providers", f"number {n}", anything) for n in range(random_count)]
    return found
