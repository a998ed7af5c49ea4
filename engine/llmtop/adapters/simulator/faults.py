"""Which try of which prompt meets which fault. Pure: no order of arrival, no clock."""

from __future__ import annotations

from llmtop.adapters.simulator.chat_request import Patterns
from llmtop.adapters.simulator.draws import Draws
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.prompts import Prompt

OUTAGES = frozenset(("http_500", "http_502", "http_503", "http_504", "http_529", "reset_before"))
"""Faults that calls about files and batch jobs meet too."""


class Faults:
    """The faults of a profile."""

    def __init__(self, profile: Profile, patterns: Patterns) -> None:
        self._profile = profile
        self._always_fail = patterns.always_fail
        self.is_any = bool(profile.faults or profile.fault_steps or patterns.always_fail)

    def __repr__(self) -> str:
        return f"Faults({dict(self._profile.faults)}, {list(self._profile.fault_steps)})"

    def kind_for(self, prompt: Prompt, draws: Draws, attempt: int, at_s: float) -> str | None:
        """Return the fault of try `attempt` (from 1), `at_s` seconds after the first request; None: none."""
        if not self.is_any:
            return None
        if self._is_doomed(prompt):
            return self._profile.always_fail_kind
        for index, step in enumerate(self._profile.fault_steps):
            if step.from_s <= at_s < step.to_s and draws.uniform(f"step {index}") < step.share:
                return step.kind
        if self._profile.fault_tries and attempt > self._profile.fault_tries:
            return None
        return self._drawn(draws.uniform("fault")) if self._profile.faults else None

    def outage(self, draws: Draws, at_s: float) -> str | None:
        """Return the fault of `fault_steps` that any call meets, whatever it is about."""
        for index, step in enumerate(self._profile.fault_steps):
            is_now = step.from_s <= at_s < step.to_s and step.kind in OUTAGES
            if is_now and draws.uniform(f"step {index}") < step.share:
                return step.kind
        return None

    def _is_doomed(self, prompt: Prompt) -> bool:
        pattern = self._always_fail
        if pattern is None:
            return False
        return any(pattern.search(text) for text in (prompt.ids or (prompt.text,)))

    def _drawn(self, chance: float) -> str | None:
        for kind, share in self._profile.faults.items():
            if chance < share:
                return kind
            chance -= share
        return None
