"""Batch jobs, decided: how many items make one, when to look at it again, whether it is there at all.

Pure: `now` and `rng` are arguments. Times in seconds, moments in epoch seconds. The rules follow
what the providers document; docs/batches.md says which.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from llmtop.batch_jobs import RemoteBatch
from llmtop.model import ProviderError

BYTES_SHARE = 0.95
"""Of the provider's limit: it may count multipart borders and line ends in."""
SLOWEST_POLL_S = 60.0
_POLL_PART_OF_AGE = 0.05
_POLL_JITTER = 0.2
_POLL_PART_OF_REST = 0.5
_CLOCKS_DIFFER_S = 60.0
_LOOKS_TO_BE_SURE = 4
_LOST_AFTER_S = 600.0
_UNREADABLE_AFTER_S = 86_400.0
_GONE_LOOKS = 6
AUTO_ITEMS = 1000
"""From so many items on `auto` takes the batch API."""


class Rng(Protocol):
    """What is needed of `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""


# -- how many items make one ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What one job may hold, and what may wait at the provider in all."""

    max_requests: int
    max_bytes: int
    """Of the whole file, as the provider states it."""
    max_enqueued_tokens: int | None = None


@dataclass(slots=True)
class Filling:
    """A job that is being filled. `enqueued_tokens`: of our jobs that are open at the provider."""

    limits: JobLimits
    overhead_bytes: int
    """Of the file beside its lines."""
    between_bytes: int
    enqueued_tokens: int = 0
    requests: int = 0
    tokens: int = 0
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = self.overhead_bytes

    def takes(self, line_bytes: int, tokens: int) -> bool:
        """Whether one more line fits. The first one always fits the tokens when nothing else waits."""
        if self.requests >= self.limits.max_requests:
            return False
        if self.size_bytes + self.between_bytes + line_bytes > BYTES_SHARE * self.limits.max_bytes:
            return False
        most = self.limits.max_enqueued_tokens
        if most is None or (not self.requests and not self.enqueued_tokens):
            return True
        return self.enqueued_tokens + self.tokens + tokens <= most

    def add(self, line_bytes: int, tokens: int) -> None:
        """Count a line that was taken."""
        self.size_bytes += line_bytes + (self.between_bytes if self.requests else 0)
        self.requests += 1
        self.tokens += tokens

    def is_too_large(self, line_bytes: int) -> bool:
        """Whether no job at all could hold the line."""
        return self.overhead_bytes + line_bytes > BYTES_SHARE * self.limits.max_bytes


# -- when to look again ----------------------------------------------------------------------


def poll_delay(
    age_s: float, shortest_s: float, rng: Rng, *, done: int | None = None, requests: int = 0
) -> float:
    """Return the wait before the next look at a job.

    It grows with the age of the job to a minute (or `shortest_s`, where that is more). Where the
    counts say that the end is near the wait is half of what is left. Jitter only makes it longer.
    """
    delay_s = min(max(shortest_s, _POLL_PART_OF_AGE * age_s), max(SLOWEST_POLL_S, shortest_s))
    if done and requests and age_s > 0:
        left_s = age_s * max(0, requests - done) / done
        delay_s = max(shortest_s, min(delay_s, _POLL_PART_OF_REST * left_s))
    return delay_s * rng.uniform(1.0, 1.0 + _POLL_JITTER)


def backoff(failures: int, shortest_s: float, rng: Rng) -> float:
    """Return the wait after so many failed calls in a row: doubled each time, up to a minute."""
    delay_s = min(shortest_s * 2.0 ** min(max(0, failures - 1), 30), max(SLOWEST_POLL_S, shortest_s))
    return delay_s * rng.uniform(1.0, 1.0 + _POLL_JITTER)


@dataclass(slots=True)
class Patience:
    """How long a provider that takes nothing new is asked again. Seconds of a clock that never jumps."""

    most_s: float
    refusals: int = 0
    """In a row."""
    _since: float = 0.0

    def is_over(self, now: float) -> bool:
        """Note one more refusal; True: they have lasted for so long that a person has to look."""
        if not self.refusals:
            self._since = now
        self.refusals += 1
        return now - self._since >= self.most_s

    def eased(self) -> None:
        """Something was taken, or what fills the queue is our own: the row is over."""
        self.refusals = 0


def are_results_lost(first_failed_at: float, now: float, looks: int, *, is_gone: bool) -> bool:
    """Whether results that could not be read `looks` times will never be. `is_gone`: the last said 404.

    They are paid for: an outage, or a file that breaks off, is waited for as long as a job may take.
    """
    return looks >= _GONE_LOOKS if is_gone else now - first_failed_at >= _UNREADABLE_AFTER_S


def is_lost(first_missed_at: float | None, now: float) -> bool:
    """Whether a job that cannot be found has been missing for so long that it is no weather any more."""
    return first_missed_at is not None and now - first_missed_at >= _LOST_AFTER_S


# -- whether it is there at all --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A creation whose outcome is unknown."""

    tag: str
    file_id: str | None
    requests: int
    intended_at: float
    has_tag: bool
    """Whether the provider shows tags."""

    @property
    def since(self) -> float:
        """From when on jobs are to be listed: clocks differ."""
        return self.intended_at - _CLOCKS_DIFFER_S


@dataclass(frozen=True, slots=True)
class Adopt:
    """It is there. `is_proven`: by tag or file; otherwise only its results will prove it."""

    batch_id: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Not seen yet: a young job may be missing from the list."""


@dataclass(frozen=True, slots=True)
class NotThere:
    """It was never created: it may be created now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It cannot be told: a person has to say."""

    why: str


Reconciled = Adopt | LookAgain | NotThere | Hold


def reconcile(
    intent: Intent,
    listed: Sequence[RemoteBatch],
    known_ids: Collection[str],
    looks: int,
    *,
    is_late: bool,
) -> Reconciled:
    """Find the job of an intent in the provider's list. `looks`: how often it was listed, this included.

    `is_late`: whether a job that exists would be in the list by now, however young. `known_ids` are
    jobs that are known to be another's. Where the provider shows neither tag nor file (Anthropic), a
    job that nobody knows, of the right size and time, is taken on trust.
    """
    proven = next((seen for seen in listed if _is_named(intent, seen)), None)
    if proven is not None:
        return Adopt(proven.id, is_proven=True)
    if not intent.has_tag and intent.file_id is None:
        alike = [seen for seen in listed if seen.id not in known_ids and _is_alike(intent, seen)]
        if len(alike) == 1:
            return Adopt(alike[0].id, is_proven=False)
        if alike:
            names = ", ".join(seen.id for seen in alike[:3])
            return Hold(f"{len(alike)} jobs of the provider could be it: {names}")
    return NotThere() if is_late and looks >= _LOOKS_TO_BE_SURE else LookAgain()


def _is_named(intent: Intent, seen: RemoteBatch) -> bool:
    if seen.tag is not None and seen.tag == intent.tag:
        return True
    return intent.file_id is not None and seen.input_file == intent.file_id


def _is_alike(intent: Intent, seen: RemoteBatch) -> bool:
    is_in_time = seen.created_at is None or seen.created_at >= intent.since
    return is_in_time and seen.requests in (None, intent.requests)


# -- what is left of time --------------------------------------------------------------------


def countdown_words(
    now: float, *, expires_at: float | None, results_until: float | None, is_terminal: bool
) -> str:
    """Say how long it may still take, or how long its results can be had; empty where nothing is known."""
    if is_terminal:
        return "" if results_until is None else f"results kept {_span(results_until - now)}"
    return "" if expires_at is None else f"expires in {_span(expires_at - now)}"


def _span(seconds: float) -> str:
    if seconds <= 0:
        return "no longer"
    if seconds >= 2 * 86400:
        return f"{seconds / 86400:.0f} d"
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{max(1.0, seconds / 60):.0f} min"


# -- which way -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """What `auto` chose, and why, in a sentence."""

    mode: Literal["realtime", "batch"]
    why: str


REALTIME = Way("realtime", "")
"""Nobody said otherwise."""


def choose_way(
    items: int,
    *,
    has_batches: bool,
    batch_factor: float | None,
    deadline_s: float | None,
    window_s: float,
    has_checks: bool,
) -> Way:
    """Choose between realtime and the batch API by size, price and deadline.

    `batch_factor`: batch price over realtime price, None: not known. `window_s`: how long a job may take.
    `has_checks`: packed items are to be asked again alone.
    """
    if not has_batches:
        return Way("realtime", "this provider has no batch API that is known here")
    if deadline_s is not None and deadline_s < window_s:
        return Way(
            "realtime",
            f"the answers are wanted within {_span(deadline_s)}, and a batch may take {_span(window_s)}",
        )
    if has_checks:
        return Way("realtime", "pack_check asks a sample again at once, which only realtime does")
    if items < AUTO_ITEMS:
        return Way("realtime", f"{items:,} items are soon done; from {AUTO_ITEMS:,} on a batch is taken")
    if batch_factor is not None and batch_factor >= 1.0:
        return Way("realtime", "a batch costs no less for this model")
    price = "half the price as a rule" if batch_factor is None else f"{batch_factor:.0%} of the price"
    return Way("batch", f"{items:,} items that nobody waits for, at {price}")


# -- one request of a job --------------------------------------------------------------------

_SENDS_A_TRY = 3


def after_line(error: ProviderError, tries: int, sends: int, max_attempts: int) -> Literal["again", "fail"]:
    """Return what follows the error of one request: another job, or the end of its item.

    `tries` and `sends` are the item's, this one included; an expiry is a try. Refusals and
    cancellations are none, but even they are bounded: a run ends.
    """
    if error.is_final and not error.outcome.is_stop:
        return "fail"
    if error.outcome.is_stop:
        return "again"
    return "fail" if tries >= max_attempts or sends >= _SENDS_A_TRY * max_attempts else "again"
