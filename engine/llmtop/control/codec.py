"""Frozen values to JSON and back, for the control socket.

Encoding is orjson's own for dataclasses. Decoding follows the type hints: unknown fields are
ignored and missing ones take their default, so that a viewer and an engine of neighbouring
versions still understand each other.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

T = TypeVar("T")
_Decoder = Callable[[Any], Any]


def encode(value: object) -> bytes:
    """Return a dataclass (or anything made of plain values) as JSON."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def decode(kind: type[T], data: bytes | str) -> T:
    """Return the value of `kind` that `data` holds. Raises ValueError where it holds none."""
    kind_: Any = kind
    try:
        value: T = _decoder(kind_)(orjson.loads(data))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error
    return value


def decode_value(kind: Any, value: Any) -> Any:
    """Return parsed JSON as a value of `kind`, which may be any type hint of plain values."""
    return _decoder(kind)(value)


@cache
def _decoder(kind: Any) -> _Decoder:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_decoder(kind)
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(kind))
    if origin is tuple:
        return _tuple_decoder(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind is float:
        return float
    if origin in (Literal, dict, Mapping) or kind in (Any, str, int, bool, dict, type(None)):
        return _as_is
    raise TypeError(f"no decoder for {kind!r}")


def _as_is(value: Any) -> Any:
    return value


def _dataclass_decoder(kind: type[Any]) -> _Decoder:
    hints = get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}

    def read(value: Any) -> Any:
        return kind(**{name: fields[name](part) for name, part in value.items() if name in fields})

    return read


def _union_decoder(options: tuple[Any, ...]) -> _Decoder:
    """Optional values: the only unions that the values of the socket hold."""
    (inner,) = (option for option in options if option is not type(None))
    read = _decoder(inner)
    return lambda value: None if value is None else read(value)


def _tuple_decoder(parts: tuple[Any, ...]) -> _Decoder:
    if len(parts) == 2 and parts[1] is Ellipsis:
        read = _decoder(parts[0])
        return lambda value: tuple(read(part) for part in value)
    reads = [_decoder(part) for part in parts]
    return lambda value: tuple(read(part) for read, part in zip(reads, value, strict=True))
