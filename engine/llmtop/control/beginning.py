"""What an engine says while it begins: how far the input is read, that it accepts commands, or why not.

Its words come line by line in JSON over a pipe. Who listens may change in between: what was read and
not yet understood goes along with the pipe. Light on purpose: a viewer listens too.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtop.control.faults import from_words
from llmtop.errors import LlmtopError

_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Spawned:
    """An engine in a process of its own that accepts commands."""

    pid: int
    run_ids: tuple[str, ...]
    socket: Path
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beginning:
    """An engine that reads its input and does not accept commands yet."""

    pid: int
    words_fd: int
    """Where its further words are read; whoever has it closes it."""
    heard: str
    """What was read from there and not understood yet: the start of a word."""
    part: float
    """Of the input, 0 to 1."""


def listen(
    words_fd: int,
    pid: int,
    on_progress: Callable[[float], None] | None = None,
    *,
    heard: str = "",
    patience_s: float = math.inf,
) -> Spawned | Beginning:
    """Read an engine's words, in a thread: this blocks. Raises what it could not begin for.

    Returns when it accepts commands, or when it has read for `patience_s` and is not at the end of its
    input yet. `on_progress` gets the part that was read, 0 to 1.
    """
    buffer = heard.encode()
    until: float | None = None
    while True:
        line, newline, rest = buffer.partition(b"\n")
        if not newline:
            data = os.read(words_fd, _READ_BYTES)
            if not data:
                raise LlmtopError("", f"the engine (process {pid}) ended before it accepted commands")
            buffer += data
            continue
        buffer = rest
        word: dict[str, Any] = json.loads(line)
        if "error" in word:
            raise from_words(word["error"])
        if "ready" in word:
            ready = word["ready"]
            return Spawned(pid, tuple(ready["run_ids"]), Path(ready["socket"]), tuple(ready["notices"]))
        if on_progress is not None:
            on_progress(word["progress"])
        until = time.monotonic() + patience_s if until is None else until
        if time.monotonic() >= until and word["progress"] < 1.0:
            return Beginning(pid, words_fd, buffer.decode(), word["progress"])
