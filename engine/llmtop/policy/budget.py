"""A cap on money that holds: reserve before a call is sent, settle when its price is known.

Invariant: `spent + possibly spent + reserved <= cap` after every reservation that was granted,
as long as no call costs more than was reserved for it. What is reserved for a call whose
answer was lost stays counted as possibly spent: the provider may have billed it.
"""

from __future__ import annotations

import math


class Budget:
    """The money of one run, in pico-dollars. None as cap: no limit, the sums are kept all the same.

    After a restart it is built from the ledger: `spent_pusd` is what settled, `maybe_pusd` what
    was reserved for calls that never settled.
    """

    __slots__ = ("_cap", "_maybe", "_reserved", "_spent")

    def __init__(self, cap_pusd: int | None, spent_pusd: int = 0, maybe_pusd: int = 0) -> None:
        _check(cap_pusd or 0, spent_pusd, maybe_pusd)
        self._cap = cap_pusd
        self._spent = spent_pusd
        self._maybe = maybe_pusd
        self._reserved = 0

    def __repr__(self) -> str:
        return f"Budget(cap={self._cap}, spent={self._spent}, maybe={self._maybe}, reserved={self._reserved})"

    @property
    def cap(self) -> int | None:
        """The cap; None: no limit."""
        return self._cap

    @property
    def spent(self) -> int:
        """What settled calls cost."""
        return self._spent

    @property
    def maybe(self) -> int:
        """What was reserved for calls whose answer was lost."""
        return self._maybe

    @property
    def reserved(self) -> int:
        """What is held for calls in flight and open batches."""
        return self._reserved

    @property
    def room(self) -> int | None:
        """What can still be reserved, at least 0; None: no limit."""
        if self._cap is None:
            return None
        return max(0, self._cap - self._spent - self._maybe - self._reserved)

    def try_reserve(self, amount: int) -> bool:
        """Hold `amount` for a call, or say no and hold nothing."""
        _check(amount)
        if self._cap is not None and self._spent + self._maybe + self._reserved + amount > self._cap:
            return False
        self._reserved += amount
        return True

    def resume(self, amount: int) -> None:
        """Hold what an open batch job was granted before a restart, whatever the cap is now."""
        _check(amount)
        self._reserved += amount

    def settle(self, reserved: int, actual: int) -> None:
        """Replace a reservation by what the call really cost, which may be more."""
        _check(actual)
        self._free(reserved)
        self._spent += actual

    def release(self, reserved: int) -> None:
        """Give a reservation back: it is certain that the call was not billed."""
        self._free(reserved)

    def lose(self, reserved: int) -> None:
        """The answer was lost: the reservation stays counted as possibly spent, for good."""
        self._free(reserved)
        self._maybe += reserved

    def set_cap(self, cap_pusd: int | None) -> None:
        """Change the cap. One below what is already bound grants nothing more; it takes nothing back."""
        _check(cap_pusd or 0)
        self._cap = cap_pusd

    def is_exhausted(self, next_amount: int) -> bool:
        """Whether `next_amount` would not fit even if everything in flight came back free.

        When `try_reserve` said no and this says no too, waiting for calls in flight can help.
        """
        return self._cap is not None and self._spent + self._maybe + next_amount > self._cap

    def _free(self, reserved: int) -> None:
        _check(reserved)
        if reserved > self._reserved:
            raise ValueError(f"{reserved} was never reserved; {self._reserved} is")
        self._reserved -= reserved


class ItemCosts:
    """Mean and spread of what items cost, in constant memory (Welford's running variance)."""

    __slots__ = ("_m2", "_mean", "_n")

    def __init__(self) -> None:
        self._n = 0
        self._mean = 0.0
        self._m2 = 0.0

    def add(self, cost: int) -> None:
        """Count one finished item's cost in pico-dollars."""
        self._n += 1
        away = cost - self._mean
        self._mean += away / self._n
        self._m2 += away * (cost - self._mean)

    @property
    def count(self) -> int:
        """Items counted."""
        return self._n

    @property
    def variance(self) -> float | None:
        """Sample variance; None before the second item."""
        return self._m2 / (self._n - 1) if self._n > 1 else None


def project(spent: int, done: int, total: int, costs: ItemCosts) -> tuple[int, int, int] | None:
    """Return what the whole run will cost: (expected, low, high); None before the first finished item.

    `done` items cost `spent`; the rest is expected to cost the same each. The range holds the
    end in 19 of 20 cases when items come in no special order: the spread of the rest's sum, and
    the doubt about the mean itself. With one item counted the range is as wide as the rest.
    """
    if done <= 0:
        return None
    left = max(0, total - done)
    rest = left * spent // done
    variance = costs.variance
    if variance is None:
        doubt = rest
    else:
        doubt = round(1.96 * math.sqrt(variance * (left + left * left / costs.count)))
    return spent + rest, spent + max(0, rest - doubt), spent + rest + doubt


def _check(*amounts: int) -> None:
    if min(amounts) < 0:
        raise ValueError(f"money is never negative: {amounts}")
