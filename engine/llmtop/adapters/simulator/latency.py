"""How long the simulated provider takes for a request. Pure."""

from __future__ import annotations

from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.limits import ServiceQueue
from llmtop.adapters.simulator.profile import Profile


def service_s(profile: Profile, draws: Draws, items: int, prompt_tokens: int, output_tokens: int) -> float:
    """Return the seconds that a request takes on a server with nothing else to do."""
    per_request = (
        profile.latency_per_item_s * items
        + profile.latency_per_output_token_s * output_tokens
        + profile.latency_per_prompt_token_s * prompt_tokens
    )
    if profile.latency == "fixed":
        return profile.latency_s + per_request
    if profile.latency == "uniform":
        span = profile.latency_max_s - profile.latency_min_s
        return profile.latency_min_s + span * draws.uniform("latency") + per_request
    return draws.lognormal("latency", profile.latency_s, profile.latency_sigma) + per_request


class Load:
    """What a request's latency becomes when many are served at once."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        has_queue = profile.soft_capacity and profile.soft_style == "queue"
        self._queue = ServiceQueue(profile.soft_capacity) if has_queue else None

    def delay_s(self, now: float, alone_s: float, in_flight: int) -> float:
        """Return the seconds until the answer, for a request that would take `alone_s` alone.

        `in_flight` counts this request too.
        """
        if self._queue is not None:
            return self._queue.delay_s(now, alone_s)
        capacity = self._profile.soft_capacity
        if not capacity or in_flight <= capacity:
            return alone_s
        return alone_s * (1.0 + self._profile.soft_slowdown * (in_flight - capacity) / capacity)
