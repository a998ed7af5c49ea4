"""How long a whole lane waits after a refusal when no tuner decides it.

What the provider asks for is kept, at most `max_wait` at a time (then one probe asks again). Where
it asks for nothing readable the wait doubles with every episode. The answers of one burst are one
episode: a request that had left before the last wait began adds nothing.
"""

from __future__ import annotations

import math

_FIRST_S = 1.0


class Cooldown:
    """The waits of one lane."""

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._episodes = 0
        self._reacted_at = -math.inf

    def accepted(self, sent_at: float) -> None:
        """A request was accepted: where it left after the last wait, the waits start anew."""
        if sent_at > self._reacted_at:
            self._episodes = 0

    def refused(self, now: float, sent_at: float, retry_after_s: float | None) -> float | None:
        """Return the seconds to hold the lane after a refusal; None: this burst has been answered."""
        asked = retry_after_s if retry_after_s is not None and 0.0 < retry_after_s < math.inf else None
        if asked is not None:
            self._reacted_at = now
            return min(asked, self._max_wait_s)
        if sent_at <= self._reacted_at:
            return None
        self._reacted_at = now
        self._episodes += 1
        return min(self._max_wait_s, _FIRST_S * 2.0 ** min(self._episodes - 1, 16))
