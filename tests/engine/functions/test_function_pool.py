"""A user's function in processes of its own: whatever it does, it does it to one answer only."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmtop.adapters.functions import FunctionPool, check_function
from llmtop.errors import ConfigError
from llmtop.policy.filters import Changed, Pass, PythonSettings, Rejected

OWN = """
import os, sys, time

def judge(text, fields):
    print("noise on stdout")
    if text == "raise":
        raise KeyError(fields["title"])
    if text == "exit":
        os._exit(3)
    if text == "sleep":
        time.sleep(60)
    if text == "spin":
        while True:
            pass
    if text == "memory":
        bytearray(2 ** 31)
    if text == "input":
        return repr(sys.stdin.read())
    if text == "pid":
        return str(os.getpid())
    if text == "environ":
        return " ".join(sorted(os.environ))
    if text == "lone":
        return "\\ud800 " + fields["title"]
    return None if text == "pass" else {"reject": "is dull"}
"""

Made = Callable[..., FunctionPool]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def settings(own: Path, **more: Any) -> PythonSettings:
    return PythonSettings(**{"call": f"{own}:judge", "workers": 1, "time_limit": 20.0} | more)


@pytest.fixture
def pool(own: Path) -> Iterator[Made]:
    made: list[FunctionPool] = []

    def make(**more: Any) -> FunctionPool:
        made.append(FunctionPool(settings(own, **more)))
        return made[-1]

    yield make
    for each in made:
        each.close()


FIELDS = {"title": "Vrije dag"}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_each_text_gets_its_verdict_and_what_the_function_prints_goes_nowhere(pool: Made) -> None:
    own = pool()

    verdicts = own.ask(["pass", "dull", "raise", "input", "lone"], FIELDS)

    assert verdicts == [
        Pass(),
        Rejected("python", "is dull"),
        Rejected("python", "made it raise KeyError: 'Vrije dag'"),
        Changed("''", 1, "changed by it"),
        Changed("\ud800 Vrije dag", 1, "changed by it"),
    ]
    assert own.ask([], FIELDS) == []


def test_a_worker_has_no_key_in_its_environment(pool: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("WHATEVER", "sk-secret")
    monkeypatch.setenv("LC_TIME", "C")

    (verdict,) = pool().ask(["environ"], FIELDS)

    assert isinstance(verdict, Changed)
    names = verdict.text.split()
    assert "LC_TIME" in names and "PATH" in names
    assert not {"OPENAI_API_KEY", "WHATEVER"} & set(names)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit", "made its process end"),
        ("sleep", "made it take longer than 300ms"),
        ("spin", "made it take longer than 300ms"),
    ],
)
def test_a_function_that_hangs_or_ends_its_process_costs_that_answer_and_no_other(
    pool: Made, text: str, reason: str
) -> None:
    own = pool(time_limit=0.3)
    (before,) = own.ask(["pid"], FIELDS)

    spoiled = own.ask([text], FIELDS)
    (after,) = own.ask(["pid"], FIELDS)

    assert spoiled == [Rejected("python", reason)]
    assert isinstance(before, Changed) and isinstance(after, Changed)
    assert before.text != after.text
    assert not is_alive(int(before.text))


def test_a_worker_cannot_take_all_the_memory(pool: Made) -> None:
    (verdict,) = pool(memory_limit=2**29).ask(["memory"], FIELDS)

    assert isinstance(verdict, Rejected)
    assert "MemoryError" in verdict.reason


def test_closing_ends_every_worker(pool: Made) -> None:
    own = pool()
    (verdict,) = own.ask(["pid"], FIELDS)
    assert isinstance(verdict, Changed)

    own.close()
    own.close()

    assert not is_alive(int(verdict.text))


async def test_the_event_loop_goes_on_while_workers_work_side_by_side(pool: Made) -> None:
    own = pool(workers=2, time_limit=0.6)
    await asyncio.gather(*(own.ask_async(["pass"], FIELDS) for _ in range(2)))
    started = time.monotonic()
    waits = asyncio.gather(*(own.ask_async(["sleep"], FIELDS) for _ in range(2)))

    turns = 0
    while not waits.done():
        await asyncio.sleep(0.02)
        turns += 1

    assert turns > 5
    assert time.monotonic() - started < 1.1
    assert [type(verdict) for (verdict,) in await waits] == [Rejected, Rejected]


def test_a_worker_that_is_busy_ends_with_its_engine(own: Path, tmp_path: Path) -> None:
    code = (
        "import os, threading, time\n"
        "from llmtop.adapters.functions import FunctionPool\n"
        "from llmtop.policy.filters import PythonSettings\n"
        f"pool = FunctionPool(PythonSettings(call={f'{own}:judge'!r}, workers=1, time_limit=60.0))\n"
        "print(pool.ask(['pid'], {})[0].text, flush=True)\n"
        "threading.Thread(target=pool.ask, args=(['spin'], {}), daemon=True).start()\n"
        "time.sleep(0.2)\n"
        "os._exit(9)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    deadline = time.monotonic() + 10

    while is_alive(int(out)):
        assert time.monotonic() < deadline, "the worker outlived its engine"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def judge(:\n", "cannot be loaded (SyntaxError"),
        ("raise SystemExit(1)\n", "cannot be loaded (SystemExit"),
        ("import os\nos._exit(0)\n", "cannot be loaded in a process of its own (it ended)"),
        ("def jugde(text, fields): ...\n", 'Did you mean "jugde"?'),
    ],
)
def test_a_function_is_loaded_once_before_anything_is_sent(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(content)

    with pytest.raises(ConfigError) as caught:
        check_function(settings(path))

    assert caught.value.where == "call"
    assert said in str(caught.value)


def test_a_function_that_can_be_loaded_passes(own: Path) -> None:
    check_function(settings(own))


@pytest.mark.parametrize("name", ["time_limit", "memory_limit"])
def test_a_limit_without_a_process_is_refused(own: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(own, **{"workers": 0, "time_limit": None, name: 2**30})

    assert caught.value.where == name
