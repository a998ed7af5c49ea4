"""Start an engine in a process of its own session, without importing an engine here.

`spawn_engine` starts `python -m llmtop.control.background`, hands it the configs over a pipe and
reads back, line by line in JSON, how far it is, and at last that it accepts commands or why not.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO

from llmtop.adapters.home import Home
from llmtop.config.effective import to_record
from llmtop.config.input_format import STDIN
from llmtop.config.schema import RunConfig
from llmtop.control.beginning import Beginning, Spawned, listen

__all__ = ["Beginning", "RunOptions", "Spawned", "begin_engine", "spawn_engine"]


_SHORT_S = 0.3
"""How long an input may be read before its reader is worth a look."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to start, beside the configs themselves."""

    resume: str | None = None
    """A run to continue, by the words of `Home.resolve`; None: the config's own unfinished one."""
    fresh: bool = False
    assume_yes: bool = False
    exit_zero: bool = False
    """End with 0 although items failed or were rejected."""
    allow_code: bool = False
    """Whether the configs' `python` filters may run."""
    metrics_port: int | None = None
    """Where the engine serves figures for Prometheus, on 127.0.0.1; None: nowhere."""


async def spawn_engine(
    home: Home,
    configs: Sequence[RunConfig],
    options: RunOptions,
    on_progress: Callable[[float], None] | None = None,
) -> Spawned:
    """Start an engine in a session of its own; return when it accepts commands.

    `on_progress` gets the part of the input that was read, 0 to 1. Raises what the engine met
    before it could start (ConfigError, InputError, UsageError, RunOwned, StateError). Cancelling
    it ends the engine. Whoever dies meanwhile leaves it behind, as a hang-up does.
    """
    engine = await _begin(home, configs, options, on_progress, math.inf)
    assert isinstance(engine, Spawned)  # who is patient hears of nothing else
    return engine


async def begin_engine(home: Home, configs: Sequence[RunConfig], options: RunOptions) -> Spawned | Beginning:
    """As `spawn_engine`, but returns too while the engine reads a long input.

    The pipe of a `Beginning` is inherited by what this process turns into (`exec`).
    """
    return await _begin(home, configs, options, None, _SHORT_S)


async def _begin(
    home: Home,
    configs: Sequence[RunConfig],
    options: RunOptions,
    on_progress: Callable[[float], None] | None,
    patience_s: float,
) -> Spawned | Beginning:
    order = {
        "home": str(home.folder),
        "configs": [to_record(config) for config in configs],
        "options": asdict(options),
    }
    process, orders, words_fd = _start(reads_stdin=any(config.input.path == STDIN for config in configs))
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()  # it leaves no zombie
    loop = asyncio.get_running_loop()

    def hand_over() -> Spawned | Beginning:
        found: Spawned | Beginning | None = None
        try:
            with suppress(BrokenPipeError), orders:  # it ended at once: `listen` says so
                orders.write(json.dumps(order))
            found = listen(words_fd, process.pid, on_progress, patience_s=patience_s)
        finally:
            if isinstance(found, Beginning):
                os.set_inheritable(words_fd, True)
            else:
                os.close(words_fd)
        return found

    try:
        return await loop.run_in_executor(None, hand_over)
    except asyncio.CancelledError:
        process.terminate()
        raise


def _start(*, reads_stdin: bool) -> tuple[subprocess.Popen[bytes], IO[str], int]:
    """Start the process; return it, where its order is written and where its words are read."""
    order_read, order_write = os.pipe()
    word_read, word_write = os.pipe()
    orders = os.fdopen(order_write, "w")
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llmtop.control.background", str(order_read), str(word_write)],
            stdin=None if reads_stdin else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(order_read, word_write),
            start_new_session=True,
            close_fds=True,
        )
    except BaseException:
        orders.close()
        os.close(word_read)
        raise
    finally:
        os.close(order_read)
        os.close(word_write)
    return process, orders, word_read
