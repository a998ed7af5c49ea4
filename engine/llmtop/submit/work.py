"""An item on its way, and what a submitter needs from the outside.

The Protocols stand here, beside their callers: adapters fit them without knowing it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from llmtop.frozen import value
from llmtop.model import (
    Attempt,
    AttemptEnd,
    Item,
    ItemError,
    ItemPast,
    ItemStatus,
    ProviderError,
    RawReply,
    Reply,
    Result,
    WireRequest,
)
from llmtop.policy.limiter import Cost
from llmtop.policy.packing import PackReading
from llmtop.submit.gate import Lease


@dataclass(slots=True)
class Work:
    """One item between the source and its result, or several in a pack. Mutable: on one task at a time."""

    item: Item
    wire: WireRequest
    ready_at: float
    """Monotonic seconds; not sent before."""
    tries: int = 0
    """Tries used up: refusals do not count."""
    sends: int = 0
    refusals: int = 0
    """Sends in a row that used up no try."""
    refused_since: float | None = None
    cost_pusd: int = 0
    """Paid for it so far, failed tries included."""
    is_cost_known: bool = True
    first_sent_at: float = 0.0
    """Wall clock; 0: not yet."""
    asks: int = 0
    """Answers that the filters have judged."""
    cache_key: bytes | None = None
    """What its request is known by in the cache; None: it was not asked."""
    is_asked: bool = False
    """Whether the cache has been asked already."""
    is_alone: bool = False
    """Whether it goes in no pack any more."""
    parts: tuple[Work, ...] = ()
    """Of a pack: the works of its items, each as it would be alone; money and sends are counted there."""
    max_output_tokens: int | None = None
    """Of a pack: what its answer may have; None: no maximum."""
    is_check: bool = False
    """Whether its item has `packed_output` from a pack already, and this only asks whether it agrees."""
    packed_output: Any = None

    @property
    def members(self) -> tuple[Work, ...]:
        """The works of its items: itself, or the parts of a pack."""
        return self.parts or (self,)

    def remember(self, past: ItemPast) -> None:
        """Begin with what its item went through before."""
        self.sends, self.first_sent_at = past.sends, past.first_sent_at
        self.cost_pusd, self.is_cost_known = past.cost_pusd or 0, past.cost_pusd is not None

    def __lt__(self, other: Work) -> bool:
        """Order for the heap of waiting work: who is ready first, then who came first."""
        return (self.ready_at, self.item.seq) < (other.ready_at, other.item.seq)


@dataclass(slots=True)
class Flight:
    """A request on its way."""

    work: Work
    attempt: Attempt
    lease: Lease
    cost: Cost
    """Tokens as estimated."""
    started: float
    """Monotonic seconds: when it was granted, then when it left."""
    task: asyncio.Task[None] | None = None
    """Sends it, as soon as its attempt is on disk."""
    is_sent: bool = False
    """Whether its bytes may have left."""


@value(frozen=True, slots=True)
class Landed:
    """A request that has come back, for the table."""

    attempt: Attempt
    item_id: str
    latency_s: float
    tokens: int | None
    cost_pusd: int | None
    status: ItemStatus | None
    """What its item came to, or the first of a pack; None: asked again."""
    error: ItemError | None
    again_in_s: float | None = None
    items: int = 1
    done: int = 0
    rejected: int = 0
    """Of a pack's items; the rest was asked again."""
    is_same: bool | None = None
    """Of a check: whether its answer agrees with the pack's."""


HaltReason = Literal["budget", "refused", "throttled"]


@dataclass(frozen=True, slots=True)
class Halt:
    """Why nothing more can be sent until a person changes something."""

    reason: HaltReason
    message: str
    error: ItemError | None = None


class Feed(Protocol):
    """The items that still wait, in input order."""

    def take(self) -> Item | None:
        """Return the next item, or None when all have been given out."""

    def past(self, item: Item) -> ItemPast | None:
        """Return what a given-out item went through before; None: it was never sent."""

    def refill(self) -> bool:
        """Look again for items without a result: True when there are some. Only while all is at rest."""


class Exchange(Protocol):
    """One provider: an item in its words, over the wire and back."""

    @property
    def model(self) -> str:
        """The model that is asked."""

    def prepare(self, item: Item) -> WireRequest:
        """Put an item into the provider's words."""

    async def send(self, request: WireRequest) -> RawReply | ProviderError:
        """Send it; a failure is a value."""

    def read(self, raw: RawReply) -> Reply:
        """Read an answer, or name its error."""

    def accept(self, text: str) -> tuple[Any, ItemError | None]:
        """Turn an answer's text into the item's output, or say what is wrong with it."""

    def prepare_again(self, item: Item, explanation: str) -> WireRequest:
        """As `prepare`, with what was wrong with the answer before."""

    def prepare_pack(self, items: Sequence[Item]) -> tuple[WireRequest, int | None]:
        """Put several items into one request; return it and the output tokens that it may have."""

    def can_pack(self, item: Item) -> bool:
        """Whether the item can share a request with others."""

    def read_pack(self, text: str, ids: Sequence[str]) -> PackReading:
        """Tell the answers of a pack apart, by id."""

    def metadata(self, item: Item) -> dict[str, Any]:
        """Return the input fields that go with the result."""


class Books(Protocol):
    """The ledger, as far as a submitter writes it. `on_commit` runs in the event loop after the commit."""

    def next_attempt_id(self) -> int:
        """Return a number that no attempt of this run has had."""

    def begin(self, attempt: Attempt, on_commit: Callable[[], None]) -> None:
        """Write down that a request is about to leave."""

    def end(self, end: AttemptEnd) -> None:
        """Write down how it ended, where its item goes on."""

    def finish(self, result: Result, end: AttemptEnd | None, on_commit: Callable[[], None]) -> None:
        """Write down how it ended (None: nothing was sent) and what its item came to, in one transaction."""
