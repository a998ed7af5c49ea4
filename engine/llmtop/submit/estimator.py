"""What one run's requests will use, before they leave, and the most that one may cost."""

from __future__ import annotations

from llmtop.model import Usage
from llmtop.policy.estimates import TokenEstimates
from llmtop.policy.limiter import Cost

_UNKNOWN_OUTPUT = 4096.0
"""Output tokens to set money aside for while no maximum is configured and no answer has been seen."""
_LONGEST_ANSWER = 4.0
"""Times the mean, where no maximum is configured."""


class Estimator:
    """The averages of one (model, template), fed by reported usage."""

    def __init__(
        self, estimates: TokenEstimates, model: str, template: str, max_output_tokens: int | None
    ) -> None:
        self._estimates = estimates
        self._model = model
        self._template = template
        self._max_output = max_output_tokens
        self._has_learned = False

    def before(self, request_bytes: int) -> tuple[Cost, float, float]:
        """Return the cost to ask the gate for, and input and output tokens to set money aside for."""
        estimate = self._estimates.estimate(
            self._model, self._template, request_bytes, max_output_tokens=self._max_output
        )
        if self._max_output is not None:
            most = float(self._max_output)
        elif self._has_learned:
            most = _LONGEST_ANSWER * estimate.output_tokens
        else:
            most = _UNKNOWN_OUTPUT
        output = most if self._max_output is not None else estimate.output_tokens
        return Cost(estimate.input_tokens_p95, output), estimate.input_tokens_p95, most

    def learn(self, request_bytes: int, usage: Usage) -> None:
        """Take in what a call really used; an estimated usage teaches nothing."""
        if usage.is_estimated:
            return
        self._has_learned = True
        self._estimates.observe(
            self._model, self._template, request_bytes, usage.input_tokens, usage.output_tokens
        )
