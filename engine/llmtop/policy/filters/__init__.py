"""Filters: text in; passed, changed or rejected out. Pure; the run counts and remembers."""

from llmtop.policy.filters.catalogue import BUILT_IN, build_chain
from llmtop.policy.filters.chain import (
    Asked,
    ChainResult,
    FilterChain,
    FilterCounts,
    Passage,
    Rejection,
    Step,
)
from llmtop.policy.filters.duplicate import DigestMemory
from llmtop.policy.filters.python_function import (
    MEMORY_LIMIT_BYTES,
    TIME_LIMIT_S,
    FilterFunction,
    PythonFunction,
    PythonSettings,
    judged_by,
    load_function,
)
from llmtop.policy.filters.verdicts import Changed, Filter, FilterContext, Pass, Rejected, Seen, Verdict

__all__ = [
    "BUILT_IN",
    "MEMORY_LIMIT_BYTES",
    "TIME_LIMIT_S",
    "Asked",
    "ChainResult",
    "Changed",
    "DigestMemory",
    "Filter",
    "FilterChain",
    "FilterContext",
    "FilterCounts",
    "FilterFunction",
    "Pass",
    "Passage",
    "PythonFunction",
    "PythonSettings",
    "Rejected",
    "Rejection",
    "Seen",
    "Step",
    "Verdict",
    "build_chain",
    "judged_by",
    "load_function",
]
