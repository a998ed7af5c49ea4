"""What one item's answer in a pack must be: a text, or a JSON value that a schema may check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import orjson

from llmtop.cleaning import clean
from llmtop.config.json_schemas import SchemaFault, Validator, validator_of
from llmtop.errors import ConfigError


class ItemForm(Protocol):
    """Takes the value that stands for an item in a pack's answer."""

    @property
    def is_checked(self) -> bool:
        """Whether it knows enough to tell a whole value from a part of one."""

    def accept(self, value: Any) -> tuple[Any, str]:
        """Return the item's output and "", or None and what is wrong with the value."""


class TextForm:
    """A text that is not blank; a number or truth is taken as it is written in JSON."""

    is_checked = False

    def accept(self, value: Any) -> tuple[Any, str]:
        if isinstance(value, str):
            return (value, "") if value.strip() else (None, "is blank")
        if isinstance(value, bool | int | float):
            return orjson.dumps(value).decode(), ""
        return None, "is null" if value is None else "is no text"


class JsonForm:
    """A JSON value. One that was written as text within the JSON is read.

    Raises ConfigError where the schema is none, or refers to other documents, which are not fetched.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._validator = None if schema is None else _validator(schema)
        self.is_checked = schema is not None

    def accept(self, value: Any) -> tuple[Any, str]:
        fault = self._fault(value)
        if not fault or not isinstance(value, str):
            return (None, fault) if fault else (value, "")
        try:
            value = orjson.loads(value)
        except (ValueError, RecursionError):
            return None, fault
        fault = self._fault(value)
        return (None, fault) if fault else (value, "")

    def _fault(self, value: Any) -> str:
        if value is None:
            return "is null"
        if self._validator is None:
            return "is text, and not JSON" if isinstance(value, str) else ""
        try:
            fault = next(self._validator.iter_errors(value), None)
        except (ValueError, TypeError) as error:
            return f"cannot be checked: {clean(str(error), limit=160)}"
        return f"does not fit the schema: {clean(fault.message, limit=160)}" if fault else ""


def _validator(schema: Mapping[str, Any]) -> Validator:
    try:
        return validator_of(schema)
    except SchemaFault as fault:
        raise ConfigError("request.schema_file", str(fault)) from None


def item_form(
    response_format: Literal["text", "json", "schema"], schema: Mapping[str, Any] | None
) -> ItemForm:
    """Return the form that `request.response_format` asks of every item."""
    if response_format == "text":
        return TextForm()
    return JsonForm(schema if response_format == "schema" else None)
