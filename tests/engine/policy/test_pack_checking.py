"""Which packed items are asked again alone, and what counts as the same answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.policy.packing import agree, is_checked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def test_the_sample_is_as_large_as_was_asked_and_another_for_another_seed() -> None:
    ids = [f"m-{number}" for number in range(20_000)]
    one = {id_ for id_ in ids if is_checked("a", id_, 0.02)}
    other = {id_ for id_ in ids if is_checked("b", id_, 0.02)}

    assert 320 < len(one) < 480
    assert one == {id_ for id_ in ids if is_checked("a", id_, 0.02)}
    assert len(one & other) < 40
    assert one < {id_ for id_ in ids if is_checked("a", id_, 0.5)}


def test_nothing_is_checked_at_0_and_everything_at_1() -> None:
    ids = [f"m-{number}" for number in range(1000)]

    assert not any(is_checked("a", id_, 0.0) for id_ in ids)
    assert all(is_checked("a", id_, 1.0) for id_ in ids)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("It  rains.\n", "it rains.", True),
        ("It rains.", "It rains", False),
        ("Straße", "STRASSE", True),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ([0], [False], False),
        ([1, 2], [2, 1], False),
        ({"a": "X"}, {"a": "x"}, False),
        ("1", 1, False),
        (None, None, True),
    ],
)
def test_answers_agree_by_text_or_by_value(one: Any, other: Any, is_same: bool) -> None:
    assert agree(one, other) is is_same
    assert agree(other, one) is is_same


@given(JSON)
def test_every_value_agrees_with_itself(value: Any) -> None:
    assert agree(value, value)
