"""Whatever a config file holds, it is taken or refused with faults, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtop.config.effective import describe, from_record, to_record
from llmtop.config.keys import KEYS, LATER, SECTIONS
from llmtop.config.loader import load_config
from llmtop.errors import ConfigErrors

LITERALS = st.sampled_from(
    [
        "true",
        "0",
        "-1",
        "7",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "9" * 30,
        '""',
        '" "',
        '"4-9"',
        '"30s"',
        '"5GB"',
        '"simulator"',
        '"{x}"',
        '"{"',
        '"a.jsonl"',
        '"-"',
        "[]",
        '["a"]',
        "{}",
        "{a=1}",
        "2026-01-01",
        "10:00:00",
    ]
)
NAMES = st.sampled_from(
    [*KEYS, *SECTIONS, *LATER, "nmae", "provider.modle", "cache.enabled", "variants.name"]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "run.toml"


def check(path: Path, **said: Any) -> None:
    try:
        (config,) = load_config(path, **said)
    except ConfigErrors as error:
        assert 1 <= len(error.errors) <= 20
        assert str(error)
        return
    assert from_record(json.loads(json.dumps(to_record(config), allow_nan=False))) == config
    assert all(isinstance(cell, str) for row in describe(config) for cell in row)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=100))
def test_any_bytes(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    check(path)


@settings(max_examples=200, deadline=None)
@given(said=st.dictionaries(NAMES, LITERALS, max_size=6))
def test_any_value_under_any_name(path: Path, said: dict[str, str]) -> None:
    needed = {"provider.kind": '"simulator"', "input.path": '"a.jsonl"'}
    path.write_text("\n".join(f"{name} = {value}" for name, value in {**needed, **said}.items()))
    check(path)


@settings(max_examples=200, deadline=None)
@given(
    overrides=st.lists(
        st.text(max_size=30) | st.builds("{}={}".format, NAMES, LITERALS | st.text(max_size=9)), max_size=4
    ),
    flags=st.dictionaries(NAMES, st.none() | st.integers() | st.floats() | st.text(max_size=9), max_size=3),
    limit=st.text(max_size=9),
)
def test_any_words_on_the_command_line(
    path: Path, overrides: list[str], flags: dict[str, Any], limit: str
) -> None:
    path.write_text('provider.kind = "simulator"\ninput.path = "a.jsonl"\n')
    check(path, overrides=overrides, flags=flags, environ={"LLMTOP_LIMIT": limit})
