"""The check of growth: every rise by 30 % must have bought throughput, or it ends there."""

from __future__ import annotations

from typing import NamedTuple

from llmtop.policy.tuner.delay import Elasticity, Sample, Window

_RISE = 1.3
_START_CAP = 3.0
_PROBE_CAP = 1.6


class TooMuch(NamedTuple):
    """Growth bought nothing: the level at which it was measured, and the measure."""

    level: float
    elasticity: float


class Validation:
    """The largest level that was found worth its latency, and what is being measured above it."""

    def __init__(self, e_min: float, level: float) -> None:
        self._e_min = e_min
        self.level = level
        """The largest level that is validated."""
        self._good: Window | None = None
        self._window = Window()

    @property
    def start_cap(self) -> int:
        """How far slow start may go before it is validated."""
        return int(_START_CAP * self.level)

    @property
    def probe_cap(self) -> int:
        """How far a probe may go before it is validated."""
        return int(_PROBE_CAP * self.level)

    def restart(self, level: float) -> None:
        """Forget what was measured: the provider has changed. `level` is the new ground."""
        self.level = level
        self._good = None
        self._window = Window()

    def add(self, sample: Sample, limit: int, *, is_holding: bool) -> TooMuch | None:
        """Add one success; return what ends the growth, where it bought nothing."""
        window = self._window
        window.add(sample)
        need = max(10.0, limit / 2.0)
        if window.count < need:
            return None
        if self._good is None:
            self._accept(window)
            return None
        if window.level < _RISE * self._good.level:
            if is_holding or window.level < 1.03 * self._good.level:
                self._accept(window)
            else:
                self._window = Window()
            return None
        e = Elasticity(self._good, window)
        if e.value < self._e_min + 1.5 * e.error and window.count < 3.0 * need:
            return None
        if e.value >= self._e_min:
            self._accept(window)
            return None
        self._window = Window()
        return TooMuch(window.level, e.value)

    def _accept(self, window: Window) -> None:
        self._good = window
        self.level = max(1.0, window.level)
        self._window = Window()
