"""`json_schema`: the answer must be JSON that a schema accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import orjson

from llmtop.cleaning import clean
from llmtop.config import values
from llmtop.config.json_schemas import SchemaFault, validator_of
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict


def _schema(value: Any) -> dict[str, Any]:
    schema = values.free_table(value)
    try:
        validator_of(schema)
    except SchemaFault as fault:
        raise values.BadValue(str(fault)) from None
    return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchemaSettings:
    """What the answer must look like."""

    schema: Mapping[str, Any] = setting(_schema)


class JsonSchema:
    """Checks the structured output, or the text as JSON."""

    name: ClassVar[str] = "json_schema"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: JsonSchemaSettings) -> None:
        self._validator = validator_of(settings.schema)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        value = context.value
        if isinstance(value, str):
            try:
                value = orjson.loads(value)
            except (ValueError, RecursionError):
                return Rejected(self.name, "is not JSON")
        try:
            fault = next(self._validator.iter_errors(value), None)
        except (ValueError, TypeError) as error:
            return Rejected(self.name, f"cannot be checked: {clean(str(error), limit=160)}")
        if fault is None:
            return PASS
        place = "/".join(str(part) for part in fault.instance_path)
        said = clean(fault.message, limit=160)
        return Rejected(self.name, f"does not fit the schema{f' at {place}' if place else ''}: {said}")
