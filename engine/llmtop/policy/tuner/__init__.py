"""The tuner: concurrency, rates and pack size of one lane, from what every request came to."""

from llmtop.policy.tuner.packs import Packs
from llmtop.policy.tuner.telemetry import evidence_words, next_step, phase_words
from llmtop.policy.tuner.tuner import Tuner
from llmtop.policy.tuner.words import Flight, Journal, Mode, Phase, Record, Report

__all__ = [
    "Flight",
    "Journal",
    "Mode",
    "Packs",
    "Phase",
    "Record",
    "Report",
    "Tuner",
    "evidence_words",
    "next_step",
    "phase_words",
]
