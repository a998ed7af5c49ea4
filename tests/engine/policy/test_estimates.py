"""Token estimates before a call."""

from __future__ import annotations

import random

import pytest

from llmtop.policy.estimates import TokenEstimates


def test_before_the_first_answer_a_token_is_three_bytes_and_the_answer_is_as_long_as_allowed() -> None:
    estimate = TokenEstimates().estimate("m", "t", 3000, max_output_tokens=300)

    assert estimate.input_tokens == pytest.approx(1000.0)
    assert estimate.input_tokens_p95 > estimate.input_tokens
    assert estimate.output_tokens == 300.0


def test_the_estimate_comes_to_within_three_per_cent_of_uniform_work() -> None:
    estimates, rng = TokenEstimates(), random.Random(1)
    for _ in range(200):
        size = rng.randrange(500, 5000)
        estimates.observe("m", "t", size, int(size / 4.3 * rng.uniform(0.95, 1.05)), 80)

    estimate = estimates.estimate("m", "t", 4300)

    assert estimate.input_tokens == pytest.approx(1000.0, rel=0.03)
    assert estimate.output_tokens == pytest.approx(80.0, rel=0.01)


def test_the_reserve_covers_nineteen_of_twenty_requests() -> None:
    estimates, rng = TokenEstimates(), random.Random(2)
    covered = 0
    for number in range(2000):
        size, tokens = 2000, int(500 * rng.gauss(1.0, 0.1))
        if number >= 100:
            covered += tokens <= estimates.estimate("m", "t", size).input_tokens_p95
        estimates.observe("m", "t", size, tokens, 10)

    assert 0.92 <= covered / 1900 <= 0.985


def test_models_and_templates_do_not_mix() -> None:
    estimates = TokenEstimates()
    estimates.observe("m", "t", 1000, 500, 10)

    assert estimates.estimate("m", "u", 1000).input_tokens == pytest.approx(1000 / 3)
    assert estimates.estimate("n", "t", 1000).input_tokens == pytest.approx(1000 / 3)


@pytest.mark.parametrize("reported", [0, -5, 10**9])
def test_a_number_that_makes_no_sense_teaches_nothing(reported: int) -> None:
    estimates = TokenEstimates()
    estimates.observe("m", "t", 300, reported, -1)

    assert estimates.estimate("m", "t", 300).input_tokens == pytest.approx(100.0)


def test_output_is_learned_per_item_and_never_beyond_the_maximum() -> None:
    estimates = TokenEstimates()
    for _ in range(300):
        estimates.observe("m", "t", 1000, 300, 400, items=4)

    assert estimates.estimate("m", "t", 1000, items=8).output_tokens == pytest.approx(800.0)
    assert estimates.estimate("m", "t", 1000, items=8, max_output_tokens=500).output_tokens == 500.0
