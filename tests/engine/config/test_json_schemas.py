"""A user's JSON Schema is checked when it is read, and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmtop.config.json_schemas import SchemaFault, validator_of
from llmtop.errors import ConfigError
from llmtop.policy.answers import OutputForm


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/person.json", "{folder}/person.json"])
def test_a_reference_to_another_document_is_a_fault_and_is_not_followed(tmp_path: Path, address: str) -> None:
    (tmp_path / "person.json").write_text('{"type": "object"}')
    schema = {"$ref": address.format(folder=tmp_path.as_uri())}

    with pytest.raises(SchemaFault, match="is another document"):
        validator_of(schema)
    with pytest.raises(ConfigError, match=r"request\.schema_file: .*is another document"):
        OutputForm("schema", schema)


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"required": "title"}, {"$ref": "#/$defs/none"}])
def test_what_is_no_schema_is_said_to_be_none(schema: Mapping[str, Any]) -> None:
    with pytest.raises(SchemaFault, match="is not a JSON Schema"):
        validator_of(schema)


def test_a_schema_may_refer_to_its_own_parts() -> None:
    schema = {"$defs": {"word": {"type": "string"}}, "items": {"$ref": "#/$defs/word"}}

    found = [list(fault.instance_path) for fault in validator_of(schema).iter_errors(["a", 2])]

    assert found == [[1]]
