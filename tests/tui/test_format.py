from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop_tui import format as fmt

ANY = st.one_of(st.none(), st.floats(), st.integers(-(10**400), 10**400))


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (fmt.count, 12410, "12,410"),
        (fmt.count, None, "-"),
        (fmt.count, 0, "0"),
        (fmt.short, 7204, "7,204"),
        (fmt.short, 412_000, "412k"),
        (fmt.short, 1_920_000, "1.92M"),
        (fmt.rounded, 4100, "4.1k"),
        (fmt.rounded, 29118, "29k"),
        (fmt.rounded, 980, "980"),
        (fmt.three, 1.98, "1.98"),
        (fmt.three, 29.7, "29.7"),
        (fmt.three, 8140, "8,140"),
        (fmt.three, 99.96, "100"),
        (fmt.money, 421_900_000_000, "$0.4219"),
        (fmt.money, 5 * 10**12, "$5.00"),
        (fmt.money, 5 * 10**8, "$0.00050"),
        (fmt.money, 0, "$0.00"),
        (fmt.money, None, "-"),
        (fmt.round_money, 990_000_000_000, "$0.99"),
        (fmt.memory, 512 * 2**20, "512 MiB"),
        (fmt.memory, 41.9 * 2**30, "41.9 GiB"),
        (fmt.memory, 12, "12 B"),
        (fmt.latency, 0.004, "4ms"),
        (fmt.latency, 1.2, "1.2s"),
        (fmt.latency, 2460, "41:00"),
        (fmt.latency, 4320, "1h12m"),
        (fmt.age, 0.4, "0.4s"),
        (fmt.age, 7864, "2:11:04"),
        (fmt.clock_span, 42, "0:42"),
        (fmt.clock_span, 4360, "1:12:40"),
        (fmt.clock_span, 1e6, "11d 13h"),
        (fmt.percent, 0.33, "33%"),
        (fmt.percent, math.nan, "-"),
    ],
)
def test_a_figure_reads_as_the_specification_writes_it(function: object, value: object, text: str) -> None:
    assert function(value) == text  # type: ignore[operator]


@given(value=ANY)
def test_no_number_raises_or_grows_out_of_its_column(value: float) -> None:
    for function, most in (
        (fmt.count, 12),
        (fmt.short, 8),
        (fmt.three, 9),
        (fmt.rounded, 7),
        (fmt.money, 10),
        (fmt.round_money, 10),
        (fmt.age, 8),
        (fmt.latency, 8),
        (fmt.clock_span, 8),
        (fmt.percent, 7),
        (fmt.clock, 8),
    ):
        assert len(function(value)) <= most, function.__name__


def test_unknown_is_a_dash_and_never_a_nought() -> None:
    for function in (
        fmt.count,
        fmt.short,
        fmt.three,
        fmt.money,
        fmt.memory,
        fmt.age,
        fmt.latency,
        fmt.percent,
    ):
        assert function(None) == function(math.nan) == "-"


def test_a_run_is_not_a_hundred_percent_done_before_its_last_item() -> None:
    assert fmt.done_percent(29_999, 30_000) == "99.9%"
    assert fmt.done_percent(30_000, 30_000) == "100.0%"
    assert fmt.done_percent(0, 0) == "-"
