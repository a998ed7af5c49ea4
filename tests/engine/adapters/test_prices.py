"""Unit prices: the order of belief, exactness against the table, and unknown that stays unknown."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.adapters.prices import find_prices
from llmtop.config.schema import PricesConfig, ProviderConfig
from llmtop.model import Usage
from llmtop.policy.pricing import Pricer, pusd, sane_usage

AT = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
NANO_DOLLAR = 1000
NAMED = [
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("openai", "gpt-5.5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-5-5"),
    ("gemini", "gemini-2.5-pro"),
    ("gemini", "gemini-2.5-flash"),
]
TABLE_ID = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}


def pricer_of(kind: str, model: str, url: str | None = None, **prices: Any) -> Pricer:
    config = ProviderConfig(kind=kind, model=model, base_url=url)  # type: ignore[arg-type]
    return find_prices(config, PricesConfig(**prices), AT)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    total_in, out = draw(st.integers(0, 400_000)), draw(st.integers(0, 100_000))
    cached = draw(st.integers(0, total_in))
    written = draw(st.integers(0, total_in - cached))
    return Usage(total_in, cached, written, out, draw(st.integers(0, out)))


def table_price(kind: str, model: str, usage: Usage, is_batch: bool) -> int:
    price = calc_price(
        TableUsage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            output_reasoning_tokens=usage.reasoning_tokens,
        ),
        model,
        provider_id=TABLE_ID[kind],
        genai_request_timestamp=datetime.fromtimestamp(AT, UTC),
        price_context={"processing": "batch"} if is_batch else None,
    )
    return pusd(price.total_price)


@pytest.mark.parametrize(("kind", "model"), NAMED)
@settings(max_examples=25, deadline=None)
@given(usage=usages(), is_batch=st.booleans())
def test_integers_agree_with_the_table_to_the_nano_dollar(
    kind: str, model: str, usage: Usage, is_batch: bool
) -> None:
    cost = pricer_of(kind, model).cost(usage, AT, is_batch=is_batch)

    assert cost is not None
    assert abs(cost - table_price(kind, model, usage, is_batch)) < NANO_DOLLAR


@pytest.mark.parametrize(("kind", "model"), NAMED)
@settings(max_examples=25, deadline=None)
@given(usage=usages(), is_batch=st.booleans())
def test_no_call_costs_more_than_its_upper_bound(kind: str, model: str, usage: Usage, is_batch: bool) -> None:
    pricer = pricer_of(kind, model)

    bound = pricer.upper_bound(usage.input_tokens, usage.output_tokens, is_batch=is_batch)
    cost = pricer.cost(usage, AT, is_batch=is_batch)

    assert cost is not None
    assert bound is not None
    assert cost <= bound


@pytest.mark.parametrize(("kind", "model"), NAMED)
def test_a_batch_is_cheaper_for_every_model_that_we_name(kind: str, model: str) -> None:
    pricer = pricer_of(kind, model)
    usage = Usage(input_tokens=10_000, output_tokens=1000)

    standard, batch = (pricer.cost(usage, AT, is_batch=is_batch) for is_batch in (False, True))

    assert standard is not None
    assert batch is not None
    assert batch < standard
    assert pricer.batch_factor == pytest.approx(0.5)


def test_every_model_of_the_table_has_a_price_or_is_unknown_and_never_fails() -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=100, output_tokens=100, reasoning_tokens=10)
    known = 0
    for kind, provider_id in TABLE_ID.items():
        provider = next(entry for entry in get_snapshot().providers if entry.id == provider_id)
        for model in provider.models:
            pricer = pricer_of(kind, model.id)
            cost = pricer.cost(usage, AT)
            known += pricer.is_known
            assert (cost is not None) == pricer.is_known
            json.dumps(pricer.record())

    assert known > 100


@pytest.mark.parametrize(
    ("kind", "model", "url"),
    [
        ("openai", "no-such-model-9", None),
        ("openai", "gpt-5-mini", "http://127.0.0.1:8000/v1"),
        ("openai", "gpt-5-mini", "https://llm.example.org/v1"),
        ("openai", "whisper-1", None),
        ("openai", "text-embedding-3-small", None),
        ("openai", "", None),
        ("simulator", "gpt-5-mini", None),
        ("local", "gpt-5-mini", None),
    ],
)
def test_an_unknown_price_is_none_and_never_zero(kind: str, model: str, url: str | None) -> None:
    pricer = pricer_of(kind, model, url)

    assert pricer.cost(Usage(input_tokens=10, output_tokens=10), AT) is None
    assert pricer.upper_bound(10, 10) is None
    assert (pricer.is_known, pricer.origin, pricer.batch_factor) == (False, "unknown", None)
    assert pricer.record() == {"origin": "unknown"}


def test_the_address_says_which_provider_it_is() -> None:
    pricer = pricer_of("openai", "deepseek/deepseek-chat", "https://OpenRouter.ai/api/v1")

    assert pricer.is_known
    assert pricer.record()["provider"] == "openrouter"


def test_the_users_own_prices_win_over_the_table() -> None:
    pricer = pricer_of("openai", "gpt-5-mini", input=50_000, output=100_000, cached_input=10_000)
    usage = Usage(input_tokens=1000, cached_input_tokens=200, output_tokens=10)

    assert pricer.cost(usage, AT) == 800 * 50_000 + 200 * 10_000 + 10 * 100_000
    assert pricer.origin == "config [prices]"
    assert pricer.record()["usd_per_mtok"]["input"] == "0.05"


def test_one_price_of_the_users_own_is_laid_over_the_table() -> None:
    table, mixed = pricer_of("openai", "gpt-5-mini"), pricer_of("openai", "gpt-5-mini", output=7_000_000)
    usage = Usage(input_tokens=1000, output_tokens=10)

    assert mixed.cost(usage, AT) == (table.cost(Usage(input_tokens=1000), AT) or 0) + 70_000_000
    assert mixed.origin.startswith("config [prices] over genai-prices")


def test_one_price_alone_is_not_enough_where_the_table_has_none() -> None:
    assert not pricer_of("openai", "no-such-model-9", input=50_000).is_known


def test_the_users_batch_discount_is_taken_off_every_price() -> None:
    own = pricer_of("simulator", "sim", input=50_000, output=100_000, batch_discount=0.25)
    over = pricer_of("openai", "gpt-5-mini", batch_discount=0.25)
    usage = Usage(input_tokens=1000, output_tokens=1000)

    assert own.cost(usage, AT, is_batch=True) == 3 * (own.cost(usage, AT) or 0) // 4
    assert over.cost(usage, AT, is_batch=True) == 3 * (over.cost(usage, AT) or 0) // 4
    assert (own.batch_factor, over.batch_factor) == (0.75, 0.75)
    assert over.record()["is_batch_price_assumed"] is True


@pytest.mark.parametrize(
    ("kind", "url", "factor"),
    [
        ("openai", None, 0.5),
        ("anthropic", None, 0.5),
        ("gemini", None, 0.5),
        ("openai", "https://api.groq.com/openai/v1", 0.5),
        ("openai", "https://x.openai.azure.com/openai/v1", 0.5),
        ("openai", "https://api.mistral.ai/v1", 0.5),
        ("openai", "https://api.together.xyz/v1", None),
        ("openai", "http://127.0.0.1:8000/v1", None),
        ("anthropic", "http://127.0.0.1:8000", None),
    ],
)
def test_beside_prices_of_ones_own_a_batch_costs_what_the_house_says_it_does_for_all_models(
    kind: str, url: str | None, factor: float | None
) -> None:
    pricer = pricer_of(kind, "new-model", url, input=50_000, output=100_000)
    usage = Usage(input_tokens=1000, output_tokens=1000)

    assert pricer.batch_factor == factor
    assert pricer.cost(usage, AT, is_batch=True) == (pricer.cost(usage, AT) or 0) * (factor or 1)
    assert pricer_of(kind, "m", url, input=1, output=1, batch_discount=0.1).batch_factor == 0.9


def test_where_no_batch_price_is_known_the_standard_one_is_taken_and_said() -> None:
    pricer = pricer_of("openai", "deepseek/deepseek-chat", "https://openrouter.ai/api/v1")
    usage = Usage(input_tokens=1000, output_tokens=1000)

    assert pricer.cost(usage, AT, is_batch=True) == pricer.cost(usage, AT)
    assert pricer.batch_factor is None
    assert pricer.record()["is_batch_price_known"] is False


def test_a_price_by_the_hour_is_that_of_the_hour_and_the_bound_is_the_dearest() -> None:
    config = ProviderConfig(kind="openai", base_url="https://api.deepseek.com", model="deepseek-flash")
    pricer = find_prices(config, PricesConfig(), AT)
    usage = Usage(input_tokens=1000, output_tokens=1000)
    midnight = datetime(2026, 11, 20, tzinfo=UTC).timestamp()

    cheap, dear = pricer.cost(usage, midnight), pricer.cost(usage, midnight + 2 * 3600)

    assert cheap is not None
    assert dear == 2 * cheap
    assert pricer.upper_bound(1000, 1000) == dear


def test_a_service_tier_in_the_request_has_its_own_price() -> None:
    config = ProviderConfig(model="gpt-5-mini")
    usage = Usage(input_tokens=1000, output_tokens=1000)

    dear = find_prices(config, PricesConfig(), AT, {"service_tier": "priority"}).cost(usage, AT)

    assert (dear or 0) > (find_prices(config, PricesConfig(), AT).cost(usage, AT) or 0)


@given(st.one_of(st.integers(-(10**20), 10**20), st.floats(), st.none(), st.text()))
def test_reported_nonsense_never_lowers_a_table_price(nonsense: Any) -> None:
    pricer = pricer_of("gemini", "gemini-2.5-pro")
    estimate = Usage(input_tokens=1000, output_tokens=100)
    reported = Usage(input_tokens=1000, cached_input_tokens=nonsense, output_tokens=100)

    billed = sane_usage(reported, estimate)
    cost, honest = pricer.cost(billed, AT), pricer.cost(estimate, AT)

    assert cost is not None
    assert honest is not None
    assert cost >= honest or (type(nonsense) is int and 0 <= nonsense <= 1000)


def test_looking_a_price_up_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the price table must not use the network")

    monkeypatch.setattr(socket, "socket", refuse)

    assert pricer_of("openai", "gpt-5-mini").cost(Usage(input_tokens=1, output_tokens=1), AT)


def test_the_record_names_package_day_and_unit_prices() -> None:
    record = pricer_of("gemini", "gemini-2.5-pro").record()

    assert record["origin"].startswith("genai-prices ")
    assert record["date"] == "2026-11-20"
    assert Decimal(record["usd_per_mtok"]["input_mtok"].split(",")[0]) > 0
    assert "above 200000 tokens" in record["usd_per_mtok"]["input_mtok"]
