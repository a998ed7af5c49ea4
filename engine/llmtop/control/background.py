"""An engine in a process of its own session, that outlives the terminal it was started from.

This is the engine's side: `control.spawning` starts it as `python -m llmtop.control.background`, hands it
the configs over a pipe and hears, line by line in JSON, how far it is, and at last that it accepts
commands or why not. The engine ends when its work is done, or stands still until a person does
something, and nobody looks at it; after a signal it ends as soon as its runs have stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from llmtop.adapters.home import Home
from llmtop.config.effective import from_record
from llmtop.config.schema import RunConfig
from llmtop.control.faults import as_words
from llmtop.control.launch import EngineHere, engine_here
from llmtop.control.logs import EngineLog, tidy
from llmtop.control.process import run_engine_process
from llmtop.control.spawning import RunOptions
from llmtop.errors import LlmtopError

_LINGER_S = 3.0
"""How long an engine waits for a viewer once it has nothing to do."""
_POLL_S = 0.25


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
        return run_engine_process(_serve(home, configs, RunOptions(**order["options"]), words))
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
