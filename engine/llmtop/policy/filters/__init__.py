"""Filters: text in; passed, changed or rejected out. Pure; the run counts and remembers."""

from llmtop.policy.filters.catalogue import BUILT_IN, build_chain
from llmtop.policy.filters.chain import ChainResult, FilterChain, FilterCounts, Rejection, Step
from llmtop.policy.filters.duplicate import DigestMemory
from llmtop.policy.filters.python_function import FilterFunction, load_function
from llmtop.policy.filters.verdicts import Changed, Filter, FilterContext, Pass, Rejected, Seen, Verdict

__all__ = [
    "BUILT_IN",
    "ChainResult",
    "Changed",
    "DigestMemory",
    "Filter",
    "FilterChain",
    "FilterContext",
    "FilterCounts",
    "FilterFunction",
    "Pass",
    "Rejected",
    "Rejection",
    "Seen",
    "Step",
    "Verdict",
    "build_chain",
    "load_function",
]
