"""By whose authority a rate is enforced, and the cooldown of a lane without a tuner."""

from __future__ import annotations

import math

import pytest

from llmtop.config.schema import LimitsConfig
from llmtop.policy.limiter import Cooldown, Limiter, Rate, Rates, Resource


def rates() -> Rates:
    return Rates(margin=0.995, request_burst_s=0.1, token_burst_s=2.0)


def test_nothing_is_limited_until_somebody_says_so() -> None:
    assert rates().enforced() == {}


def test_a_declared_rate_is_enforced_a_little_below_its_value_with_a_small_burst() -> None:
    known = rates()
    known.declare_all(LimitsConfig(requests_per_minute=600, tokens_per_minute=60_000))

    assert known.effective(Resource.REQ) == Rate(pytest.approx(9.95), pytest.approx(1.995), "declared")
    assert known.effective(Resource.TOTAL) == Rate(pytest.approx(995.0), pytest.approx(1990.0), "declared")


def test_a_stated_burst_is_lowered_by_what_may_arrive_together() -> None:
    known = rates()
    known.declare_all(LimitsConfig(requests_per_second=2.0, burst=2.0))

    rate = known.effective(Resource.REQ)

    assert rate is not None
    assert rate.capacity == pytest.approx(2.0 - 0.05 * 1.99)


def test_the_users_word_goes_before_the_providers_and_both_cap_what_is_learned() -> None:
    known = rates()
    assert known.report(Resource.REQ, 10.0)
    assert not known.report(Resource.REQ, 10.0), "no news"
    known.learn(Resource.REQ, 20.0)
    assert known.effective(Resource.REQ).per_s == pytest.approx(9.95)  # type: ignore[union-attr]

    known.declare(Resource.REQ, 5.0)
    assert not known.report(Resource.REQ, 8.0), "the user has said another"
    assert known.effective(Resource.REQ).per_s == pytest.approx(4.975)  # type: ignore[union-attr]

    known.learn(Resource.REQ, 3.0)
    assert known.effective(Resource.REQ).origin == "learned"  # type: ignore[union-attr]


def test_a_pin_stands_against_what_is_learned_until_it_is_taken_away() -> None:
    known = rates()
    known.declare(Resource.REQ, 5.0, is_pinned=True)
    known.learn(Resource.REQ, 1.0)
    assert known.effective(Resource.REQ).origin == "pinned"  # type: ignore[union-attr]

    known.unpin(Resource.REQ)

    assert known.effective(Resource.REQ).per_s == 1.0  # type: ignore[union-attr]


def test_a_limit_that_is_taken_away_limits_no_more() -> None:
    known, limiter = rates(), Limiter(5)
    known.declare(Resource.REQ, 5.0)
    known.apply(0.0, limiter)
    assert len(limiter.buckets) == 1

    known.declare(Resource.REQ, None)
    known.apply(0.0, limiter)

    assert limiter.buckets == ()


@pytest.mark.parametrize("asked, held", [(0.4, 0.4), (7.0, 7.0), (500.0, 60.0)])
def test_a_wait_that_is_asked_for_is_kept_up_to_the_longest(asked: float, held: float) -> None:
    assert Cooldown(60.0).refused(10.0, 9.0, asked) == held


@pytest.mark.parametrize("unreadable", [None, 0.0, -3.0, math.inf, math.nan])
def test_without_a_readable_wait_it_doubles_with_every_episode_and_starts_anew_after_success(
    unreadable: float | None,
) -> None:
    cooldown = Cooldown(5.0)

    assert [cooldown.refused(10.0 * n, 10.0 * n - 1, unreadable) for n in range(1, 6)] == [
        1.0,
        2.0,
        4.0,
        5.0,
        5.0,
    ]
    cooldown.accepted(sent_at=55.0)

    assert cooldown.refused(60.0, 59.0, unreadable) == 1.0


def test_a_burst_of_refusals_is_one_episode() -> None:
    cooldown = Cooldown(60.0)
    assert cooldown.refused(10.0, 9.0, None) == 1.0

    assert [cooldown.refused(10.1, 9.5, None) for _ in range(50)] == [None] * 50
