"""Read durations, sizes, ranges, money and prices: numbers with a unit, exact where money is.

A reader takes a value as TOML gives it and returns seconds, bytes, a `Range` or whole
pico-dollars; it raises `BadValue` otherwise.
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from typing import Any

from llmtop.config.schema import Range
from llmtop.config.values import BadValue, Bounds, Reader, shown, wrong_type
from llmtop.model import PUSD_PER_USD

_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)
_RANGE = re.compile(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?(?:\s*-\s*([0-9]{1,9}))?\s*", re.ASCII)
MAX_USD = 1_000_000
MAX_USD_PER_MTOK = 10_000
TOKENS_PER_PRICE = 1_000_000


def duration(low_s: float, high_s: float, *, is_open: bool = False) -> Reader:
    """Read `"250ms"`, `"30s"`, `"10m"`, `"24h"`, `"30d"` or a number of seconds; return seconds."""
    bounds = Bounds(low_s, high_s, is_open)
    wanted = f'a duration {_span(bounds)}, like "250ms", "30s", "10m", "24h" or a number of seconds'

    def read(value: Any) -> float:
        if isinstance(value, str):
            match = _AMOUNT.fullmatch(value)
            if match is None or match[2] not in _SECONDS:
                raise BadValue(f"is {shown(value)}, and must be {wanted}")
            seconds: int | Decimal = Decimal(match[1]) * _SECONDS[match[2]]
        elif isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise wrong_type(value, wanted)
        else:
            seconds = value
        if seconds not in bounds:
            raise BadValue(f"is {shown(value)}, and must be {wanted}")
        return float(seconds)

    return read


def spell_duration(seconds: float) -> str:
    """Return seconds in the largest unit that shows them whole: `24h`, `90s`, `250ms`."""
    if not seconds:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if seconds % float(_SECONDS[unit]) == 0 and (unit != "d" or seconds >= 2 * 86400):
            return f"{seconds / float(_SECONDS[unit]):.0f}{unit}"
    milliseconds = seconds * 1000
    return (
        f"{milliseconds:.0f}ms" if seconds < 10 and milliseconds == round(milliseconds) else f"{seconds:g}s"
    )


def _span(bounds: Bounds) -> str:
    low, high = spell_duration(bounds.low), spell_duration(bounds.high)
    return f"above {low} and at most {high}" if bounds.is_open else f"from {low} to {high}"


def size(low: int, high: int) -> Reader:
    """Read `"5GB"`, `"512MiB"` or a number of bytes; return bytes."""
    wanted = f'a size from {spell_size(low)} to {spell_size(high)}, like "5GB", "512MiB" or a number of bytes'

    def read(value: Any) -> int:
        if isinstance(value, str):
            match = _AMOUNT.fullmatch(value)
            if match is None or match[2] not in _BYTES:
                raise BadValue(f"is {shown(value)}, and must be {wanted}")
            amount: int | Decimal = Decimal(match[1]) * _BYTES[match[2]]
        elif isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(value, wanted)
        else:
            amount = value
        if not low <= amount <= high:
            raise BadValue(f"is {shown(value)}, and must be {wanted}")
        return int(amount)

    return read


def spell_size(count: int) -> str:
    """Return bytes in the largest unit that shows them whole: `16MiB`, `5GB`."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B"


def span(low: int, high: int, start: int) -> Reader:
    """Read `16`, `"4-256"` (min-max) or `"4-16-256"` (min-start-max), all within `low` to `high`.

    Where no start is named it is the bound nearest to `start`, or `start` itself.
    """
    wanted = f'a whole number from {low} to {high}, or a range "MIN-MAX" or "MIN-START-MAX" of such'

    def read(value: Any) -> Range:
        if isinstance(value, str):
            match = _RANGE.fullmatch(value)
            if match is None:
                raise BadValue(f"is {shown(value)}, and must be {wanted}")
            numbers = [int(part) for part in match.groups() if part is not None]
        elif isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(value, wanted)
        else:
            numbers = [value]
        if any(not low <= part <= high for part in numbers):
            raise BadValue(f"is {shown(value)}, and must be {wanted}")
        if numbers != sorted(numbers):
            raise BadValue(f"is {shown(value)}, and must go up", 'Write it as "MIN-MAX" or "MIN-START-MAX".')
        bottom, top = numbers[0], numbers[-1]
        middle = numbers[1] if len(numbers) == 3 else min(max(start, bottom), top)
        return Range(bottom, middle, top)

    return read


def money(value: Any) -> int:
    """Read an amount of USD above 0; return whole pico-dollars, exactly."""
    bounds = Bounds(0, MAX_USD, is_open=True)
    return _exact(value, PUSD_PER_USD, f"an amount of USD {bounds}", bounds, "Twelve decimals are kept.")


def price(value: Any) -> int:
    """Read USD per million tokens; return whole pico-dollars a token, exactly."""
    bounds = Bounds(0, MAX_USD_PER_MTOK)
    per_token = PUSD_PER_USD // TOKENS_PER_PRICE
    return _exact(value, per_token, f"USD per million tokens {bounds}", bounds, "Six decimals are kept.")


def _exact(value: Any, scale: int, wanted: str, bounds: Bounds, precision: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise wrong_type(value, wanted)
    if value not in bounds:
        raise BadValue(f"is {shown(value)}, and must be {wanted}")
    if isinstance(value, Decimal) and _is_too_fine(value):
        raise BadValue(f"is finer than it can be counted, and must be {wanted}", precision)
    with localcontext() as context:
        context.prec = 100
        scaled = Decimal(value) * scale
    if scaled != int(scaled):
        raise BadValue(f"is {shown(value)}, which is finer than it can be counted", precision)
    return int(scaled)


def _is_too_fine(value: Decimal) -> bool:
    return (bool(value) and value.adjusted() < -30) or len(value.as_tuple().digits) > 60


def spell_money(pusd: int) -> str:
    """Return pico-dollars as a decimal amount of USD, exactly, with at least two decimals."""
    amount = f"{Decimal(pusd).scaleb(-12):f}"
    whole_part, _, decimals = amount.partition(".")
    return f"{whole_part}.{decimals.rstrip('0').ljust(2, '0')}"
