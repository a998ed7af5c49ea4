"""The process that runs a user's function: `python -m llmtop.adapters.functions.worker CALL BYTES SECONDS`.

It reads frames {"texts", "fields"} from its standard input and answers each with {"verdicts"}; the
first frame that it writes says {"ready"} or {"fault"}. What the function prints goes nowhere. It
ends when its input does, whatever the function is doing: no worker outlives its engine.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from llmtop.adapters.functions.frames import LENGTH, frame, from_verdict
from llmtop.errors import ConfigError
from llmtop.policy.filters import FilterFunction, judged_by, load_function

_KILL_AFTER_S = 1.0
"""Past the time limit, when the engine that should have ended this process has not."""


def main(call: str, memory_bytes: int, time_limit_s: float) -> int:
    """Load the function and answer until the input ends."""
    requests, answers = _take_over()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, memory_bytes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        function = load_function(call)
    except ConfigError as fault:
        _say(answers, {"fault": [fault.where, fault.what, fault.remedy]})
        return 2
    _say(answers, {"ready": True})
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting.put), daemon=True).start()
    while True:
        _say(answers, _judged(function, waiting.get(), time_limit_s + _KILL_AFTER_S))


def _take_over() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to the engine, and give the function an empty input and an output to nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    return requests, answers


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(OSError, ValueError):  # a system that does not know this limit
        resource.setrlimit(kind, (bound, bound))


def _listen(requests: BinaryIO, put: Callable[[Any], None]) -> None:
    """Hand on what the engine asks; end the process when it asks no more."""
    with suppress(OSError, ValueError):
        while len(head := requests.read(LENGTH.size)) == LENGTH.size:
            put(json.loads(requests.read(*LENGTH.unpack(head))))
    os._exit(0)


def _judged(function: FilterFunction, asked: Any, kill_after_s: float) -> dict[str, Any]:
    signal.setitimer(signal.ITIMER_REAL, kill_after_s)
    verdicts = [from_verdict(judged_by(function, text, asked["fields"])) for text in asked["texts"]]
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    return {"verdicts": verdicts}


def _say(answers: BinaryIO, word: Any) -> None:
    answers.write(frame(word))
    answers.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
