"""A few worker processes for one function of the user's own.

Whatever happens to a worker happens to the answer it was asked about: that one is rejected with
the reason, the worker is ended, and the next answer gets a new one.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from llmtop.adapters.functions.frames import LENGTH, MAX_FRAME_BYTES, frame, to_verdict
from llmtop.config.amounts import spell_duration
from llmtop.errors import ConfigError
from llmtop.policy.filters import (
    MEMORY_LIMIT_BYTES,
    TIME_LIMIT_S,
    PythonFunction,
    PythonSettings,
    Rejected,
    Verdict,
)

_START_S = 60.0
"""How long a module may take to be imported."""
_PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONHASHSEED", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "OMP_NUM_THREADS"),
    }
)
"""Variables that a worker gets, beside LC_*: no other, so that no key is among them."""


class _Failure(Exception):
    """What became of a worker; reads on after "the answer"."""


class FunctionPool:
    """At most `workers` processes, started when they are needed; `close` ends them.

    May be asked from several threads; each question waits for a free worker.
    """

    def __init__(self, settings: PythonSettings) -> None:
        self._settings = settings
        self._free = threading.Semaphore(settings.workers)
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="filter")
        """Each waits for one process."""

    def __repr__(self) -> str:
        return f"<FunctionPool {self._settings.call} {len(self._alive)} of {self._settings.workers}>"

    async def ask_async(self, texts: Sequence[str], fields: Mapping[str, Any]) -> list[Verdict]:
        """As `ask`, while the event loop goes on. Cancelling it lets the worker come to its end or limit."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.ask, texts, fields)

    def ask(self, texts: Sequence[str], fields: Mapping[str, Any]) -> list[Verdict]:
        """Return the function's verdict on each text of one answer; a failure is a rejection. Blocking."""
        if not texts:
            return []
        with self._free:
            worker = self._idle_one() or _Worker(self._settings)
            self._alive.add(worker)
            try:
                verdicts = worker.ask(texts, fields)
            except BaseException as error:
                worker.end()
                self._alive.discard(worker)
                if isinstance(error, _Failure):
                    return [Rejected(PythonFunction.name, str(error))] * len(texts)
                raise
            self._idle.append(worker)
            return verdicts

    def _idle_one(self) -> _Worker | None:
        """Return a worker that waits for a question; one that ended meanwhile is nobody's fault."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self._alive.discard(worker)
        return None

    def close(self) -> None:
        """End all workers. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._idle.clear()
        for worker in list(self._alive):
            worker.end()
        self._alive.clear()


class _Worker:
    """One process, started at its first question."""

    def __init__(self, settings: PythonSettings) -> None:
        self._settings = settings
        self._time_limit_s = settings.time_limit or TIME_LIMIT_S
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, texts: Sequence[str], fields: Mapping[str, Any]) -> list[Verdict]:
        """Raises _Failure where no answer comes in time, or none that makes sense."""
        process = self._process or self._started()
        try:
            _write(process, frame({"texts": list(texts), "fields": dict(fields)}))
            verdicts = [to_verdict(said) for said in _read(process, self._time_limit_s)["verdicts"]]
        except TimeoutError:
            raise _Failure(f"made it take longer than {spell_duration(self._time_limit_s)}") from None
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            raise _Failure("made its process end") from None
        if len(verdicts) != len(texts):
            raise _Failure("made its process end")
        return verdicts

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            self._process = subprocess.Popen(
                _command(self._settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=_environment(os.environ),
                start_new_session=True,
            )
            word = _read(self._process, _START_S)
        except (OSError, EOFError, ValueError) as error:
            raise _Failure(f"could not be given to it: no process ({type(error).__name__})") from None
        if "fault" in word:
            raise _Failure(f"could not be given to it: {word['fault'][1]}")
        return self._process

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        """End it and whatever it has started."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(data)
    while view:
        view = view[os.write(process.stdin.fileno(), view) :]


def _read(process: subprocess.Popen[bytes], within_s: float) -> Any:
    """Return the next frame. Raises TimeoutError, EOFError, or ValueError for what is none."""
    deadline = time.monotonic() + within_s
    (length,) = LENGTH.unpack(_bytes(process, LENGTH.size, deadline))
    if length > MAX_FRAME_BYTES:
        raise ValueError("too long")
    return json.loads(_bytes(process, length, deadline))


def _bytes(process: subprocess.Popen[bytes], number: int, deadline: float) -> bytes:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    found = bytearray()
    while len(found) < number:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise TimeoutError
        part = os.read(descriptor, min(number - len(found), 1 << 20))
        if not part:
            raise EOFError
        found += part
    return bytes(found)


def check_function(settings: PythonSettings) -> None:
    """Load the function in a process as it will run. Blocking. Raises ConfigError at "call"."""
    try:
        done = subprocess.run(
            _command(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(os.environ),
            start_new_session=True,
            timeout=_START_S,
            check=False,
        )
        word = json.loads(done.stdout[LENGTH.size :] or b"{}")
    except subprocess.TimeoutExpired:
        what = f"names a module that takes longer than {spell_duration(_START_S)} to be imported"
        raise ConfigError("call", what) from None
    except (OSError, ValueError) as error:
        raise ConfigError("call", f"cannot be loaded in a process of its own ({error})") from None
    if "fault" in word:
        raise ConfigError(*word["fault"])
    if "ready" not in word:
        raise ConfigError(
            "call", "cannot be loaded in a process of its own (it ended)", "Is memory_limit large enough?"
        )


def _command(settings: PythonSettings) -> list[str]:
    memory_bytes = settings.memory_limit or MEMORY_LIMIT_BYTES
    limits = [str(memory_bytes), str(settings.time_limit or TIME_LIMIT_S)]
    return [sys.executable, "-P", "-m", "llmtop.adapters.functions.worker", settings.call, *limits]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in _PASSED_ON or name.startswith("LC_")}
