"""How a simulated provider limits its clients. No clock, no loop: the caller says what time it is.

Every limit answers two questions: how long must somebody with this amount wait (0: not at all),
and what is left. An amount larger than a limit holds is let through when the limit is untouched,
and the ones after it wait for the debt.
"""

from __future__ import annotations

import heapq
import math
from typing import Protocol

# Sums of refills differ from the exact amount by some 1e-13; nobody is refused for that.
_ROUNDING = 1e-9


class Limit(Protocol):
    """One limit on an amount in time."""

    @property
    def size(self) -> float:
        """What it holds when untouched."""

    @property
    def per_minute(self) -> float:
        """What it lets through in a minute."""

    def wait_s(self, now: float, amount: float) -> float:
        """Return the seconds until `amount` fits; 0: it does."""

    def take(self, now: float, amount: float) -> None:
        """Use `amount`, into debt if need be; negative: give it back."""

    def count_refused(self, now: float) -> None:
        """Use 1 for a request that was refused; never more than once the size into debt."""

    def left(self, now: float) -> float:
        """Return what is left, 0 at least."""

    def reset_s(self, now: float) -> float:
        """Return the seconds until it is untouched again."""

    def resize(self, now: float, factor: float) -> None:
        """Hold and refill `factor` times what it was made with; what is used stays used."""


class TokenBucket:
    """Full at the start, refilled by `rate` a second up to `capacity`.

    In any t seconds at most `capacity + rate * t` is let through.
    """

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self._made_with = (rate, capacity)
        self._rate = rate
        self._capacity = capacity
        self._level = capacity
        self._last = now

    def __repr__(self) -> str:
        return f"TokenBucket({self._level:g} of {self._capacity:g}, +{self._rate:g}/s)"

    @property
    def size(self) -> float:
        return self._capacity

    @property
    def per_minute(self) -> float:
        return 60.0 * self._rate

    def wait_s(self, now: float, amount: float) -> float:
        self._refill(now)
        lacking = min(amount, self._capacity) - self._level
        if lacking <= _ROUNDING:
            return 0.0
        return lacking / self._rate if self._rate else math.inf

    def take(self, now: float, amount: float) -> None:
        self._refill(now)
        self._level = min(self._capacity, self._level - amount)

    def count_refused(self, now: float) -> None:
        self._refill(now)
        self._level = min(self._level, max(-self._capacity, self._level - 1))

    def left(self, now: float) -> float:
        self._refill(now)
        return max(0.0, self._level)

    def reset_s(self, now: float) -> float:
        self._refill(now)
        lacking = self._capacity - self._level
        if lacking <= 0:
            return 0.0
        return lacking / self._rate if self._rate else math.inf

    def resize(self, now: float, factor: float) -> None:
        self._refill(now)
        self._rate = self._made_with[0] * factor
        self._capacity = self._made_with[1] * factor
        self._level = min(self._level, self._capacity)

    def _refill(self, now: float) -> None:
        if now > self._last:
            self._level = min(self._capacity, self._level + self._rate * (now - self._last))
            self._last = now


class FixedWindow:
    """`amount` in each window of `window_s`, counted from `origin`; nothing is carried over but debt."""

    def __init__(self, amount: float, window_s: float, origin: float) -> None:
        self._made_with = amount
        self._amount = amount
        self._window_s = window_s
        self._origin = origin
        self._index = 0
        self._used = 0.0

    def __repr__(self) -> str:
        return f"FixedWindow({self._used:g} of {self._amount:g} in {self._window_s:g} s)"

    @property
    def size(self) -> float:
        return self._amount

    @property
    def per_minute(self) -> float:
        return 60.0 * self._amount / self._window_s

    def wait_s(self, now: float, amount: float) -> float:
        self._turn(now)
        excess = self._used + min(amount, self._amount) - self._amount
        if excess <= _ROUNDING:
            return 0.0
        if not self._amount:
            return math.inf
        windows = math.ceil(excess / self._amount - _ROUNDING)
        return self._origin + (self._index + windows) * self._window_s - now

    def take(self, now: float, amount: float) -> None:
        self._turn(now)
        self._used = max(0.0, self._used + amount)

    def count_refused(self, now: float) -> None:
        self._turn(now)
        self._used = max(self._used, min(self._amount, self._used + 1))

    def left(self, now: float) -> float:
        self._turn(now)
        return max(0.0, self._amount - self._used)

    def reset_s(self, now: float) -> float:
        self._turn(now)
        return self._origin + (self._index + 1) * self._window_s - now if self._used else 0.0

    def resize(self, now: float, factor: float) -> None:
        self._turn(now)
        self._amount = self._made_with * factor

    def _turn(self, now: float) -> None:
        index = math.floor((now - self._origin) / self._window_s)
        if index > self._index:
            debt = self._used - self._amount * (index - self._index)
            self._used = max(0.0, debt)
            self._index = index


def sliced_minute(amount: float, origin: float) -> FixedWindow:
    """Return a per-minute limit enforced in slices: 600 a minute as 10 each second, 20 as 1 each 3 s."""
    slice_s = 1.0 if amount >= 60 else 60.0 / amount
    return FixedWindow(amount * slice_s / 60.0, slice_s, origin)


class RampLimit:
    """Refuses a second that starts more than `factor` times the requests of the busiest one before it."""

    def __init__(self, factor: float, floor: int) -> None:
        self._factor = factor
        self._floor = floor
        self._busiest = 0
        self._second = -math.inf
        self._count = 0

    def __repr__(self) -> str:
        return f"RampLimit({self._count} now, {self._busiest} before, x {self._factor:g})"

    def wait_s(self, now: float) -> float:
        """Return the seconds until one more request is not too steep."""
        second = math.floor(now)
        count = self._count if second == self._second else 0
        busiest = max(self._busiest, self._count) if second != self._second else self._busiest
        return 0.0 if count + 1 <= max(self._floor, self._factor * busiest) else second + 1 - now

    def take(self, now: float) -> None:
        """Count a request that was let through."""
        second = math.floor(now)
        if second != self._second:
            self._busiest = max(self._busiest, self._count)
            self._second, self._count = second, 0
        self._count += 1


class ServiceQueue:
    """A line before `places` equal servers: who comes when all are busy waits for the first that is free."""

    def __init__(self, places: int) -> None:
        self._free_at = [-math.inf] * places

    def __repr__(self) -> str:
        return f"ServiceQueue({len(self._free_at)} places)"

    def delay_s(self, now: float, service_s: float) -> float:
        """Join the line now; return the seconds until the service ends."""
        end = max(now, self._free_at[0]) + service_s
        heapq.heapreplace(self._free_at, end)
        return end - now
