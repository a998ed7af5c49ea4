"""`json_schema`: the answer must be JSON that a schema accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jsonschema_rs
import orjson

from llmtop.cleaning import clean
from llmtop.config import values
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict


def _schema(value: Any) -> dict[str, Any]:
    schema = values.free_table(value)
    try:
        jsonschema_rs.meta.validate(schema)
        _validator(schema)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        reason = clean(getattr(error, "message", "") or str(error).partition("\n")[0], limit=160)
        raise values.BadValue(f"is not a JSON Schema: {reason}") from None
    return schema


def _validator(schema: Mapping[str, Any]) -> Any:
    return jsonschema_rs.validator_for(dict(schema), retriever=_fetch_nothing)


def _fetch_nothing(address: str) -> Any:
    """Refuse a reference to another document: the validator would read files and the network for it."""
    raise ValueError(f"{address} is another document, and a schema may refer to its own parts only")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchemaSettings:
    """What the answer must look like."""

    schema: Mapping[str, Any] = setting(_schema)


class JsonSchema:
    """Checks the structured output, or the text as JSON."""

    name: ClassVar[str] = "json_schema"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: JsonSchemaSettings) -> None:
        self._validator = _validator(settings.schema)

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
