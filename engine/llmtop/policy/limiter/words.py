"""The words of the limiter: what is limited, what a request costs, and what holds it back."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Resource(StrEnum):
    """What a provider counts."""

    REQ = "req"
    IN = "in"
    OUT = "out"
    TOTAL = "total"

    @property
    def is_tokens(self) -> bool:
        """Whether it counts LLM tokens and not requests."""
        return self is not Resource.REQ


class Cause(StrEnum):
    """What holds a waiter back: `snapshot.HeldBy` shows these words."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENCY = "concurrency"
    COOLDOWN = "cooldown"
    BUDGET = "budget"
    MEMORY = "memory"
    PAUSE = "pause"
    WRITER = "writer"
    LOOP = "loop"


class Cost(NamedTuple):
    """What one request will use, as estimated before it leaves: LLM tokens; it is one request."""

    input_tokens: float
    output_tokens: float


class Wait(NamedTuple):
    """Not now: the earliest moment worth asking again (infinite: an event, not time), and what binds."""

    until: float
    cause: Cause
