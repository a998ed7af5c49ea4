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

    def before(
        self, request_bytes: int, items: int = 1, max_output: int | None = None
    ) -> tuple[Cost, float, float]:
        """Return the cost to ask the gate for, and input and output tokens to set money aside for.

        `max_output`: what a pack of `items` may have; None: what the config says of one item.
        """
        limit = self._max_output if max_output is None else max_output
        estimate = self._estimates.estimate(
            self._model, self._template, request_bytes, items=items, max_output_tokens=limit
        )
        if limit is not None:
            most = float(limit)
        elif self._has_learned:
            most = _LONGEST_ANSWER * estimate.output_tokens
        else:
            most = _UNKNOWN_OUTPUT * items
        output = most if limit is not None else estimate.output_tokens
        return Cost(estimate.input_tokens_p95, output), estimate.input_tokens_p95, most

    def learn(self, request_bytes: int, usage: Usage, items: int = 1) -> None:
        """Take in what a call really used; an estimated usage teaches nothing."""
        if usage.is_estimated:
            return
        self._has_learned = True
        self._estimates.observe(
            self._model, self._template, request_bytes, usage.input_tokens, usage.output_tokens, items=items
        )
