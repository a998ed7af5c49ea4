"""Looking for more after a refusal: small steps, spread over time, within a budget of refusals.

A stable ceiling is left alone, a moving one is followed: the gap between probes doubles while
they gain nothing, and shrinks when they gain.
"""

from __future__ import annotations

_FIRST_GAP_S = 4.0
_MAX_GAP_S = 60.0


class Prober:
    """One probe at a time: from `base` up by 1, 2, 4 ... slots."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self.gap_s = _FIRST_GAP_S
        self.next_at = 0.0
        self.base = 0
        """The last level known to be accepted (B)."""
        self._start = 0
        self._step = 1
        self._step_at = 0.0

    def rest(self, now: float, *, is_first: bool) -> None:
        """Wait for a gap before the next probe; the first after a change is short."""
        if is_first:
            self.gap_s = _FIRST_GAP_S
        self.next_at = now + self.gap_s

    def begin(self, now: float, base: int, step: int = 1) -> None:
        """Start a probe from `base`."""
        self.base = self._start = base
        self._step = max(1, step)
        self._step_at = now

    def is_step_done(self, now: float, window_s: float) -> bool:
        """Whether the raised limit has stood for its window."""
        return now >= self._step_at + 2.0 * window_s

    def filled_since(self, window_s: float) -> float:
        """From when on the raised limit must have been reached for the step to count."""
        return self._step_at + window_s

    def is_stale(self, now: float, window_s: float) -> bool:
        """Whether the raised limit has not been used for so long that there is nothing to learn."""
        return now >= self._step_at + 12.0 * window_s

    def limit(self, now: float, window_s: float, cap: int) -> int:
        """Return the limit now: the step is spread over the window, not a jump."""
        part = min(1.0, (now - self._step_at) / window_s)
        return min(self.base + max(1, int(self._step * part)), max(cap, self.base))

    def accept(self, now: float, level: int) -> None:
        """Nobody complained: `level` is the new base, and the next step is twice as large."""
        self.base = level
        self._step *= 2
        self._step_at = now

    def end(self, now: float, requests_per_s: float) -> float:
        """End the probe; return what it gained as a share. The next gap follows from that."""
        gained = (self.base - self._start) / max(1, self._start)
        longest = min(_MAX_GAP_S, 1.0 / max(1e-9, self._budget * requests_per_s))
        if gained < 0.03:
            self.gap_s = max(_FIRST_GAP_S, min(longest, 2.0 * self.gap_s))
        elif gained >= 0.08 and self.base - self._start >= 2:
            self.gap_s = max(_FIRST_GAP_S, 0.35 * longest, 0.5 * self.gap_s)
        self.next_at = now + self.gap_s
        return gained
