"""Figures as machines want them, and what lines say beyond `format`: exact money, UTC, dates. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from llmtop.model import PUSD_PER_USD
from llmtop_tui.format import UNKNOWN, money

_TINY_PUSD = PUSD_PER_USD // 10_000


def usd_exact(pusd: int | None) -> str | None:
    """Pico-dollars as an exact decimal string of dollars, as results and JSON have it."""
    if pusd is None:
        return None
    value = Decimal(pusd) / PUSD_PER_USD
    return f"{value.normalize():f}" if pusd else "0"


def usd(pusd: int | None, *, is_at_least: bool = False) -> str:
    """Money for a person: tiny sums with two figures; `>=` where it is a lower bound."""
    mark = ">=" if is_at_least and pusd is not None else ""
    if pusd and abs(pusd) < _TINY_PUSD:
        return f"{mark}${Decimal(f'{Decimal(pusd) / PUSD_PER_USD:.1e}'):f}"
    return mark + money(pusd)


def utc(moment: float | None) -> str | None:
    """A moment for machines: ISO 8601, UTC, milliseconds."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def date_and_clock(moment: float | None) -> str:
    """A moment for a person, in the machine's own time zone."""
    if moment is None:
        return UNKNOWN
    return f"{datetime.fromtimestamp(moment, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
