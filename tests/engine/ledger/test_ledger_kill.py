from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from ledger_values import ids_in, lines_in_ledger, new_ledger

from llmtop.adapters.ledger import Ledger

ITEMS = 400

_WORKS_UNTIL_KILLED = """
import asyncio, os, random, sys
from pathlib import Path
from ledger_values import Listener, end, result
from llmtop.adapters.ledger import Finish, Ledger
from llmtop.model import Attempt

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    rng = random.Random(int(sys.argv[2]))
    next_id = ledger.totals().last_attempt_id + 1
    Listener().start(ledger)
    if rng.random() < 0.5:
        await asyncio.wrap_future(ledger.requeue_soon(["failed"]))
        os.write(1, b"requeued\\n")
    for seq in ledger.pending(-1, 10_000):
        status = rng.choice(["done", "done", "rejected", "failed"])
        ledger.put(Attempt(next_id, seq, 1, 1000.0, 5))
        said = f"kept {seq} {status}\\n".encode()
        ledger.put(Finish(result(seq, status), end(next_id)), lambda said=said: os.write(1, said))
        next_id += 1
        if rng.random() < 0.3:
            await asyncio.sleep(0.001)
    await ledger.flush()
    await asyncio.sleep(0)
    ledger.close()
    os.write(1, b"closed\\n")

asyncio.run(main())
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_told_and_doubles_nothing(folder: Path) -> None:
    new_ledger(folder, ITEMS, rejected_path=str(folder.parent / "rejected.jsonl")).close()
    rng = random.Random(os.environ.get("PYTEST_SEED", "20"))
    told: dict[int, str] = {}

    for round_number in range(12):
        told = _work_until_killed(folder, round_number, rng.randrange(0, 60), told)
        _check(folder, told)
    _work_until_killed(folder, 99, None, told)

    output = ids_in(folder.parent / "out.jsonl") + ids_in(folder.parent / "rejected.jsonl")
    assert sorted(output) == sorted(f"m-{seq}" for seq in range(ITEMS))


def _work_until_killed(folder: Path, seed: int, lines: int | None, told: dict[int, str]) -> dict[int, str]:
    """Let a process work, kill it after some lines of its own; return what was told and must stay."""
    path = os.pathsep.join(each for each in sys.path if each)
    child = subprocess.Popen(
        [sys.executable, "-c", _WORKS_UNTIL_KILLED, str(folder), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert child.stdout is not None
    heard = [child.stdout.readline() for _ in range(lines or 0)]
    if lines is not None:
        child.kill()
    rest, errors = child.communicate(timeout=60)
    if lines is None:
        assert child.returncode == 0, errors
    for line in [*heard, *rest.splitlines()]:
        words = line.split()
        if words[:1] == ["requeued"]:
            told = {seq: status for seq, status in told.items() if status != "failed"}
        elif len(words) == 3:
            told = told | {int(words[1]): words[2]}
    return told


def _check(folder: Path, told: dict[int, str]) -> None:
    """A requeue may have been committed and not told: then its items are pending, and were failed."""
    ledger = Ledger.open(folder)
    ledger.close()
    main, rejected = folder.parent / "out.jsonl", folder.parent / "rejected.jsonl"
    assert main.read_bytes() == lines_in_ledger(folder, lambda status: status != "rejected")
    assert rejected.read_bytes() == lines_in_ledger(folder, lambda status: status == "rejected")
    found = {
        record["id"]: record["status"]
        for path in (main, rejected)
        for record in map(json.loads, path.read_bytes().splitlines())
    }
    assert len(found) == ledger_count(folder)
    lost = {seq for seq, status in told.items() if found.get(f"m-{seq}") != status and status != "failed"}
    assert not lost


def ledger_count(folder: Path) -> int:
    """Return how many results the ledger holds."""
    return lines_in_ledger(folder).count(b"\n")
