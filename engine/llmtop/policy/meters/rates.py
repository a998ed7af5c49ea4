"""Counts by the second and by the minute, in rings of fixed size."""

from __future__ import annotations


class Ring:
    """Amounts in slots of `width_s` seconds, the last `slots` of them; several columns share the slots.

    The caller passes `now` on a clock that does not go back; a moment before the newest slot is
    counted in the newest slot. Adding is O(1), over a gap O(slots) at the most.
    """

    __slots__ = ("_first", "_newest", "_slots", "_start", "_width", "columns")

    def __init__(self, now: float, width_s: float, slots: int, columns: int = 1) -> None:
        self._width = width_s
        self._slots = slots
        self._start = now
        self._newest = self._first = int(now // width_s)
        self.columns = tuple([0.0] * slots for _ in range(columns))

    def slot(self, now: float) -> int:
        """Return the index into each column for what happens at `now`."""
        tick = int(now // self._width)
        if tick > self._newest:
            self._clear(tick)
        return self._newest % self._slots

    def add(self, now: float, amount: float = 1.0, column: int = 0) -> None:
        """Count `amount` in one column."""
        self.columns[column][self.slot(now)] += amount

    def rate(self, now: float, window_s: float, column: int = 0) -> float:
        """Amount a second over the last `window_s`, less at the start; at least one second is divided by.

        The window is `window_s` of whole slots and what has passed of the newest one.
        """
        wanted = min(self._slots, round(window_s / self._width) + 1)
        amounts = self._last(now, wanted, column)
        covered = (self._newest - wanted + 1) * self._width
        return sum(amounts) / max(1.0, now - max(self._start, covered))

    def whole(self, now: float, count: int, column: int = 0) -> tuple[float, ...]:
        """The last `count` slots that are over, oldest first; fewer at the start."""
        return tuple(self._last(now, count + 1, column)[:-1])

    def last(self, now: float, count: int, column: int = 0) -> tuple[float, ...]:
        """The last `count` slots with the newest, unfinished one, oldest first; fewer at the start."""
        return tuple(self._last(now, count, column))

    def age(self, now: float) -> float:
        """Seconds since the ring began."""
        return max(0.0, now - self._start)

    def _last(self, now: float, count: int, column: int) -> list[float]:
        end = self.slot(now)
        count = min(count, self._slots, self._newest - self._first + 1)
        amounts = self.columns[column]
        begin = end - count + 1
        return amounts[begin : end + 1] if begin >= 0 else amounts[begin:] + amounts[: end + 1]

    def _clear(self, tick: int) -> None:
        for gone in range(max(self._newest + 1, tick - self._slots + 1), tick + 1):
            for column in self.columns:
                column[gone % self._slots] = 0.0
        self._newest = tick


def eta_s(items_per_s: float | None, pending: int) -> float | None:
    """Seconds until the last item at this rate; 0 when nothing is pending, None when nobody can say."""
    if pending <= 0:
        return 0.0
    return pending / items_per_s if items_per_s else None
