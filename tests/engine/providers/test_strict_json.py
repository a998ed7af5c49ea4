"""Bodies from outside: taken, or refused with a reason, and never a crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.adapters.providers.strict_json import InvalidBody, parse

DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": "\xff\xfe"}', "not UTF-8"),
        (b"[" * DEEP, "nested deeper"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested deeper"),
        (b'{"a": %d}' % 2**63, r"beyond 2\^63"),
        (b'{"a": -%d}' % (2**63 + 1), r"beyond 2\^63"),
        (b'{"a": %s}' % (b"9" * 5_000), r"beyond 2\^63"),
        (b'{"id": "x-%s", "a": [-%d]}' % (b"7" * 24, 2**63 + 1), r"beyond 2\^63"),
        (b"%d" % 2**63, r"beyond 2\^63"),
    ],
)
def test_a_body_that_cannot_be_trusted_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidBody, match=reason):
        parse(body)


def test_what_is_merely_odd_is_taken() -> None:
    assert parse(b"\n\n\n  \r\n" + b'{"a": 1}' + b"\n") == {"a": 1}
    assert parse(b"\xef\xbb\xbf" + b'{"a": 1}') == {"a": 1}
    assert parse(b'{"a": NaN, "b": -Infinity, "c": 1}') == {"a": None, "b": None, "c": 1}
    assert parse(b'{"a": "\\ud800"}') == {"a": "\ud800"}
    assert parse(b'{"a": %d}' % (2**63 - 1)) == {"a": 2**63 - 1}


def test_brackets_and_digits_inside_strings_are_text() -> None:
    text = '[{"' * 200 + "9" * 40

    assert parse(json.dumps({"a": text}).encode()) == {"a": text}


def test_a_hundred_levels_are_taken_and_one_more_is_not() -> None:
    assert parse(b"[" * 100 + b"]" * 100)
    with pytest.raises(InvalidBody, match="nested"):
        parse(b"[" * 101 + b"]" * 101)


def test_a_body_of_escaped_quotes_that_never_ends_is_refused_quickly() -> None:
    with pytest.raises(InvalidBody):
        parse(b"[" * 50 + b'{"' * 60 + b'\\"' * 2_000_000)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_the_reason(body: bytes) -> None:
    try:
        parse(body)
    except InvalidBody as reason:
        assert str(reason)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_json_writes_comes_back_as_it_was(value: object) -> None:
    if "Infinity" not in (text := json.dumps(value)):
        assert parse(text.encode()) == value
