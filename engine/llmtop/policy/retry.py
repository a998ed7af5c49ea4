"""What follows an error: ask again and when, give the item up, or stop the run.

The caller counts and waits; nothing here knows a clock. The waits and stops are tenacity's
strategies, asked one decision at a time, since between two tries an item holds no slot, may be
paused, saved and taken up by another process: tenacity's own loop would have to live through that.

Back-off: min(30 s, 1 s * 2^(n-1)) * uniform(0.5, 1.5), never above `max_wait` (docs: control, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay, wait_exponential
from tenacity.wait import wait_base

from llmtop.config.schema import RetryConfig
from llmtop.model import ItemError, ProviderError

_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_JITTER = (0.5, 1.5)
_STALE_IN_A_ROW = 3
"""Dead kept-alive connections that one item may meet for nothing; then it is the item that kills them."""
_MISTAKE_AFTER = 3
"""Sends after which an unknown host or a certificate that is not trusted is a mistake in the config."""
_MISTAKES = frozenset({"dns", "certificate"})


class Rng(Protocol):
    """What is needed of `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""


@dataclass(frozen=True, slots=True)
class Again:
    """Ask again after `delay_s`, measured from now."""

    delay_s: float
    counts: bool
    """Whether the send used up one of the item's tries (`ProviderError.is_counted`)."""
    asked_s: float | None = None
    """The longer wait that the provider asked for, where `max_wait` cut it: worth a line to the user."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The item fails with this error; the run goes on."""

    error: ItemError


@dataclass(frozen=True, slots=True)
class StopRun:
    """Nothing more is to be asked until a person has mended something; no item fails."""

    error: ProviderError
    is_throttled: bool = False
    """True where it is not a refusal for good, but patience (`give_up_throttled_after`) that ended."""


RetryDecision = Again | GiveUp | StopRun


class RetryPolicy:
    """Decides by the table of docs/providers.md; the same `rng` gives the same waits. Keeps no state."""

    def __init__(self, config: RetryConfig, rng: Rng) -> None:
        self._max_wait_s = config.max_wait
        self._patience_s = config.give_up_throttled_after
        self._tries = Retrying(
            stop=stop_after_attempt(config.max_attempts), wait=_Backoff(config.max_wait, rng)
        )
        self._patience = Retrying(
            stop=stop_after_delay(config.give_up_throttled_after), wait=_Backoff(config.max_wait, rng)
        )

    def uses_up_a_try(self, error: ProviderError, refusals: int) -> bool:
        """Return whether `error` counts, behind `refusals` sends of the item in a row that did not."""
        return error.is_counted or (error.kind == "stale" and refusals >= _STALE_IN_A_ROW)

    def decide(
        self,
        error: ProviderError,
        tries_used: int,
        refused_for_s: float,
        refusals: int,
        *,
        has_ever_succeeded: bool,
    ) -> RetryDecision:
        """Return what follows `error`.

        tries_used: tries that the item has used up, this one included if it counted.
        refusals: its sends in a row that used up none (refused, unreachable, stale), this one included;
        0 where this one used up a try.
        refused_for_s: how long that row is; 0 at its first. has_ever_succeeded: any answer in this run.
        """
        if error.outcome.is_stop:
            return StopRun(error)
        if error.is_final:
            return GiveUp(error.error)
        if error.kind == "stale" and refusals:
            return Again(0.0, counts=False)
        if not error.is_counted and refusals:
            return self._uncounted(error, refused_for_s, refusals, has_ever_succeeded)
        state = _state(self._tries, max(1, tries_used), 0.0)
        if self._tries.stop(state):
            return GiveUp(error.error)
        return self._again(error, state, self._max_wait_s, counts=True)

    def _uncounted(
        self, error: ProviderError, refused_for_s: float, refusals: int, has_ever_succeeded: bool
    ) -> RetryDecision:
        """A refusal or an unreachable provider: the item loses no try, and patience bounds the run."""
        if error.kind in _MISTAKES and not has_ever_succeeded and refusals >= _MISTAKE_AFTER:
            return StopRun(error)
        state = _state(self._patience, max(1, refusals), refused_for_s)
        if self._patience.stop(state):
            return StopRun(error, is_throttled=True)
        longest_s = min(self._max_wait_s, self._patience_s - refused_for_s)
        return self._again(error, state, longest_s, counts=False)

    def _again(self, error: ProviderError, state: RetryCallState, longest_s: float, *, counts: bool) -> Again:
        """Obey the wait that was asked for, up to `longest_s`: beyond it one probe finds out."""
        asked = error.retry_after_s
        if asked is None or not asked > 0.0:
            own = state.retry_object.wait
            return Again(min(own(state), longest_s), counts=counts)
        if asked <= longest_s:
            return Again(asked, counts=counts)
        return Again(longest_s, counts=counts, asked_s=asked)


class _Backoff(wait_base):
    """Exponential back-off with jitter from the caller's own randomness, capped after the jitter."""

    def __init__(self, max_wait_s: float, rng: Rng) -> None:
        self._steps = wait_exponential(multiplier=_FIRST_BACKOFF_S, max=_LONGEST_BACKOFF_S)
        self._max_wait_s = max_wait_s
        self._rng = rng

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait after try `retry_state.attempt_number`."""
        return min(self._max_wait_s, self._steps(retry_state) * self._rng.uniform(*_JITTER))


def _state(rules: Retrying, attempt_number: int, since_start_s: float) -> RetryCallState:
    """Return the state that tenacity's strategies look at, with our own figures instead of its clock's."""
    state = RetryCallState(rules, fn=None, args=(), kwargs={})
    state.attempt_number = attempt_number
    state.start_time = 0.0
    state.outcome_timestamp = since_start_s
    return state
