"""A result as its one line of JSON: the format that the output file, the ledger and exports share."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from llmtop.model import PUSD_PER_USD, Result

_UNSTORABLE = re.compile("[\ud800-\udfff\x00]")
_PUSD_DIGITS = len(str(PUSD_PER_USD)) - 1


def usd(pusd: int | None) -> str | None:
    """Return pico-dollars as an exact decimal of dollars, without exponent or needless zeros.

    >>> usd(27_100_000)
    '0.0000271'
    """
    if pusd is None:
        return None
    whole, rest = divmod(abs(pusd), PUSD_PER_USD)
    sign = "-" if pusd < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{str(rest).rjust(_PUSD_DIGITS, '0').rstrip('0')}"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def timestamp(at: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC with milliseconds: `2026-11-20T12:00:00.123Z`."""
    whole, ms = divmod(round(at * 1000), 1000)
    return f"{_second(whole)}.{ms:03d}Z"


def storable(text: str) -> str:
    """Return the text with lone surrogates and NUL as U+FFFD: all else stays as it came (promise R8)."""
    return _UNSTORABLE.sub("�", text)


def result_line(result: Result) -> bytes:
    """Return the line of `result` without its newline."""
    error = result.error
    usage = result.usage
    record = {
        "id": result.id,
        "status": result.status,
        "output": result.output,
        "error": error and {"type": error.type, "message": error.message, "http_status": error.http_status},
        "finish_reason": result.finish_reason,
        "usage": {
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "cost_usd": usd(result.cost_pusd),
        "model": result.model,
        "via": result.via,
        "attempts": result.attempts,
        "latency_ms": result.latency_ms,
        "pack_id": result.pack_id,
        "batch_id": result.batch_id,
        "filters": result.filters,
        "started_at": timestamp(result.started_at),
        "finished_at": timestamp(result.finished_at),
        "metadata": result.metadata or {},
    }
    try:
        line = orjson.dumps(record)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, a Mapping that is no dict
        return _patient_line(record)
    return _patient_line(record) if b"\\u0000" in line else line


def _patient_line(record: dict[str, Any]) -> bytes:
    return json.dumps(_cleaned(record), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(inner) for inner in value]
    if isinstance(value, float) and value - value != 0.0:  # NaN and infinity have no JSON
        return None
    return value
