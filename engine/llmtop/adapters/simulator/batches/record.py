"""What is remembered of a batch job."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmtop.adapters.simulator.batches.files import StoredFile
from llmtop.adapters.simulator.batches.lines import Line
from llmtop.adapters.simulator.batches.timeline import Timeline

Api = Literal["openai", "anthropic", "gemini", "azure", "groq", "together", "mistral"]


@dataclass(slots=True)
class Outcome:
    """What the lines of a batch came to."""

    output: StoredFile | None
    errors: StoredFile | None
    """Apart from the output only where OpenAI's format is spoken."""
    answered: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class Batch:
    """One batch job."""

    id: str
    api: Api
    number: int
    model: str
    source: StoredFile
    lines: list[Line]
    """In the order in which they are worked."""
    label: Any
    """What the client gave it: metadata, a display name."""
    details: Mapping[str, Any]
    """What else the API has to show of it."""
    version: str
    life: Timeline
    troubles: frozenset[str]
    digest: bytes
    tokens: int
    faults: tuple[Mapping[str, Any], ...] = ()
    """Why it fails."""
    outcome: Outcome | None = None
    working: asyncio.Task[None] | None = None
    shown: set[str] = field(default_factory=set)
    """States and troubles that the client has seen."""


@dataclass(slots=True)
class Draft:
    """The lines of a batch that is to be created."""

    lines: list[Line] = field(default_factory=list)
    tokens: int = 0
    models: set[str] = field(default_factory=set)
    faults: list[Mapping[str, Any]] = field(default_factory=list)
    digest: bytes = b""
