"""One timer on the event loop, set to a moment of the lane's own clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Calls `ring` once, at the moment for which it was set last; infinite: not at all."""

    def __init__(self, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    @property
    def is_set(self) -> bool:
        """Whether it is going to ring."""
        return self._handle is not None

    def set(self, at: float) -> None:
        """Ring at `at`; the same moment again changes nothing."""
        if at == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = at
        if at < math.inf:
            delay = max(0.0, at - self._clock())
            self._handle = asyncio.get_running_loop().call_later(delay, self._rung)

    def _rung(self) -> None:
        self._handle = None
        self._at = math.inf
        self._ring()
