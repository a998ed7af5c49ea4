"""The frozen values of batch jobs: what goes up, what a provider shows of a job, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from llmtop.model import ChatRequest, ItemError, Outcome, ProviderError, Reply

BatchState = Literal[
    "validating", "in_progress", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"
]
TERMINAL: frozenset[BatchState] = frozenset({"completed", "failed", "expired", "cancelled"})
"""States that never change again: an older answer that says otherwise is not believed."""


@dataclass(frozen=True, slots=True)
class InputForm:
    """How lines become the file of a job: `before` + lines joined by `between` + `after`."""

    before: bytes
    between: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a provider takes as one job."""

    max_requests: int
    max_bytes: int
    """Of the whole file."""
    has_tag: bool
    """Whether a job shows our tag again. Where not, one creation at a time may be in flight for a key."""
    keeps_partial: bool
    """Whether a job that expired or was cancelled returns what was done by then."""


@dataclass(frozen=True, slots=True)
class JobInput:
    """A file in the provider's form, ready to go up."""

    path: Path
    size_bytes: int
    requests: int
    model: str


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """What a provider shows of a job. None: it does not say. Times are epoch seconds."""

    id: str
    state: BatchState
    said_state: str
    """In the provider's own word."""
    tag: str | None = None
    """What we gave it at its creation."""
    input_file: str | None = None
    requests: int | None = None
    done: int | None = None
    failed: int | None = None
    created_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    results_until: float | None = None
    results: tuple[str, ...] = ()
    """Where the results are, in the provider's words; empty while there are none, or no more."""
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL

    @property
    def is_queue_full(self) -> bool:
        """Whether it failed only because too much was waiting: the same job may be created again later."""
        return self.error_code == "token_limit_exceeded"


@dataclass(frozen=True, slots=True)
class LineReply:
    """What one request of a job came to. Asking again helps unless the error says `is_final`."""

    custom_id: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class StrayLine:
    """A line of the results that cannot be read; the others are as good as ever."""

    number: int
    """From 1, in its file."""
    problem: str


class FetchBroken(Exception):
    """The results ended before their end, or could not be had: to be fetched again from the start."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.error.message)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One job as the ledger knows it. Money in pico-dollars, moments in epoch seconds; None: not known."""

    number: int
    """Unique in the run, from 1."""
    tag: str
    """Our name for it, at the provider too; every custom_id begins with it."""
    state: JobState
    model: str
    requests: int
    """Lines of its input; a pack is one."""
    input_bytes: int
    input_sha256: str
    tokens: int
    """Prompt tokens, estimated: what waits in the provider's queue."""
    reserved_pusd: int
    """Set aside when it was made; what was settled since is not taken off."""
    intended_at: float
    file_id: str | None = None
    uploaded_at: float | None = None
    """None too where the file goes with the creation."""
    batch_id: str | None = None
    created_at: float | None = None
    """While it has no id: when its creation was begun, if it was."""
    done: int | None = None
    """As the provider counts."""
    failed: int | None = None
    polled_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    results_until: float | None = None
    over_at: float | None = None
    """Retrieved, or given up: no line of it is waited for any more."""
    error: str | None = None
    items: int = 0
    """Of its requests."""
    retrieved: int = 0
    """Items whose line came to something."""
    cost_pusd: int = 0
    """Paid for its lines so far."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is waited for any more."""
        return self.over_at is not None


JobState = Literal[
    "intent", "held", "retrieved", "released",
    "validating", "in_progress", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled",
]  # fmt: skip
"""A provider's state, or: `intent` is not known at the provider yet, `held` may be there twice over and
waits for a person, `retrieved` is over, `released` gave its items back unasked."""


@dataclass(frozen=True, slots=True)
class OpenLine:
    """One item of a request of a job that has not come to anything yet, with what it went through before."""

    custom_id: str
    """Its request's; the items of a pack have the same."""
    seq: int
    reserved_pusd: int
    """Its share of what is set aside for the request."""
    sends: int
    first_sent_at: float
    """Of its item, wall clock; 0: never before."""
    lone_sends: int
    lone_tries: int
    """Sends without others that used up a try."""
    packed_sends: int
    packed_tries: int
    """Packs with it that came to an error as a whole."""
    asks: int
    """Answers that the filters have judged."""
    cost_pusd: int | None
    """Its shares of what was paid before; None: a price was unknown."""


class BatchProvider(Protocol):
    """The batch jobs of one provider, key and address. No retries, no waiting; failures are values."""

    name: str
    limits: BatchLimits
    form: InputForm

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """Return one request as a line of the input, without what stands between lines."""

    async def upload(self, job: JobInput) -> str | ProviderError | None:
        """Send the file up; return its id, None where the provider takes it with the creation.

        May be repeated: a file that is not used costs nothing.
        """

    async def create(self, job: JobInput, file_id: str | None, tag: str) -> RemoteBatch | ProviderError:
        """Create the job, once. `is_ambiguous` tells whether a failure may have made one all the same."""

    async def get(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Look at a job."""

    async def newest(self, since: float) -> tuple[RemoteBatch, ...] | ProviderError:
        """Return the jobs that were created at `since` (epoch seconds) or later, newest first."""

    def fetch(self, batch: RemoteBatch) -> AsyncIterator[LineReply | StrayLine]:
        """Yield the results in any order, doubles and strangers included. Raises FetchBroken."""

    async def cancel(self, batch_id: str) -> RemoteBatch | ProviderError:
        """Ask for the end of a job; what is done by then may still be fetched."""


_WRONG_FOR_GOOD = frozenset(
    {
        "model_not_found", "model_mismatch", "invalid_json_line", "duplicate_custom_id", "url_mismatch",
        "mismatched_url", "empty_file", "too_many_tasks", "missing_required_parameter", "invalid_method",
        "invalid_request", "unsupported_parameter", "unsupported_value", "INVALID_ARGUMENT", "NOT_FOUND",
        "PERMISSION_DENIED", "FAILED_PRECONDITION",
    }
)  # fmt: skip
_MONEY_GONE = frozenset({"billing_hard_limit_reached", "billing_not_active", "insufficient_quota"})


def failure_of(batch: RemoteBatch) -> ProviderError:
    """What each request of a job that failed came to: nothing was billed.

    A job that is wrong as it is would be again: that is for a person.
    """
    message = f"its batch job failed: {batch.error_message or batch.error_code or 'no reason was given'}"
    if batch.error_code in _MONEY_GONE:
        error, outcome = ItemError("quota_exhausted", message), Outcome.STOP_BILLING
    elif batch.error_code in _WRONG_FOR_GOOD:
        error, outcome = ItemError("bad_request", message), Outcome.STOP_ACCESS
    else:
        error, outcome = ItemError("server_error", message), Outcome.FAULT
    return ProviderError(error=error, outcome=outcome, is_sent=False)


def is_ambiguous(error: ProviderError) -> bool:
    """Whether a creation that failed so may have made a job: look for it before creating another."""
    status = error.error.http_status
    return error.is_sent and (status is None or status < 400 or status >= 500 or status in (408, 409))
