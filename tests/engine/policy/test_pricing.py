"""Usage to money: exact, and nonsense never lowers the bill."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.model import Usage
from llmtop.policy.pricing import UnitPrices, cost_pusd, pusd, sane_usage, upper_bound_pusd, usd

PRICES = UnitPrices(
    input_pusd=50_000,
    cached_input_pusd=10_000,
    cache_write_pusd=62_500,
    output_pusd=100_000,
    reasoning_pusd=100_000,
)
TOKENS = st.integers(0, 10**7)
NONSENSE: list[Any] = [-1, -(10**9), math.nan, math.inf, -math.inf, "17", None, 1.5, True, 10**15, [3]]


def test_a_call_costs_its_tokens_times_their_prices() -> None:
    usage = Usage(input_tokens=410, output_tokens=82)

    assert cost_pusd(usage, PRICES) == 410 * 50_000 + 82 * 100_000
    assert usd(cost_pusd(usage, PRICES)) == "0.0000287"


def test_cached_and_written_and_reasoning_tokens_are_parts_with_their_own_price() -> None:
    usage = Usage(
        input_tokens=1000,
        cached_input_tokens=400,
        cache_write_tokens=100,
        output_tokens=50,
        reasoning_tokens=20,
    )
    dear_thoughts = UnitPrices(
        input_pusd=10,
        cached_input_pusd=1,
        cache_write_pusd=12,
        output_pusd=30,
        reasoning_pusd=40,
        request_pusd=7,
    )

    assert cost_pusd(usage, dear_thoughts) == 500 * 10 + 400 * 1 + 100 * 12 + 30 * 30 + 20 * 40 + 7


def test_a_part_without_a_price_of_its_own_has_the_price_of_the_whole() -> None:
    prices = UnitPrices.simple(10, 30)
    usage = Usage(input_tokens=5, cached_input_tokens=5, output_tokens=2, reasoning_tokens=2)

    assert cost_pusd(usage, prices) == 5 * 10 + 2 * 30


@given(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
def test_no_call_costs_more_than_the_upper_bound_of_its_size(
    total_in: int, cached: int, written: int, out: int, thought: int
) -> None:
    usage = Usage(total_in, cached, written, out, thought)

    assert 0 <= cost_pusd(usage, PRICES) <= upper_bound_pusd(total_in, out, PRICES)


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_dollars_written_and_read_again_are_the_same_amount(amounts: list[int]) -> None:
    written = [usd(amount) for amount in amounts]

    assert [pusd(Decimal(text)) for text in written] == amounts
    assert not any("e" in text.lower() or text.endswith(".") for text in written)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (5 * 10**12, "5"),
        (-(10**11), "-0.1"),
        (1_230_000_000_000_000, "1230"),
    ],
)
def test_dollars_have_no_exponent_and_no_trailing_zeros(amount: int, text: str) -> None:
    assert usd(amount) == text


def test_less_than_a_pico_dollar_is_rounded_up() -> None:
    assert pusd(Decimal("0.0000000000001")) == 1


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        pusd(Decimal(text))


@pytest.mark.parametrize(
    "field",
    ["input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"],
)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_nonsense_in_one_figure_never_lowers_the_bill_and_is_flagged(field: str, nonsense: Any) -> None:
    honest = Usage(input_tokens=1000, cached_input_tokens=300, output_tokens=200, reasoning_tokens=50)
    values = {name: getattr(honest, name) for name in Usage.__dataclass_fields__} | {field: nonsense}

    billed = sane_usage(Usage(**values), estimate=Usage(input_tokens=1000, output_tokens=200))

    assert billed.is_estimated
    assert cost_pusd(billed, PRICES) >= cost_pusd(honest, PRICES)


@given(
    st.builds(
        Usage,
        *[st.one_of(st.integers(-(10**20), 10**20), st.floats(), st.text(), st.none(), st.booleans())] * 5,
    ),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_whatever_is_reported_the_bill_is_a_whole_number_that_holds_the_parts(
    reported: Usage, guessed_in: int, guessed_out: int
) -> None:
    billed = sane_usage(reported, Usage(input_tokens=guessed_in, output_tokens=guessed_out))

    cost = cost_pusd(billed, PRICES)
    assert type(cost) is int
    assert cost >= 0
    assert billed.cached_input_tokens + billed.cache_write_tokens <= billed.input_tokens
    assert billed.reasoning_tokens <= billed.output_tokens


def test_missing_usage_is_billed_as_estimated() -> None:
    billed = sane_usage(None, Usage(input_tokens=70, output_tokens=9))

    assert (billed.input_tokens, billed.output_tokens, billed.is_estimated) == (70, 9, True)


def test_no_tokens_for_text_that_was_there_is_nonsense() -> None:
    billed = sane_usage(Usage(input_tokens=0, output_tokens=0), Usage(input_tokens=70, output_tokens=9))

    assert (billed.input_tokens, billed.output_tokens, billed.is_estimated) == (70, 9, True)


def test_honest_usage_is_taken_as_it_is() -> None:
    honest = Usage(100, 30, 10, 40, 15)

    assert sane_usage(honest, Usage(input_tokens=9999, output_tokens=9999)) == honest
