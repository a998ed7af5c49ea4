"""Frozen values to JSON and back, for the control socket.

Encoding is orjson's own for dataclasses. Decoding follows the type hints: unknown fields are
ignored and missing ones take their default, so that a viewer and an engine of neighbouring
versions still understand each other. So does a word that only the other version knows: literals
are checked for their type only, and whoever acts on one refuses what it does not know.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

T = TypeVar("T")
_Decoder = Callable[[Any], Any]
_OPTIONS = orjson.OPT_NON_STR_KEYS
_LONE = re.compile("[\ud800-\udfff]")


def encode(value: object) -> bytes:
    """Return a dataclass (or anything made of plain values) as JSON.

    A lone surrogate, as in a path that is not UTF-8, becomes U+FFFD; a float that is no number null.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_whole(value), option=_OPTIONS)


def decode(kind: type[T], data: bytes | str) -> T:
    """Return the value of `kind` that `data` holds. Raises ValueError where it holds none."""
    value: T = decode_value(kind, orjson.loads(data))
    return value


def decode_value(kind: Any, value: Any) -> Any:
    """Return parsed JSON as a value of `kind`, any type hint of plain values. Raises ValueError."""
    try:
        return _decoder(kind)(value)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a {getattr(kind, '__name__', kind)}: {error}") from error


@cache
def _decoder(kind: Any) -> _Decoder:
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_decoder(kind)
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(kind))
    if origin is tuple:
        return _tuple_decoder(get_args(kind))
    if origin is Literal:
        return _plain_decoder(*{type(option) for option in get_args(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind is float:
        return _number
    if kind in (str, int, bool):
        return _plain_decoder(kind)
    if origin in (dict, Mapping) or kind is dict:
        return _plain_decoder(dict)
    if kind is Any:
        return lambda value: value
    raise AssertionError(f"no decoder for {kind!r}")


def _plain_decoder(*kinds: type[Any]) -> _Decoder:
    def read(value: Any) -> Any:
        if type(value) not in kinds:  # exactly: a bool is no number here
            raise TypeError(f"{type(value).__name__} in the place of {kinds[0].__name__}")
        return value

    return read


def _number(value: Any) -> float:
    """JSON knows no NaN and no infinity: both travel as null."""
    if value is None:
        return math.nan
    if type(value) not in (int, float):
        raise TypeError(f"{type(value).__name__} in the place of a number")
    return float(value)


def _dataclass_decoder(kind: type[Any]) -> _Decoder:
    hints = get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{type(value).__name__} in the place of an object")
        return kind(**{name: fields[name](part) for name, part in value.items() if name in fields})

    return read


def _union_decoder(options: tuple[Any, ...]) -> _Decoder:
    """Optional values: the only unions that the values of the socket hold."""
    (inner,) = (option for option in options if option is not type(None))
    read = _decoder(inner)
    return lambda value: None if value is None else read(value)


def _tuple_decoder(parts: tuple[Any, ...]) -> _Decoder:
    reads = [_decoder(part) for part in parts if part is not Ellipsis]

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} in the place of a list")
        if parts[-1] is Ellipsis:
            return tuple(reads[0](part) for part in value)
        return tuple(read(part) for read, part in zip(reads, value, strict=True))

    return read


def _whole(value: Any) -> Any:
    """The same as plain values with whole characters: slow, and hardly ever needed."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _whole(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_whole(name): _whole(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(entry) for entry in value]
    return _LONE.sub("\ufffd", value) if type(value) is str else value
