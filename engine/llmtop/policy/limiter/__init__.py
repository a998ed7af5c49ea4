"""The limiter: what one lane (provider, key, model) may send now, and whose turn it is."""

from llmtop.policy.limiter.bucket import Bucket
from llmtop.policy.limiter.cooldown import Cooldown
from llmtop.policy.limiter.limiter import Limiter, Ticket
from llmtop.policy.limiter.rates import Rate, Rates
from llmtop.policy.limiter.rotation import Rotation, RunQueue
from llmtop.policy.limiter.waits import WaitMeter
from llmtop.policy.limiter.words import Cause, Cost, Resource, Wait

__all__ = [
    "Bucket",
    "Cause",
    "Cooldown",
    "Cost",
    "Limiter",
    "Rate",
    "Rates",
    "Resource",
    "Rotation",
    "RunQueue",
    "Ticket",
    "Wait",
    "WaitMeter",
]
