"""Answers that were paid for once, shared by all processes of a user: SQLite, or Redis where it is wanted.

Both keep the same contract (`get`, `put`, `groups`, `prune`, `clear`, `close`). A cache never ends
a run: what goes wrong in it becomes a notice and a miss.
"""

from llmtop.adapters.cache.entries import CacheGroup, request_key
from llmtop.adapters.cache.shared import SharedCache

__all__ = ["CacheGroup", "SharedCache", "request_key"]
