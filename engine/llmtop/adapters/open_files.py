"""How many files this process may have open: every connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress

BESIDE_REQUESTS = 64
"""Files that are open besides the connections: ledger, output, socket, cache, log."""


def raise_limit() -> None:
    """Take as many open files as the system gives us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def limit() -> int | None:
    """Return how many files may be open; None: as many as wanted."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def most_requests() -> int | None:
    """Return how many requests may be in flight at once; None: as many as wanted."""
    most = limit()
    return None if most is None else max(1, most - BESIDE_REQUESTS)
