"""What a process does that is there for an engine: the loop it turns on, and how it keeps its memory.

Only the entry points use it. A program that embeds an engine keeps its own loop and its own settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_YOUNG_OBJECTS = 20_000
"""Containers made, less those freed, before the young ones are looked through (Python: 700)."""

_M_ARENA_MAX = -8
"""Of glibc's `mallopt`: how many heaps its threads may spread over."""


def run_engine_process(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine that this process is there for."""
    ease_collector()
    keep_one_heap()
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(main)


def ease_collector() -> None:
    """Look for cycles of garbage less often, and never among what was imported.

    A request makes hundreds of short-lived objects and hardly a cycle: at Python's own pace the
    collector took a sixth of the CPU. The bound on garbage stays a few megabytes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)


def keep_one_heap() -> None:
    """Let all threads share one heap, where the C library is glibc.

    Each run has a thread that writes. With a heap for each, twenty runs kept 30 MiB of memory that
    was free in one heap and missing in another.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library has no such call
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop where the extra `fast` is installed, else the standard one."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    loop: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return loop
