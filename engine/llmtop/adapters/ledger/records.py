"""What is put into a ledger and what comes out of it: plain frozen values.

Money is whole pico-dollars (`_pusd`), moments are wall-clock seconds since the epoch (`_at`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmtop.batch_jobs import BatchRecord
from llmtop.frozen import value
from llmtop.model import Attempt, AttemptEnd, CommandVerb, Decision, Result, RunCounts
from llmtop.snapshot import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run as its ledger knows it. Everything up to `prices` is fixed when the run is created."""

    id: str
    name: str
    created_at: float
    llmtop_version: str
    model: str = ""
    provider: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The effective config with origins, as JSON values; a key is never in it."""
    fingerprint: str = ""
    fingerprint_parts: Mapping[str, str] = field(default_factory=dict)
    """Part -> digest, so that a changed fingerprint can say which part changed."""
    source_path: str = ""
    output_path: str | None = None
    rejected_path: str | None = None
    prices: Mapping[str, Any] = field(default_factory=dict)
    item_count: int | None = None
    """None until all items have been added."""
    state: RunState = "starting"
    state_detail: str = ""
    is_paused: bool = False
    """Paused by an operator: holds over restarts."""
    exit_code: int | None = None
    started_at: float | None = None
    """First start."""
    finished_at: float | None = None
    elapsed_s: float = 0.0
    """Running time over all starts."""


@value(frozen=True, slots=True)
class Finish:
    """An item's result, with the end of the attempt that brought it (None: none, or put apart)."""

    result: Result
    end: AttemptEnd | None = None


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command that an operator gave, and what came of it."""

    at: float
    verb: CommandVerb
    origin: str
    """`user@host`."""
    is_ok: bool
    message: str
    values: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """The run's state from now on. None leaves a value as it is."""

    at: float
    state: RunState
    detail: str = ""
    is_paused: bool | None = None
    elapsed_s: float | None = None
    """Running time over all starts, up to now."""
    exit_code: int | None = None
    """None clears it: a run that goes on has none."""


@dataclass(frozen=True, slots=True)
class BatchIntent:
    """A job that is about to be created, with its items: (seq, custom_id, reserved pico-dollars).

    Items with the same custom_id are a pack.
    """

    record: BatchRecord
    items: Sequence[tuple[int, str, int]]


@dataclass(frozen=True, slots=True)
class BatchSaved:
    """A job as it stands now. `released`: what its open requests come to; None: they stay open."""

    record: BatchRecord
    released: str | None = None


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What one request of a job came to, in one transaction: its attempt, and the results it brought."""

    number: int
    items: Sequence[tuple[int, str]]
    """(seq, `answered` or the type of its error)."""
    attempt: Attempt
    end: AttemptEnd
    results: Sequence[Result] = ()


Entry = (
    Attempt
    | AttemptEnd
    | Finish
    | Decision
    | CommandRecord
    | StateChange
    | BatchIntent
    | BatchSaved
    | BatchLine
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount:
    """One kind of trouble over the whole run."""

    error_type: str
    http_status: int | None
    count: int
    last_at: float | None
    last_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All counters of a run, over all its starts, so that a restart begins with them."""

    counts: RunCounts
    requests: int = 0
    """Attempts: calls sent, tries that failed included."""
    retries: int = 0
    """Attempts that were not the first of their item."""
    throttled_429: int = 0
    spent_pusd: int = 0
    unknown_cost: int = 0
    """Answered calls whose price is unknown: `spent_pusd` is a lower bound where this is not 0."""
    estimated: int = 0
    """Answered calls whose usage had to be estimated."""
    maybe_billed: int = 0
    """Calls whose answer was lost, not in `spent_pusd`."""
    maybe_billed_pusd: int = 0
    """What was reserved for them."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_hits: int = 0
    """Results that came from the cache."""
    dup_joined: int = 0
    """Results that are the answer to an identical request that was in flight."""
    saved_cache_pusd: int = 0
    """What the answers of both had cost."""
    checked: int = 0
    """Packed items whose answer was compared with one that they got alone."""
    agreed: int = 0
    """Those whose answers were the same."""
    batch_pusd: int = 0
    """Of what was spent: by batch jobs."""
    last_attempt_id: int = 0
    errors: tuple[ErrorCount, ...] = ()
    """Failed attempts by kind, most frequent first."""
