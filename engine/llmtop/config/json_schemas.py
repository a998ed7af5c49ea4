"""JSON Schemas that come from a user: checked, and made into validators that fetch nothing.

The one place that touches the `jsonschema_rs` package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import jsonschema_rs

from llmtop.cleaning import clean

_MESSAGE_LIMIT = 240


class SchemaFault(ValueError):
    """Why a JSON object is no schema that can be used; reads on after the key's name."""


class Fault(Protocol):
    """One place in a value that a schema does not accept."""

    message: str
    instance_path: list[str | int]


class Validator(Protocol):
    """A schema, ready to check values."""

    def iter_errors(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a value. Raises ValueError or TypeError where it cannot be checked."""


def validator_of(schema: Mapping[str, Any]) -> Validator:
    """Return the validator of a schema. Raises SchemaFault.

    A reference to another document is a fault: to follow it would read files and the network.
    """
    plain = dict(schema)
    others: list[str] = []

    def fetch_nothing(address: str) -> Any:
        others.append(address)
        raise ValueError(address)

    try:
        jsonschema_rs.meta.validate(plain)
        validator: Validator = jsonschema_rs.validator_for(plain, retriever=fetch_nothing)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        reason = getattr(error, "message", "") or str(error).partition("\n")[0]
        if others:
            reason = f"{others[0]} is another document, and a schema may refer to its own parts only"
        raise SchemaFault(f"is not a JSON Schema: {clean(reason, limit=_MESSAGE_LIMIT)}") from None
    return validator
