"""Rates, percentiles and error counts of a run: fed by events, O(1) each, in bounded memory."""

from llmtop.policy.meters.durations import Durations
from llmtop.policy.meters.rates import Ring, eta_s
from llmtop.policy.meters.run import BATCH_WINDOW_S, MeterTotals, RunMeters
from llmtop.policy.meters.troubles import TroubleCost, Troubles

__all__ = [
    "BATCH_WINDOW_S",
    "Durations",
    "MeterTotals",
    "Ring",
    "RunMeters",
    "TroubleCost",
    "Troubles",
    "eta_s",
]
