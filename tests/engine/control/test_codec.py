"""Values on the socket: what goes in comes out, and what is none is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtop.control.codec import decode, decode_value, encode
from llmtop.control.faults import as_words, from_words
from llmtop.errors import ConfigError, ConfigErrors, LlmtopError, RunOwned, StateError, UsageError
from llmtop.listing import ItemDetail, ItemPage, ItemQuery
from llmtop.model import Acknowledgement, Command, Decision, RunCounts
from llmtop.snapshot import RunLine, Snapshot

VALUES = (Snapshot, RunLine, Command, Acknowledgement, Decision, ItemQuery, ItemPage, ItemDetail)

whole = st.integers(-(2**53), 2**53)
number = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.dictionaries(text, st.none() | st.booleans() | whole | text, max_size=3)

BY_KIND: dict[Any, st.SearchStrategy[Any]] = {
    int: whole,
    float: number,
    str: text,
    bool: st.booleans(),
    Any: text,
    type(None): st.none(),
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type hint."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind in BY_KIND:
        return BY_KIND[kind]
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.fixed_dictionaries({name: of(hint) for name, hint in hints.items()}).map(
            lambda fields: kind(**fields)
        )
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(of(parts[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of, parts))
    if origin in (dict, Mapping):
        return plain
    return st.one_of(*map(of, parts))


COMMAND = Command("set", "ada@box1", {"concurrency": "8"})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(VALUES))
def test_what_is_sent_is_what_arrives(data: st.DataObject, kind: type[Any]) -> None:
    value = data.draw(of(kind))

    assert decode(kind, encode(value)) == value


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(VALUES), st.recursive(st.none() | st.booleans() | whole | text, lambda s: st.lists(s)))
def test_what_is_no_such_value_is_a_value_error(kind: type[Any], garbage: Any) -> None:
    with pytest.raises(ValueError, match="not a"):
        decode(kind, orjson.dumps(garbage))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"verb": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(Command, data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("verb", 7),
        ("verb", ["set"]),
        ("origin", None),
        ("values", []),
        ("is_dry_run", "yes"),
        ("is_dry_run", 1),
    ],
)
def test_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="in the place of"):
        decode_value(Command, {**dataclasses.asdict(COMMAND), field: value})


def test_a_missing_required_field_is_refused_and_an_optional_one_gets_its_default() -> None:
    assert decode(Command, b'{"verb":"pause","origin":"a@b"}') == Command("pause", "a@b")
    with pytest.raises(ValueError, match="origin"):
        decode(Command, b'{"verb":"pause"}')


def test_fields_and_words_of_a_later_version_do_no_harm() -> None:
    said = {"at": 1.0, "what": "x", "old": "", "new": "", "why": "", "by": "tuner", "mood": {"a": [1]}}
    assert decode_value(Decision, said) == Decision(1.0, "x", "", "", "", "tuner")
    assert decode(Command, b'{"verb":"dance","origin":"a@b"}').verb == "dance"


def test_a_lone_surrogate_arrives_as_the_replacement_character() -> None:
    line = RunLine("r", "a\udcffb", "running", RunCounts(total=1), 0, False, 0.0, None)

    assert decode(RunLine, encode(line)).name == "a\ufffdb"


def test_a_float_that_is_no_number_travels_as_null() -> None:
    decision = Decision(math.inf, "x", "", "", "", "tuner")

    assert orjson.loads(encode(decision))["at"] is None
    assert math.isnan(decode(Decision, encode(decision)).at)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("run", "is gone", "look"),
        StateError("/x", "is full"),
        RunOwned("motions-1", 77),
        ConfigErrors("a.toml", [ConfigError("k", "is bad", "mend it"), ConfigError("l", "too")]),
    ],
)
def test_an_error_crosses_the_border_with_kind_code_and_words(error: LlmtopError) -> None:
    back = from_words(orjson.loads(orjson.dumps(as_words(error))))

    assert type(back) is type(error)
    assert (str(back), back.exit_code) == (str(error), error.exit_code)


def test_an_error_of_an_unknown_kind_is_still_an_error_with_its_words() -> None:
    assert str(from_words({"kind": "Later", "error": "the moon is full"})) == "the moon is full"
