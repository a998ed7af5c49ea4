"""Values that the type checker holds frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from mypy import api

from llmtop.frozen import value
from llmtop.model import Usage

_CHANGES_A_FIELD = """
from llmtop.model import Usage
usage = Usage(input_tokens=1)
usage.input_tokens = 2
"""


def test_changing_a_field_is_an_error_of_the_type_checker(tmp_path: Path) -> None:
    script = tmp_path / "changes.py"
    script.write_text(_CHANGES_A_FIELD)

    told, _, status = api.run([str(script), "--follow-imports=silent", "--cache-dir", str(tmp_path)])

    assert status == 1
    assert 'Property "input_tokens" defined in "Usage" is read-only' in told


def test_equal_values_are_equal_and_hash_alike_and_can_be_replaced() -> None:
    usage = Usage(input_tokens=1, output_tokens=2)

    assert usage == Usage(input_tokens=1, output_tokens=2)
    assert {usage: "same"}[Usage(input_tokens=1, output_tokens=2)] == "same"
    assert dataclasses.replace(usage, output_tokens=3) == Usage(input_tokens=1, output_tokens=3)


def test_a_value_has_no_room_for_fields_that_it_does_not_declare() -> None:
    with pytest.raises(AttributeError):
        Usage().outputs = 3  # type: ignore[attr-defined]


def test_a_value_that_is_not_declared_frozen_is_refused() -> None:
    with pytest.raises(TypeError):
        value(frozen=False, slots=True)
