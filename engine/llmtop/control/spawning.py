"""Start an engine in a process of its own session, without importing an engine here.

`spawn_engine` starts `python -m llmtop.control.background`, hands it the configs over a pipe and
reads back, line by line in JSON, how far it is, and at last that it accepts commands or why not.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from llmtop.adapters.home import Home
from llmtop.config.effective import to_record
from llmtop.config.input_format import STDIN
from llmtop.config.schema import RunConfig
from llmtop.control.faults import from_words
from llmtop.errors import LlmtopError


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


@dataclass(frozen=True, slots=True)
class Spawned:
    """An engine in a process of its own that accepts commands."""

    pid: int
    run_ids: tuple[str, ...]
    socket: Path
    notices: tuple[str, ...]


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
    order = {
        "home": str(home.folder),
        "configs": [to_record(config) for config in configs],
        "options": asdict(options),
    }
    process, orders, words = _start(reads_stdin=any(config.input.path == STDIN for config in configs))
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()  # it leaves no zombie
    loop = asyncio.get_running_loop()

    def hand_over() -> Spawned:
        with words:
            with suppress(BrokenPipeError), orders:  # it ended at once: `_listen` says so
                orders.write(json.dumps(order))
            return _listen(words, process.pid, on_progress)

    try:
        return await loop.run_in_executor(None, hand_over)
    except asyncio.CancelledError:
        process.terminate()
        raise


def _start(*, reads_stdin: bool) -> tuple[subprocess.Popen[bytes], IO[str], IO[str]]:
    """Start the process; return it, where its order is written and where its words are read."""
    order_read, order_write = os.pipe()
    word_read, word_write = os.pipe()
    orders, words = os.fdopen(order_write, "w"), os.fdopen(word_read)
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
        words.close()
        raise
    finally:
        os.close(order_read)
        os.close(word_write)
    return process, orders, words


def _listen(words: IO[str], pid: int, on_progress: Callable[[float], None] | None) -> Spawned:
    for line in words:
        word = json.loads(line)
        if "progress" in word and on_progress is not None:
            on_progress(word["progress"])
        if "error" in word:
            raise from_words(word["error"])
        if "ready" in word:
            ready = word["ready"]
            return Spawned(pid, tuple(ready["run_ids"]), Path(ready["socket"]), tuple(ready["notices"]))
    raise LlmtopError("", f"the engine (process {pid}) ended before it accepted commands")
