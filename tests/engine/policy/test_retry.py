"""What follows an error, by the table of docs/providers.md."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.config.schema import RetryConfig
from llmtop.model import ItemError, Outcome, ProviderError
from llmtop.policy.retry import Again, GiveUp, RetryDecision, RetryPolicy, StopRun

FAULT = ProviderError(ItemError("server_error", "boom", 500), Outcome.FAULT)
REFUSED = ProviderError(ItemError("rate_limit", "slow", 429), Outcome.REFUSED_RATE, is_counted=False)
BAD = ProviderError(ItemError("bad_request", "wrong", 400), Outcome.BAD, is_final=True)
STALE = ProviderError(ItemError("connection", "gone"), Outcome.FAULT, is_counted=False, kind="stale")
UNREACHABLE = ProviderError(
    ItemError("connection", "refused"), Outcome.FAULT, is_sent=False, is_counted=False
)
NO_HOST = ProviderError(
    ItemError("connection", "host"), Outcome.FAULT, is_sent=False, is_counted=False, kind="dns"
)


class Middle:
    """Jitter without chance: the middle of the range."""

    def uniform(self, a: float, b: float, /) -> float:
        return (a + b) / 2


def decide(
    error: ProviderError,
    *,
    tries: int = 1,
    refused_for_s: float = 0.0,
    refusals: int = 1,
    has_ever_succeeded: bool = True,
    config: RetryConfig | None = None,
) -> RetryDecision:
    policy = RetryPolicy(
        config or RetryConfig(max_attempts=6, max_wait=60, give_up_throttled_after=7200), Middle()
    )
    return policy.decide(error, tries, refused_for_s, refusals, has_ever_succeeded=has_ever_succeeded)


def asking(error: ProviderError, seconds: float | None) -> ProviderError:
    return ProviderError(error.error, error.outcome, retry_after_s=seconds, is_counted=error.is_counted)


def test_an_error_that_asking_again_cannot_help_fails_its_item_at_once() -> None:
    assert decide(BAD) == GiveUp(BAD.error)


@pytest.mark.parametrize("outcome", [Outcome.STOP_ACCESS, Outcome.STOP_BILLING])
def test_what_only_a_person_can_mend_stops_the_run_and_fails_no_item(outcome: Outcome) -> None:
    error = ProviderError(ItemError("authentication", "no", 401), outcome, is_counted=False)

    assert decide(error, tries=6) == StopRun(error)


def test_faults_are_tried_again_until_the_tries_are_used_up() -> None:
    assert isinstance(decide(FAULT, tries=5), Again)
    assert decide(FAULT, tries=6) == GiveUp(FAULT.error)


def test_one_try_means_no_second_one() -> None:
    assert decide(FAULT, tries=1, config=RetryConfig(max_attempts=1)) == GiveUp(FAULT.error)


def test_waits_double_from_one_second_to_thirty() -> None:
    waits = [decide(FAULT, tries=n, config=RetryConfig(max_attempts=99)) for n in range(1, 9)]

    assert waits == [Again(float(s), counts=True) for s in (1, 2, 4, 8, 16, 30, 30, 30)]


def test_a_refusal_never_uses_up_a_try() -> None:
    for refusals in (1, 7, 500):
        decision = decide(REFUSED, tries=6, refusals=refusals)

        assert isinstance(decision, Again) and not decision.counts


@pytest.mark.parametrize("error", [REFUSED, FAULT])
def test_a_wait_that_was_asked_for_is_kept_to_the_second(error: ProviderError) -> None:
    decision = decide(asking(error, 42.5))

    assert isinstance(decision, Again)
    assert (decision.delay_s, decision.asked_s) == (42.5, None)


def test_a_wait_above_the_longest_is_cut_to_it_and_reported() -> None:
    assert decide(asking(REFUSED, 3600.0)) == Again(60.0, counts=False, asked_s=3600.0)


@pytest.mark.parametrize("asked", [None, 0.0, -1.0, float("nan")])
def test_without_a_readable_wait_it_is_our_own(asked: float | None) -> None:
    assert decide(asking(REFUSED, asked), refusals=3) == Again(4.0, counts=False)


def test_throttling_ends_the_run_when_patience_is_over() -> None:
    config = RetryConfig(give_up_throttled_after=100.0)

    assert isinstance(decide(REFUSED, refused_for_s=99.0, config=config), Again)
    assert decide(REFUSED, refused_for_s=100.0, config=config) == StopRun(REFUSED, is_throttled=True)


def test_the_last_wait_before_patience_ends_is_cut_to_what_is_left_of_it() -> None:
    config = RetryConfig(give_up_throttled_after=100.0)

    assert decide(asking(REFUSED, 60.0), refused_for_s=90.0, config=config) == Again(
        10.0, counts=False, asked_s=60.0
    )


def test_a_dead_kept_alive_connection_is_asked_again_at_once_and_uses_up_no_try() -> None:
    assert [decide(STALE, refusals=n) for n in (1, 2, 3)] == [Again(0.0, counts=False)] * 3


def test_an_item_that_kills_every_kept_alive_connection_uses_up_tries_and_fails() -> None:
    policy = RetryPolicy(RetryConfig(), Middle())

    assert [policy.uses_up_a_try(STALE, n) for n in range(5)] == [False, False, False, True, True]
    assert decide(STALE, refusals=0, tries=2) == Again(2.0, counts=True)
    assert decide(STALE, refusals=0, tries=6) == GiveUp(STALE.error)


def test_a_refusal_is_no_try_of_the_item_that_it_met() -> None:
    policy = RetryPolicy(RetryConfig(), Middle())

    assert not any(policy.uses_up_a_try(error, 10_000) for error in (REFUSED, UNREACHABLE, NO_HOST))


def test_an_unreachable_provider_fails_no_item_for_as_long_as_patience_lasts() -> None:
    decision = decide(UNREACHABLE, tries=6, refusals=200, refused_for_s=7000.0)

    assert isinstance(decision, Again) and not decision.counts
    assert decide(UNREACHABLE, refused_for_s=7200.0) == StopRun(UNREACHABLE, is_throttled=True)


def test_an_unknown_host_before_any_success_is_a_mistake_in_the_config() -> None:
    assert isinstance(decide(NO_HOST, refusals=2, has_ever_succeeded=False), Again)
    assert decide(NO_HOST, refusals=3, has_ever_succeeded=False) == StopRun(NO_HOST)


def test_an_unknown_host_after_a_success_is_weather() -> None:
    assert isinstance(decide(NO_HOST, refusals=300, has_ever_succeeded=True), Again)


def test_the_same_seed_gives_the_same_waits() -> None:
    first, second = (RetryPolicy(RetryConfig(), random.Random(7)) for _ in range(2))

    for n in range(1, 6):
        one = first.decide(FAULT, n, 0.0, 0, has_ever_succeeded=True)
        assert one == second.decide(FAULT, n, 0.0, 0, has_ever_succeeded=True)


@given(
    st.sampled_from([FAULT, REFUSED, STALE, UNREACHABLE, NO_HOST]),
    st.none() | st.floats(),
    st.integers(0, 10_000),
    st.floats(0, 1e9),
    st.integers(0, 10_000),
    st.floats(0.01, 1e6),
    st.booleans(),
)
def test_no_wait_is_negative_or_above_the_longest(
    error: ProviderError,
    asked: float | None,
    tries: int,
    refused_for_s: float,
    refusals: int,
    max_wait: float,
    has_ever_succeeded: bool,
) -> None:
    policy = RetryPolicy(RetryConfig(max_wait=max_wait), random.Random(1))

    decision = policy.decide(
        asking(error, asked), tries, refused_for_s, refusals, has_ever_succeeded=has_ever_succeeded
    )

    if isinstance(decision, Again):
        assert 0.0 <= decision.delay_s <= max_wait
