"""What a pack cost, shared out to its items so that the shares add up to it exactly."""

from __future__ import annotations

from collections.abc import Sequence

from llmtop.model import Usage


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number by weights, by the method of the largest remainder.

    The sum of the shares is `total`, each is within 1 of its exact share, and equal weights differ by
    1 at the most; who comes first gets the odd ones. Weights are whole and not negative; all 0 is as all 1.
    """
    if not weights:
        raise ValueError("nobody to share with")
    if min(weights) < 0:
        raise ValueError("a weight below 0")
    if not any(weights):
        weights = [1] * len(weights)
    if total < 0:
        return [-part for part in share(-total, weights)]
    whole = sum(weights)
    parts = [divmod(total * weight, whole) for weight in weights]
    shares = [quotient for quotient, _ in parts]
    left = total - sum(shares)
    for place in sorted(range(len(parts)), key=lambda place: -parts[place][1])[:left]:
        shares[place] += 1
    return shares


def share_usage(usage: Usage, inputs: Sequence[int], outputs: Sequence[int]) -> list[Usage]:
    """Divide the tokens of a pack: what was read by `inputs`, what was written by `outputs`.

    Of every item, cached tokens stay part of its input and reasoning tokens of its output.
    """
    cached = share(usage.cached_input_tokens, inputs)
    read = share(usage.input_tokens - usage.cached_input_tokens, inputs)
    reasoned = share(usage.reasoning_tokens, outputs)
    written = share(usage.output_tokens - usage.reasoning_tokens, outputs)
    stored = share(usage.cache_write_tokens, inputs)
    return [
        Usage(
            input_tokens=read[place] + cached[place],
            cached_input_tokens=cached[place],
            cache_write_tokens=stored[place],
            output_tokens=written[place] + reasoned[place],
            reasoning_tokens=reasoned[place],
            is_estimated=usage.is_estimated,
        )
        for place in range(len(inputs))
    ]
