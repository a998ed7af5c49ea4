"""An engine in a process of its own session, that outlives the terminal it was started from.

`spawn_engine` starts `python -m llmtop.control.background`, hands it the configs over a pipe and
reads back, line by line in JSON, how far it is, and at last that it accepts commands or why not.
The engine ends when its work is done, or stands still until a person does something, and nobody
looks at it; after a signal it ends as soon as its runs have stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from llmtop.adapters.home import Home
from llmtop.config.effective import from_record, to_record
from llmtop.config.input_format import STDIN
from llmtop.config.schema import RunConfig
from llmtop.control.faults import as_words, from_words
from llmtop.control.launch import EngineHere, RunOptions, engine_here
from llmtop.control.logs import EngineLog, tidy
from llmtop.errors import LlmtopError

_LINGER_S = 3.0
"""How long an engine waits for a viewer once it has nothing to do."""
_POLL_S = 0.25


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
            [sys.executable, "-m", "llmtop.control.background", str(order_read), str(word_write)],
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


# -- in the engine's process ---------------------------------------------------------------------


def main(order_fd: int, word_fd: int) -> int:
    """Run the engine that the order describes; the exit code is the runs'."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    words = os.fdopen(word_fd, "w", buffering=1)
    log: EngineLog | None = None
    try:
        with os.fdopen(order_fd) as orders:
            order = json.load(orders)
        home = Home.open(Path(order["home"]), os.environ)
        tidy(home.engines_folder)
        log = EngineLog(home.engines_folder / f"{os.getpid()}.log")
        log.redirect()
        configs = [from_record(record) for record in order["configs"]]
        return asyncio.run(_serve(home, configs, RunOptions(**order["options"]), words))
    except LlmtopError as error:
        _tell(words, {"error": as_words(error)})
        return error.exit_code
    except BaseException as error:
        if log is not None:
            log.bug(error)
        _tell(words, {"error": as_words(_bug(error, log))})
        return 1
    finally:
        if log is not None:
            log.close()


def _bug(error: BaseException, log: EngineLog | None) -> LlmtopError:
    remedy = "" if log is None else f"the log is {log.path}"
    return LlmtopError("", f"a bug in llmtop ended the engine: {type(error).__name__}: {error}", remedy)


async def _serve(home: Home, configs: Sequence[RunConfig], options: RunOptions, words: IO[str]) -> int:
    def progress(part: float) -> None:
        _tell(words, {"progress": part})

    async with engine_here(home, configs, options, progress) as engine:
        _let_go_of_stdin()
        received = _listen_to_signals(engine)
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
        with suppress(OSError):
            words.close()
        return await _until_nobody_looks(engine, received)


async def _until_nobody_looks(engine: EngineHere, received: Sequence[int]) -> int:
    """Wait until the work is done or stands still, and no viewer has looked for a while."""
    loop = asyncio.get_running_loop()
    while True:
        code = await engine.wait()
        left_at = loop.time()
        while engine.is_settled:
            if received:
                return code
            if engine.viewers:
                left_at = loop.time()
            elif loop.time() - left_at >= _LINGER_S:
                return code
            await asyncio.sleep(_POLL_S)


def _listen_to_signals(engine: EngineHere) -> Sequence[int]:
    """Stop politely at the first SIGINT or SIGTERM, at once at the second; return what came."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        act = engine.stop if len(received) == 1 else engine.stop_now
        act(128 + received[0])

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return received


def _let_go_of_stdin() -> None:
    """What came by standard input is kept with the run; a terminal there is not ours."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _tell(words: IO[str], word: Mapping[str, Any]) -> None:
    """Whoever started us may be gone: that is no reason to stop."""
    with suppress(OSError, ValueError):
        words.write(json.dumps(word) + "\n")
        words.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
