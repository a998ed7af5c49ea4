"""An engine in a process of its own session, that outlives the terminal it was started from.

`spawn_engine` starts `python -m llmtop.control.background`, hands it the configs over a pipe and
reads back, line by line in JSON, how far it is, and at last that it accepts commands or why not.
The engine ends when its work is done, or stands still until a person does something, and nobody
looks at it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from llmtop.adapters.home import Home
from llmtop.config.effective import from_record, to_record
from llmtop.config.input_format import STDIN
from llmtop.config.schema import RunConfig
from llmtop.control.launch import EngineHere, RunOptions, engine_here
from llmtop.errors import (
    ConfigError,
    InputError,
    LlmtopError,
    ProviderRefused,
    RunOwned,
    StateError,
    UsageError,
)

_LINGER_S = 3.0
"""How long an engine waits for a viewer once it has nothing to do."""
_POLL_S = 0.25

_KINDS: dict[str, type[LlmtopError]] = {
    kind.__name__: kind
    for kind in (LlmtopError, UsageError, ConfigError, InputError, ProviderRefused, StateError)
}


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
    before it could start (ConfigError, InputError, UsageError, RunOwned, StateError).
    """
    order = {
        "home": str(home.folder),
        "configs": [to_record(config) for config in configs],
        "options": asdict(options),
    }
    reads_stdin = any(config.input.path == STDIN for config in configs)
    order_read, order_write = os.pipe()
    word_read, word_write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmtop.control.background", str(order_read), str(word_write)],
            stdin=None if reads_stdin else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(order_read, word_write),
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(order_read)
        os.close(word_write)
    loop = asyncio.get_running_loop()
    with os.fdopen(order_write, "w") as orders:
        await loop.run_in_executor(None, orders.write, json.dumps(order))
        await loop.run_in_executor(None, orders.flush)
    with os.fdopen(word_read, "r") as words:
        return await loop.run_in_executor(None, _listen, words, process.pid, on_progress)


def _listen(words: IO[str], pid: int, on_progress: Callable[[float], None] | None) -> Spawned:
    for line in words:
        word = json.loads(line)
        if "progress" in word and on_progress is not None:
            on_progress(word["progress"])
        if "error" in word:
            raise _revived(word["error"])
        if "ready" in word:
            ready = word["ready"]
            return Spawned(pid, tuple(ready["run_ids"]), Path(ready["socket"]), tuple(ready["notices"]))
    raise LlmtopError("engine", "ended before it accepted commands", f"see the log of process {pid}")


def _revived(error: Mapping[str, Any]) -> LlmtopError:
    if error["kind"] == "RunOwned":
        return RunOwned(error["where"], error["pid"])
    return _KINDS.get(error["kind"], LlmtopError)(error["where"], error["what"], error["remedy"])


# -- in the engine's process ---------------------------------------------------------------------


def main(order_fd: int, word_fd: int) -> int:
    """Run the engine that the order describes; the exit code is the runs'."""
    with os.fdopen(order_fd) as orders:
        order = json.load(orders)
    words = os.fdopen(word_fd, "w", buffering=1)
    home = Home.open(Path(order["home"]), os.environ)
    _log_to(home.engines_folder / f"{os.getpid()}.log")
    configs = [from_record(record) for record in order["configs"]]
    try:
        return asyncio.run(_serve(home, configs, RunOptions(**order["options"]), words))
    except LlmtopError as error:
        _tell(words, {"error": _as_words(error)})
        return error.exit_code
    except BaseException as error:
        traceback.print_exc(limit=-8)
        _tell(
            words,
            {"error": {"kind": "", "where": "engine", "what": f"a bug in llmtop: {error!r}", "remedy": ""}},
        )
        return 1


async def _serve(home: Home, configs: Sequence[RunConfig], options: RunOptions, words: IO[str]) -> int:
    def progress(part: float) -> None:
        _tell(words, {"progress": part})

    async with engine_here(home, configs, options, progress) as engine:
        _listen_to_signals(engine)
        _tell(
            words,
            {
                "ready": {
                    "run_ids": list(engine.run_ids),
                    "socket": str(engine.socket),
                    "notices": list(engine.notices),
                }
            },
        )
        words.close()
        return await _until_nobody_looks(engine)


async def _until_nobody_looks(engine: EngineHere) -> int:
    """Wait until the work is done or stands still, and no viewer has looked for a while."""
    loop = asyncio.get_running_loop()
    while True:
        code = await engine.wait()
        left_at = loop.time()
        while engine.is_settled:
            if engine.viewers:
                left_at = loop.time()
            elif loop.time() - left_at >= _LINGER_S:
                return code
            await asyncio.sleep(_POLL_S)


def _listen_to_signals(engine: EngineHere) -> None:
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        act = engine.stop if len(received) == 1 else engine.stop_now
        act(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _tell(words: IO[str], word: Mapping[str, Any]) -> None:
    """Whoever started us may be gone: that is no reason to stop."""
    with suppress(OSError, ValueError):
        words.write(json.dumps(word) + "\n")
        words.flush()


def _as_words(error: LlmtopError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "where": error.where,
        "what": error.what,
        "remedy": error.remedy,
        "pid": getattr(error, "pid", None),
    }


def _log_to(path: Path) -> None:
    """Send stdout and stderr to a file: the terminal is not ours any more."""
    for old in path.parent.glob("*.log"):
        if old.stat().st_size == 0 and not Path(f"/proc/{old.stem}").exists():
            old.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
