"""Functions of the user's own, in processes that have no keys and are bounded in time and memory."""

from llmtop.adapters.functions.pool import FunctionPool, check_function

__all__ = ["FunctionPool", "check_function"]
