"""Numbers to text, pure: three significant digits, thousands with a comma, units always.

None, NaN and infinity are unknown and read `-`. Nothing here raises, whatever the number.
"""

from __future__ import annotations

import math
import time

from llmtop.model import PUSD_PER_USD

UNKNOWN = "-"
_LARGE = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_BYTES = (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10))
_HUGE = 1e15


def _number(value: float | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except OverflowError:
        return _HUGE * 10
    return number if math.isfinite(number) else None


def count(value: float | None) -> str:
    """A whole number: `12,410`, `1.92M` from a hundred thousand million on."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    return f"{number:,.0f}" if abs(number) < 1e8 else short(number)


def short(value: float | None) -> str:
    """A whole number in at most six characters: `7,204`, `412k`, `1.92M`."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    if abs(number) < 1e5:
        return f"{number:,.0f}"
    if abs(number) >= _HUGE:
        return f"{number:.0e}"
    unit, size = next((unit, size) for unit, size in _LARGE if abs(number) >= size)
    return f"{three(number / size)}{unit}"


def rounded(value: float | None) -> str:
    """A count in at most four characters: `980`, `4.1k`, `29k`, `1.9M`."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    if abs(number) < 1000:
        return f"{number:.0f}"
    if abs(number) >= _HUGE:
        return f"{number:.0e}"
    unit, size = next((unit, size) for unit, size in reversed(_LARGE) if abs(number) < size * 1000)
    return f"{number / size:.2g}{unit}" if abs(number) < size * 10 else f"{number / size:.0f}{unit}"


def three(value: float | None) -> str:
    """Three significant digits: `1.98`, `29.7`, `8,140`."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    size = abs(number)
    if size >= _HUGE:
        return f"{number:.0e}"
    if size >= 1e6:
        return short(number)
    if size >= 99.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if size >= 9.995 else f"{number:.2f}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as `33%` or `42.6%`."""
    number = _number(share)
    if number is None:
        return UNKNOWN
    number *= 100
    return f"{number:.{digits}f}%" if abs(number) < 1e4 else ">9999%"


def done_percent(done: int, total: int) -> str:
    """How much is done: never `100.0%` before the last one is."""
    if total <= 0:
        return UNKNOWN
    return f"{min(math.floor(done * 1000 / total) / 10, 100.0):.1f}%"


def money(pusd: int | None) -> str:
    """Pico-dollars as dollars: `$0.00050`, `$0.4219`, `$5.00`, `$12,410`."""
    number = _number(pusd)
    if number is None:
        return UNKNOWN
    usd = number / PUSD_PER_USD
    size = abs(usd)
    if size >= (1e7 if usd > 0 else 999_999):
        return f"${short(usd)}"
    if size >= 1000:
        return f"${usd:,.0f}"
    if size >= 1 or usd == 0:
        return f"${usd:.2f}"
    if size >= 0.001:
        return f"${usd:.4f}"
    return f"${usd:.5f}" if size >= 0.00001 else f"${usd:.1e}"


def round_money(pusd: int | None) -> str:
    """Dollars in as few digits as tell: `$0.99`, `$0.0071`, `$1,234`."""
    number = _number(pusd)
    if number is None or not 0.1 <= abs(number) / PUSD_PER_USD < 1:
        return money(pusd)
    return f"${number / PUSD_PER_USD:.2f}"


def memory(value: float | None) -> str:
    """Bytes: `512 MiB`, `41.9 GiB`."""
    number = _number(value)
    if number is None:
        return UNKNOWN
    for unit, size in _BYTES:
        if abs(number) >= size * 0.9995:
            return f"{three(number / size) if abs(number) < size * 99.95 else f'{number / size:,.0f}'} {unit}"
    return f"{number:.0f} B"


def memory_pair(used: float | None, limit: float | None) -> str:
    """Two sizes in the unit of the larger: `41.9 of 128.0 GiB`."""
    first, second = _number(used), _number(limit)
    if first is None or second is None:
        return memory(used)
    unit, size = next(((u, s) for u, s in _BYTES if second >= s), ("B", 1.0))
    if second / size >= 1e6:
        return f"{memory(used)} of {memory(limit)}"
    return f"{first / size:.1f} of {second / size:.1f} {unit}"


def age(seconds: float | None) -> str:
    """How long ago: `0.4s`, `41.0s`, `2:05`, `2:11:04`, `3d 04h`."""
    number = _number(seconds)
    if number is None or number < 0:
        return UNKNOWN
    return f"{number:.1f}s" if number < 99.95 else clock_span(number)


def latency(seconds: float | None) -> str:
    """How long it takes: `4ms`, `812ms`, `1.2s`, `41:05`, `1h12m`."""
    number = _number(seconds)
    if number is None or number < 0:
        return UNKNOWN
    if 3600 <= number < 360_000:
        return f"{number // 3600:.0f}h{number % 3600 // 60:02.0f}m"
    return f"{number * 1000:.0f}ms" if number < 0.9995 else age(number)


def span(seconds: float | None) -> str:
    """What is left, in four characters where it is usual: `41s`, `52m`, `21h`, `28d`; over: `0s`."""
    number = _number(seconds)
    if number is None:
        return UNKNOWN
    if number < 99.5:
        return f"{max(number, 0):.0f}s"
    if number < 5970:
        return f"{number / 60:.0f}m"
    if number < 2 * 86400:
        return f"{number / 3600:.0f}h"
    return f"{number / 86400:.0f}d" if number < 1e4 * 86400 else ">9999d"


def moment(at: float | None, now: float | None) -> str:
    """A moment in local time, with its day where that is not today's: `18:42:07`, `11-22 18:42`."""
    number = _number(at)
    if number is None:
        return UNKNOWN
    try:
        when, today = time.localtime(number), time.localtime(_number(now))
        return time.strftime("%H:%M:%S" if when[:3] == today[:3] else "%m-%d %H:%M", when)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def clock_span(seconds: float | None) -> str:
    """A duration as a clock: `0:42`, `1:12:40`, `3d 04h`."""
    number = _number(seconds)
    if number is None or number < 0:
        return UNKNOWN
    if number >= 1e4 * 86400:
        return ">9999d"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        days, hours = divmod(hours, 24)
        if days >= 100:
            return f"{days}d"
        return f"{days}d {hours:02d}h"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def clock(at: float | None, *, has_seconds: bool = True) -> str:
    """A moment in local time: `18:42:07`."""
    number = _number(at)
    if number is None:
        return UNKNOWN
    try:
        return time.strftime("%H:%M:%S" if has_seconds else "%H:%M", time.localtime(number))
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
