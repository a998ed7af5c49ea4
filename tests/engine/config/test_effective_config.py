"""Effective settings are shown, kept and compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmtop.config.effective import describe, from_record, to_record
from llmtop.config.fingerprint import CONTENT, differing, fingerprint, fingerprint_parts
from llmtop.config.keys import KEYS
from llmtop.config.loader import load_config
from llmtop.config.schema import Range, RunConfig
from llmtop.config.starter import STARTER_CONFIG
from llmtop.errors import StateError


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    path = tmp_path / "llmtop.toml"
    path.write_text(STARTER_CONFIG)
    overrides = [
        "budget.max_cost=2.5",
        "prices.input=0.05",
        'provider.headers.X-Title="private"',
        "request.extra.deep={a=[1, 2.5, true]}",
        'output.metadata_fields=["text"]',
        "memory.per_process=5GB",
    ]
    (loaded,) = load_config(path, overrides=overrides, environ={"LLMTOP_LIMIT": "7"})
    return loaded


def test_the_starter_config_loads_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "llmtop.toml"
    path.write_text(STARTER_CONFIG)

    (config,) = load_config(path)

    assert config.input.path == tmp_path / "items.jsonl"
    assert config.execution.concurrency == Range(1, 8, 64)


def test_a_record_is_plain_json_and_reads_back_the_same(config: RunConfig) -> None:
    record = json.loads(json.dumps(to_record(config), allow_nan=False))

    assert from_record(record) == config


def test_a_record_of_an_earlier_version_gets_defaults_for_what_it_lacks(config: RunConfig) -> None:
    record = to_record(config)
    del record["retry"]
    del record["execution"]["stop_grace"]

    assert from_record(record) == config


@pytest.mark.parametrize("damaged", [{}, {"name": "x", "retry": {"zz": 1}}, {"name": "x", "retry": 3}])
def test_a_record_that_cannot_be_read_is_said_to_be_damaged(damaged: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        from_record(damaged)


def test_every_key_is_described_in_order_with_its_origin_and_no_header_value(config: RunConfig) -> None:
    rows = {key: (value, origin) for key, value, origin in describe(config)}

    assert list(rows) == list(KEYS)
    assert rows["budget.max_cost"] == ("2.50 USD", "flag")
    assert rows["prices.input"] == ("0.05 USD per million tokens", "flag")
    assert rows["input.limit"] == ("7", "environment")
    assert rows["request.max_output_tokens"] == ("300", "file")
    assert rows["provider.base_url"] == ("https://api.openai.com/v1", "default")
    assert rows["provider.api_key_env"] == ("OPENAI_API_KEY", "default")
    assert rows["memory.per_process"] == ("5GB", "flag")
    assert "private" not in str(rows)


SAME_RUN = [
    ("execution.concurrency", Range(1, 2, 3)),
    ("execution.stop_grace", 1.0),
    ("limits.requests_per_second", 9.0),
    ("budget.max_cost", None),
    ("retry.max_attempts", 1),
    ("prices.output", 5),
    ("output.path", Path("/elsewhere")),
    ("memory.threshold", 0.5),
    ("tuner.enabled", False),
    ("provider.timeout", 1.0),
    ("provider.connect_timeout", 1.0),
    ("provider.api_key_env", "OTHER"),
    ("input.path", Path("/moved/items.jsonl")),
]
OTHER_RUN = [
    ("provider.kind", "simulator"),
    ("provider.base_url", "https://other.example/v1"),
    ("provider.model", "other"),
    ("provider.headers", {}),
    ("provider.simulator", {"profile": "x"}),
    ("request.system", "other"),
    ("request.prompt", "other"),
    ("request.temperature", 0.9),
    ("request.max_output_tokens", 9),
    ("request.response_format", "json"),
    ("request.extra", {}),
    ("input.format", "csv"),
    ("input.id_field", "key"),
    ("input.limit", None),
]


def changed(config: RunConfig, key: str, value: object) -> RunConfig:
    section, _, name = key.partition(".")
    return replace(config, **{section: replace(getattr(config, section), **{name: value})})  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "value"), SAME_RUN)
def test_how_it_is_sent_does_not_make_another_run(config: RunConfig, key: str, value: object) -> None:
    parts = fingerprint_parts(config, "d")

    assert fingerprint(fingerprint_parts(changed(config, key, value), "d")) == fingerprint(parts)


@pytest.mark.parametrize(("key", "value"), OTHER_RUN)
def test_what_is_asked_of_whom_makes_another_run(config: RunConfig, key: str, value: object) -> None:
    one = fingerprint_parts(config, "d")
    other = fingerprint_parts(changed(config, key, value), "d")

    assert key in differing(one, other)
    assert fingerprint(one) != fingerprint(other)


def test_other_content_makes_another_run_and_the_default_address_is_the_same_as_none(
    config: RunConfig,
) -> None:
    one = fingerprint_parts(config, "d")

    assert differing(one, fingerprint_parts(config, "e")) == [CONTENT]
    spelled = changed(config, "provider.base_url", "https://api.openai.com/v1/")
    assert fingerprint_parts(spelled, "d") == one
