"""Durations, sizes, ranges, money and prices: exact, and bounded."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.config.amounts import (
    duration,
    money,
    price,
    size,
    span,
    spell_duration,
    spell_money,
    spell_size,
)
from llmtop.config.schema import Range
from llmtop.config.values import BadValue

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
READERS = [duration(0, 100), size(1, 10**6), span(1, 4096, 8), money, price]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("10m", 600),
        ("24h", 86400),
        ("1.5h", 5400),
        (7, 7),
        (Decimal("0.5"), 0.5),
    ],
)
def test_a_duration_is_text_with_a_unit_or_a_number_of_seconds(said: Any, seconds: float) -> None:
    assert duration(0, 86400)(said) == seconds


@pytest.mark.parametrize(
    "said", ["", "5", "5 parsecs", "-5s", "1e3s", "٥s", "5ss", True, None, [], "9" * 40 + "s"]
)
def test_what_is_no_duration_is_refused(said: Any) -> None:
    with pytest.raises(BadValue):
        duration(0, 86400)(said)


@pytest.mark.parametrize(("said", "count"), [("5GB", 5 * 10**9), ("512MiB", 2**29), ("1.5kB", 1500), (7, 7)])
def test_a_size_is_text_with_a_unit_or_a_number_of_bytes(said: Any, count: int) -> None:
    assert size(1, 10**12)(said) == count


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (16, Range(16, 16, 16)),
        ("16", Range(16, 16, 16)),
        ("4-256", Range(4, 8, 256)),
        ("20-256", Range(20, 20, 256)),
        ("2-5", Range(2, 5, 5)),
        ("4-16-256", Range(4, 16, 256)),
    ],
)
def test_a_range_is_a_number_or_its_bounds_with_or_without_a_start(said: Any, expected: Range) -> None:
    assert span(1, 4096, 8)(said) == expected


@given(st.lists(st.integers(1, 4096), min_size=3, max_size=3).map(sorted))
def test_a_range_reads_what_it_spells(numbers: list[int]) -> None:
    made = Range(*numbers)

    assert span(1, 4096, 8)(str(made)) == made


@given(st.integers(1, 10**18))
def test_money_is_exact_to_the_pico_dollar(pusd: int) -> None:
    assert money(Decimal(spell_money(pusd))) == pusd


@given(st.integers(0, 10**10))
def test_prices_are_exact_to_the_pico_dollar_a_token(pusd: int) -> None:
    assert price(Decimal(pusd).scaleb(-6)) == pusd


@given(st.integers(1, 10**6), st.integers(13, 60))
def test_money_that_is_finer_than_a_pico_dollar_is_refused(digits: int, places: int) -> None:
    amount = Decimal(digits * 10 + 1).scaleb(-places)

    with pytest.raises(BadValue):
        money(amount)


@pytest.mark.parametrize(
    "said", [Decimal("1e-999999"), Decimal("1e999999"), 10**4000, Decimal("NaN"), True, "5"]
)
def test_absurd_money_is_refused_at_once(said: Any) -> None:
    with pytest.raises(BadValue):
        money(said)


@pytest.mark.parametrize("read", READERS)
@given(value=ANYTHING)
def test_a_reader_returns_a_value_or_says_what_is_wrong_and_nothing_else(read: Any, value: Any) -> None:
    try:
        read(value)
    except BadValue as error:
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in error.what)


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(0, "0s"), (0.25, "250ms"), (30, "30s"), (86400, "24h"), (90, "90s"), (172800, "2d")],
)
def test_durations_are_spelled_in_the_largest_whole_unit(seconds: float, spelled: str) -> None:
    assert spell_duration(seconds) == spelled


def test_sizes_and_money_are_spelled_exactly() -> None:
    assert [spell_size(n) for n in (0, 2**24, 5 * 10**9, 1001)] == ["0B", "16MiB", "5GB", "1001B"]
    assert [spell_money(n) for n in (5 * 10**12, 1, 123_456_789)] == [
        "5.00",
        "0.000000000001",
        "0.000123456789",
    ]
