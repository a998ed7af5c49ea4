"""A provider that is not there: a real HTTP server on loopback with limits, latency, faults and books."""

from llmtop.adapters.simulator.books import Books
from llmtop.adapters.simulator.draws import reference_of
from llmtop.adapters.simulator.profile import Profile
from llmtop.adapters.simulator.profiles import PROFILES, load_profile, profile_from, settings_of
from llmtop.adapters.simulator.server import SimulatedProvider
from llmtop.adapters.simulator.serving import Addresses, run_forever
from llmtop.adapters.simulator.vocabulary import CapacityStep, FaultStep
from llmtop.adapters.simulator.writing import last_words_of

__all__ = [
    "PROFILES",
    "Addresses",
    "Books",
    "CapacityStep",
    "FaultStep",
    "Profile",
    "SimulatedProvider",
    "last_words_of",
    "load_profile",
    "profile_from",
    "reference_of",
    "run_forever",
    "settings_of",
]
