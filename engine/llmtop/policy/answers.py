"""An answer's text to an item's output: as it came, or parsed and checked where JSON was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from llmtop.config.json_schemas import SchemaFault, validator_of
from llmtop.errors import ConfigError
from llmtop.model import ItemError

_FENCE = re.compile(r"\A\s*```[A-Za-z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MESSAGE_LIMIT = 200


class OutputForm:
    """What `request.response_format` asks for. Raises ConfigError for a schema that is none."""

    def __init__(
        self, response_format: Literal["text", "json", "schema"], schema: Mapping[str, Any] | None = None
    ) -> None:
        self._is_json = response_format != "text"
        self._validator = None
        if response_format == "schema" and schema is not None:
            try:
                self._validator = validator_of(schema)
            except SchemaFault as fault:
                raise ConfigError("request.schema_file", str(fault)) from None

    def accept(self, text: str) -> tuple[Any, ItemError | None]:
        """Return the output and None, or None and what is wrong with it. Code fences are taken off JSON."""
        if not self._is_json:
            return text, None
        fenced = _FENCE.match(text)
        try:
            value = _parse(fenced[1] if fenced else text)
        except ValueError as error:
            return None, _invalid(f"not JSON: {error}")
        if self._validator is not None:
            fault = next(self._validator.iter_errors(value), None)
            if fault is not None:
                return None, _invalid(f"does not fit the schema: {fault.message}")
        return value, None


def _parse(text: str) -> Any:
    """Parse strictly: orjson refuses NaN and lone surrogates, and makes integers beyond 64 bits floats."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(value, float) or _has_big_number(text):
        return json.loads(text, parse_constant=_no_constant)
    return value


def _has_big_number(text: str) -> bool:
    """Whether an integer may be too long for 64 bits, so that orjson would have rounded it."""
    return re.search(r"\d{19,}", text) is not None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


def _invalid(message: str) -> ItemError:
    return ItemError("invalid_response", message[:_MESSAGE_LIMIT], 200)
