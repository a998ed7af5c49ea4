"""What a run would take, worked out before a call is made."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from llmtop.config.schema import LimitsConfig
from llmtop.policy.advice import Workload, plan, plan_together

TEN = Workload(
    name="ten",
    items=10,
    prompt_bytes_mean=300.0,
    prompt_bytes_max=400,
    max_output_tokens=100,
    input_pusd=250_000,
    output_pusd=2_000_000,
    limits=LimitsConfig(requests_per_second=2.0, burst=2.0),
    concurrency=10,
    latency_s=3.5,
)


def test_tokens_and_cost_follow_from_bytes_and_prices() -> None:
    made = plan(TEN)

    assert (made.requests, made.input_tokens, made.output_tokens) == (10, 1000, 1000)
    assert made.realtime_pusd == 1000 * 250_000 + 1000 * 2_000_000


def test_a_batch_price_that_is_not_known_is_counted_as_the_whole_price_and_said() -> None:
    known, unknown = plan(replace(TEN, batch_factor=0.25)), plan(TEN)

    assert known.realtime_pusd is not None
    assert known.batch_pusd == known.realtime_pusd // 4
    assert unknown.batch_pusd == unknown.realtime_pusd
    assert not any("prices.batch_discount" in line for line in known.assumptions)
    assert any("prices.batch_discount" in line for line in unknown.assumptions)


def test_an_unknown_price_stays_unknown_also_in_a_sum() -> None:
    unknown = replace(TEN, output_pusd=None)

    assert plan(unknown).realtime_pusd is None
    assert plan(unknown).batch_pusd is None
    assert plan_together([TEN, unknown]).realtime_pusd is None
    assert any("no price is known" in line for line in plan(unknown).assumptions)


def test_packs_say_the_common_part_once_in_realtime_and_in_batch_jobs() -> None:
    packed = replace(
        TEN,
        items=31,
        items_per_request=10,
        pack_bytes_mean=1500.0,
        pack_output_tokens=1300,
        concurrency=1,
        batch_factor=0.5,
    )

    made, alone = plan(packed), plan(replace(TEN, items=31))

    assert (made.requests, made.input_tokens, made.output_tokens) == (4, 1550, 4030)
    assert made.items_per_request == 10
    assert made.alone_pusd == alone.realtime_pusd
    assert made.realtime_pusd is not None
    assert made.batch_pusd == made.realtime_pusd // 2
    assert next(b for b in made.bounds if b.cause == "concurrency").duration_s == 4 * 3.5 * (1 + 0.25 * 9)
    assert any("10 items a request" in line for line in made.assumptions)


def test_a_price_of_nothing_is_known() -> None:
    assert plan(replace(TEN, input_pusd=0, output_pusd=0)).realtime_pusd == 0


def test_the_slowest_limit_binds_and_the_others_are_told() -> None:
    made = plan(TEN)

    assert made.bound_by == "requests"
    assert made.duration_s == 8 / 2 + 3.5
    assert [bound.cause for bound in made.bounds] == ["requests", "concurrency"]


def test_concurrency_binds_where_it_is_small_and_tokens_where_they_are_few() -> None:
    assert plan(replace(TEN, concurrency=1)).bound_by == "concurrency"
    assert plan(replace(TEN, concurrency=1)).duration_s == 35.0
    tokens = plan(replace(TEN, limits=LimitsConfig(tokens_per_minute=100)))
    assert (tokens.bound_by, tokens.duration_s) == ("tokens", 1200 + 3.5)
    outputs = plan(replace(TEN, limits=LimitsConfig(output_tokens_per_minute=100)))
    assert outputs.bound_by == "output tokens"


def test_packs_divide_the_requests() -> None:
    assert plan(replace(TEN, items=31, items_per_request=15)).requests == 3


def test_the_advice_fits_the_number_of_items_and_of_configs() -> None:
    assert "batch API" in plan(replace(TEN, items=1001)).advice[0]
    assert plan(TEN).advice[0].startswith("Up to 1,000 items: realtime")
    together = plan_together([TEN, TEN], is_interactive=True, is_processing_heavy=True)
    assert together.advice[0].startswith("Somebody waits")
    assert "one process" in together.advice[1]
    assert "process pool" in together.advice[2]


def test_several_configurations_sum_up_and_share_one_engine() -> None:
    one, two = plan(TEN), plan_together([TEN, TEN])

    assert two.items == 20
    assert two.realtime_pusd == 2 * (one.realtime_pusd or 0)
    assert two.memory_bytes < 2 * one.memory_bytes
    assert two.assumptions == one.assumptions


def test_without_an_output_bound_the_plan_says_that_there_is_none() -> None:
    made = plan(replace(TEN, max_output_tokens=None))

    assert made.output_tokens > 0
    assert any("no bound" in line for line in made.assumptions)


@given(st.integers(1, 10**8), st.integers(1, 4096))
def test_memory_grows_with_what_is_in_flight_and_hardly_with_the_items(items: int, concurrency: int) -> None:
    few = plan(replace(TEN, items=items, concurrency=concurrency))
    many = plan(replace(TEN, items=items * 2, concurrency=concurrency))

    grown = many.memory_bytes - few.memory_bytes

    assert few.memory_bytes > 0
    assert grown <= items * 20 + 2 * concurrency * 100_000
