"""The runs of a state folder, for front ends, which may not hold an adapter."""

from __future__ import annotations

from llmtop.adapters.engines import EngineRecord
from llmtop.adapters.home import Home, RunRef, is_lower_bound, state_at_rest

__all__ = ["EngineRecord", "Home", "RunRef", "is_lower_bound", "state_at_rest"]
