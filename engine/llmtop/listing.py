"""A run's items as a list shows them: which page is asked for, its rows, one item with everything.

Plain values between the ledger's reader, the control door and the screens. None means not known
(yet). Text in them was written by others: whoever draws it cleans it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from llmtop.model import RunCounts

ItemState = Literal["pending", "in_flight", "done", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Which page of a run's items. States empty: all. `after_seq` continues behind that item."""

    states: tuple[ItemState, ...] = ()
    error_type: str | None = None
    search: str | None = None
    """Part of an id or of the output."""
    after_seq: int = -1
    limit: int = 100
    before_seq: int | None = None
    """The page that ends before this item, instead of one that begins behind `after_seq`."""
    of_row: str | None = None
    """Only the items of one request, pack or batch job, by the key of its row in the snapshot: `p00827`."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item in a list. None: not known (yet)."""

    seq: int
    id: str
    state: ItemState
    attempts: int
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_pusd: int | None
    error_type: str | None
    error_message: str | None
    finished_at: float | None
    preview: str
    """The start of the output, as it came."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Rows in input order; `next_after_seq` is None on the last page.

    Of a query with `before_seq` it is the next page's `before_seq`, and None on the first page.
    """

    rows: tuple[ItemRow, ...]
    next_after_seq: int | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One send of an item. `outcome` is None while it is open or when its answer was lost."""

    id: int
    number: int
    started_at: float
    ended_at: float | None
    outcome: str | None
    http_status: int | None
    error_type: str | None
    error_message: str | None
    retry_after_s: float | None
    latency_ms: int | None
    cost_pusd: int | None
    is_maybe_billed: bool
    request_id: str | None
    body: str | None
    """The raw answer (text, cut to what the ledger keeps)."""


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """Everything about one item."""

    row: ItemRow
    messages: tuple[dict[str, Any], ...] | None
    """The prompt as sent; None when the input can no longer be read."""
    messages_note: str
    """Why there is no prompt, or that the input changed since."""
    result: dict[str, Any] | None
    """The result line of `interface.md` section 4."""
    attempts: tuple[AttemptRow, ...]


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What requests of a batch job came to."""

    name: str
    """`open`, `answered`, `released` (given back unasked) or an `error.type`."""
    count: int
    last_at: float | None
    last_message: str
    """Of the last error; "" where it is none."""


@dataclass(frozen=True, slots=True)
class JobDetail:
    """What the ledger knows of the requests of one batch job."""

    number: int
    counts: RunCounts
    """Its items by what they have come to by now, here or elsewhere."""
    outcomes: tuple[JobOutcome, ...]
    """What its requests came to, those in trouble first, then by their number."""
