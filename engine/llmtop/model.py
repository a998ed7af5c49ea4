"""The frozen values that travel through a run: item -> request -> reply -> result.

Units come last in a name: `_s`, `_ms`, `_bytes`, `_pusd` (pico-dollars, 1e-12 USD: every
unit price per token is whole in them). A token is always an LLM token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from llmtop.frozen import value

PUSD_PER_USD = 10**12

ItemStatus = Literal["done", "rejected", "failed"]
Via = Literal["realtime", "batch", "cache"]
ErrorType = Literal[
    "rate_limit",
    "quota_exhausted",
    "authentication",
    "timeout",
    "connection",
    "bad_request",
    "context_length",
    "content_filter",
    "refusal",
    "truncated",
    "server_error",
    "overloaded",
    "invalid_response",
    "missing_in_pack",
    "budget_exceeded",
    "cancelled",
    "expired",
    "filtered",
]


class Outcome(StrEnum):
    """What an answer means to the limiter and the tuner."""

    OK = "ok"
    PARTIAL = "partial"
    REFUSED_RATE = "refused.rate"
    REFUSED_CONCURRENCY = "refused.concurrency"
    REFUSED_RAMP = "refused.ramp"
    REFUSED_OVERLOAD = "refused.overload"
    REFUSED_UNKNOWN = "refused.unknown"
    STOP_BILLING = "stop.billing"
    """Money, credit or a daily quota is gone: pause the lane and tell the user."""
    STOP_ACCESS = "stop.access"
    """Key, permission or model refused: as STOP_BILLING."""
    FAULT = "fault"
    TIMEOUT = "timeout"
    BAD = "bad"
    """This very request is wrong (400, 413, 422): its item fails, nothing else reacts."""

    @property
    def is_refusal(self) -> bool:
        """Whether the provider would not start the request: it used up no try of its item."""
        return self.startswith("refused.")

    @property
    def is_stop(self) -> bool:
        """Whether only a person can mend it."""
        return self.startswith("stop.")


@value(frozen=True, slots=True)
class Item:
    """One unit of input.

    `fields` is the parsed line. `kind` says what it is: plain fields for the prompt template,
    ready `messages`, or the body of an OpenAI-batch or Anthropic-batch line.
    """

    seq: int
    """Position in the input, from 0."""
    id: str
    fields: Mapping[str, Any]
    kind: Literal["fields", "messages", "openai", "anthropic"] = "fields"
    line: int = 0
    """Line number in the input file, from 1."""


@value(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. Input includes cached tokens, output includes reasoning tokens."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    is_estimated: bool = False
    """True where the provider reported none, or nonsense (promise M7)."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why an item failed or was rejected."""

    type: ErrorType
    message: str
    http_status: int | None = None


@value(frozen=True, slots=True)
class ChatRequest:
    """What is asked, before it is put into a provider's words."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    temperature: float | None = None
    max_output_tokens: int | None = None
    response_format: Literal["text", "json", "schema"] = "text"
    schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    raw_body: Mapping[str, Any] | None = None
    """A ready request body from the input: taken as is, only the model is filled in where it has none."""


@value(frozen=True, slots=True)
class WireRequest:
    """What goes over the wire. The key is not in it: the transport adds it at the last moment."""

    path: str
    """Joined to `provider.base_url`."""
    body: bytes
    headers: Mapping[str, str]


@value(frozen=True, slots=True)
class LimitHeaders:
    """What the answer's headers say about one limit (None: not said)."""

    resource: Literal["requests", "input_tokens", "output_tokens", "total_tokens"]
    limit: float | None
    remaining: float | None
    reset_s: float | None
    window_s: float = 60.0


@value(frozen=True, slots=True)
class Answer:
    """A usable answer of the provider."""

    text: str
    finish_reason: str
    model: str
    usage: Usage | None
    """None where the provider reported none: unknown, not 0."""
    cost_pusd: int | None = None
    """The price of this call, where the provider reports it (OpenRouter's `usage.cost`)."""
    limits: tuple[LimitHeaders, ...] = ()
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An answer that is not usable, or none at all, by its name."""

    error: ItemError
    outcome: Outcome
    retry_after_s: float | None = None
    """What the provider asked for, as it said it; None where it said nothing readable."""
    scope: Literal["requests", "tokens", "concurrency"] | None = None
    """Which limit the refusal named, if it named one."""
    usage: Usage | None = None
    """Tokens that were billed all the same (a truncated or blank answer)."""
    cost_pusd: int | None = None
    limits: tuple[LimitHeaders, ...] = ()
    request_id: str | None = None
    is_sent: bool = True
    """False only where it is certain that no byte reached the provider."""
    is_counted: bool = True
    """Whether it uses up one of the item's tries (`retry.max_attempts`)."""
    is_final: bool = False
    """True where asking again cannot help: the item fails with this error at once."""
    kind: Literal["", "dns", "certificate", "redirect", "stale"] = ""
    """What went wrong below the answer: host not found, TLS not trusted, a 3xx, or a kept-alive
    connection that died before a byte of the answer came."""
    text: str = ""
    """What a truncated answer says up to where it was cut: whole entries of a pack in it are good."""


Reply = Answer | ProviderError


@value(frozen=True, slots=True)
class RawReply:
    """An HTTP answer as it came: status, headers with lower-case names, decoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@value(frozen=True, slots=True)
class Attempt:
    """One try to get an answer: written before the bytes leave, settled when the outcome is known."""

    id: int
    """Unique in the run, from 1."""
    seq: int
    """The item it is for."""
    number: int
    """Which send of that item, from 1, refused ones included."""
    started_at: float
    """Wall clock, seconds since the epoch."""
    reserved_pusd: int = 0
    packed: tuple[int, ...] = ()
    """The other items of a pack, by seq."""


@value(frozen=True, slots=True)
class ItemPast:
    """What an item without a result went through before, in this start or an earlier one."""

    sends: int
    cost_pusd: int | None
    """Its shares of what was paid for it; None: a price was unknown."""
    first_sent_at: float
    """Wall clock, seconds since the epoch."""


@value(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended."""

    id: int
    outcome: Outcome
    ended_at: float
    latency_ms: int
    http_status: int | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None
    retry_after_s: float | None = None
    usage: Usage | None = None
    cost_pusd: int | None = None
    """None: unknown price."""
    is_maybe_billed: bool = False
    """The answer was lost: the provider may have billed it (promise M6)."""
    request_id: str | None = None
    body: bytes | None = None
    """The raw answer, cut to what the ledger keeps."""
    is_same: bool | None = None
    """Of a check: whether the item's answer alone agrees with the one in its pack; None: no check."""
    owed: tuple[tuple[int, int | None], ...] = ()
    """(seq, pico-dollars or None) of items that go on: shares of the cost, for results to come."""
    asked_again: tuple[tuple[int, tuple[Mapping[str, Any], ...]], ...] = ()
    """(seq, what the filters did) of answers that a filter rejected and whose items are asked again."""


@value(frozen=True, slots=True)
class Result:
    """What an item came to."""

    seq: int
    id: str
    status: ItemStatus
    output: Any
    error: ItemError | None
    finish_reason: str | None
    usage: Usage
    cost_pusd: int | None
    """All that was paid for this item, failed tries included; None: unknown price."""
    model: str
    via: Via
    attempts: int
    latency_ms: int | None
    started_at: float
    finished_at: float
    pack_id: str | None = None
    batch_id: str | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] | None = None
    saved_pusd: int | None = None
    """What the answer did cost when it was bought, where it came from the cache; None: unknown price."""
    is_joined: bool = False
    """Whether it is the answer to an identical request that was in flight."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One change of a set-point or state, with its reason: the ledger, the log and the screen show it."""

    at: float
    """Wall clock, seconds since the epoch."""
    what: str
    """`concurrency`, `rate:req`, `rate:total`, `pack`, `hold`, `mode`, `breaker`, `budget`, `state`,
    `memory`, `retry` ..."""
    old: str
    new: str
    why: str
    by: str
    """`tuner`, `server`, `guard`, `config`, or `operator@host`."""


CommandVerb = Literal[
    "pause", "hold", "resume", "cancel", "stop", "stop_now", "set", "retry", "cancel_job", "look_up"
]


@dataclass(frozen=True, slots=True)
class Command:
    """Something that an operator asks of a live run.

    pause: soft, calls in flight land · hold: pause at once, calls in flight go back to the queue ·
    stop: as the first Ctrl-C · stop_now: as the second · cancel: end for good, keep what is finished ·
    set: `values` by the key names of `llmtop set` · retry: `values` holds `failed`, `rejected` (bool),
    `ids` (list) · cancel_job, look_up: `values` holds `job`, a batch job's id, tag or number.
    """

    verb: CommandVerb
    origin: str
    """`user@host`."""
    values: Mapping[str, Any] | None = None
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that a command changed."""

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the engine says to a command: done or refused, and what changed. All or nothing."""

    is_ok: bool
    message: str
    """One sentence for the status line."""
    changes: tuple[Change, ...] = ()
    version: int = 0
    """The first snapshot version that shows the effect."""


@value(frozen=True, slots=True)
class RunCounts:
    """Items by what they came to."""

    total: int
    done: int = 0
    rejected: int = 0
    failed: int = 0

    @property
    def finished(self) -> int:
        """Items with a result."""
        return self.done + self.rejected + self.failed

    @property
    def pending(self) -> int:
        """Items without a result yet."""
        return self.total - self.finished
