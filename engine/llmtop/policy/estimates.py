"""How many tokens a request will use, before it leaves: moving averages of what was reported.

Input: UTF-8 bytes times tokens per byte, one average for each (model, template). Output: a mean
per item, or the declared maximum where the provider reserves that. Pure.
"""

from __future__ import annotations

import math

from llmtop.frozen import value

_FIRST_TOKENS_PER_BYTE = 1.0 / 3.0
_FIRST_OUTPUT_TOKENS = 256.0
_P95_SIGMAS = 1.645
_INPUT_WEIGHT = 0.05
_OUTPUT_WEIGHT = 0.02
_MIN_SPREAD = 0.04
"""Uniform work still differs by this much from its average: 4 % on mixed prompts."""


class _Mean:
    """An exponential mean and variance; the first samples weigh alike."""

    __slots__ = ("_count", "_weight", "mean", "variance")

    def __init__(self, weight: float, first: float) -> None:
        self.mean = first
        self.variance = 0.0
        self._weight = weight
        self._count = 0

    def add(self, value: float) -> None:
        self._count += 1
        weight = max(self._weight, 1.0 / self._count)
        gap = value - self.mean
        self.mean += weight * gap
        self.variance = 0.0 if self._count == 1 else (1.0 - weight) * (self.variance + weight * gap * gap)

    @property
    def is_known(self) -> bool:
        return self._count > 0


@value(frozen=True, slots=True)
class TokenEstimate:
    """Tokens of one request before it leaves."""

    input_tokens: float
    """What to expect."""
    input_tokens_p95: float
    """What to reserve: 19 of 20 requests use less."""
    output_tokens: float


class TokenEstimates:
    """The averages of one lane. Memory grows with the number of (model, template) pairs."""

    def __init__(self) -> None:
        self._input: dict[tuple[str, str], _Mean] = {}
        self._output: dict[tuple[str, str], _Mean] = {}

    def estimate(
        self,
        model: str,
        template: str,
        prompt_bytes: int,
        *,
        items: int = 1,
        max_output_tokens: int | None = None,
    ) -> TokenEstimate:
        """Return the estimate for a prompt of `prompt_bytes` UTF-8 bytes with `items` items.

        `max_output_tokens` is the maximum of the whole request: no answer is longer.
        """
        per_byte = self._input.get((model, template)) or _Mean(_INPUT_WEIGHT, _FIRST_TOKENS_PER_BYTE)
        spread = max(_MIN_SPREAD * per_byte.mean, math.sqrt(per_byte.variance))
        per_item = self._output.get((model, template))
        if per_item is None:
            output = float(max_output_tokens) if max_output_tokens else _FIRST_OUTPUT_TOKENS * items
        else:
            output = per_item.mean * items
        return TokenEstimate(
            input_tokens=prompt_bytes * per_byte.mean,
            input_tokens_p95=prompt_bytes * (per_byte.mean + _P95_SIGMAS * spread),
            output_tokens=min(output, float(max_output_tokens)) if max_output_tokens else output,
        )

    def observe(
        self,
        model: str,
        template: str,
        prompt_bytes: int,
        input_tokens: int,
        output_tokens: int,
        *,
        items: int = 1,
    ) -> None:
        """Learn from the usage that the provider reported; a number that makes no sense is left out."""
        key = (model, template)
        if prompt_bytes > 0 and 0 < input_tokens <= 4 * prompt_bytes + 1000:
            self._input.setdefault(key, _Mean(_INPUT_WEIGHT, _FIRST_TOKENS_PER_BYTE)).add(
                input_tokens / prompt_bytes
            )
        if items > 0 and output_tokens > 0:
            self._output.setdefault(key, _Mean(_OUTPUT_WEIGHT, _FIRST_OUTPUT_TOKENS)).add(
                output_tokens / items
            )
