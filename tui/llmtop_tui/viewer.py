"""A viewer as a process of its own: what it shows is an order, and the command line's weight is gone.

`python -P -m llmtop_tui.viewer ORDER` is what `llmtop run` turns into once its engine accepts commands;
`llmtop` alone and `llmtop attach` come here directly. No engine, no config and no command line are
imported: only Textual, the snapshot and, behind the first picture, the socket's client.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmtop.cleaning import clean
from llmtop_tui.order import SOME_ITEMS, Order
from llmtop_tui.scene import ENDED_STATES

if TYPE_CHECKING:
    from llmtop.control.library import Home
    from llmtop.control.protocol import RunDoor
    from llmtop.snapshot import RunLine, Snapshot
    from llmtop_tui.beginning import Beginning
    from llmtop_tui.view import EndReason, ViewOptions

_CODES = {"stopped": 130, "cancelled": 8, "failed": 1}
_WORST_FIRST = (1, 4, 5, 3, 6, 8, 143, 130, 7, 0)
"""Of several runs the worst ending is the command's; a run that goes on counts as 0."""
_LANDING_S = 15.0
"""How long a stop that was asked for here may take to be on disk."""
_LOOK_S = 0.1


def show(order: Order) -> int:
    """Show what is ordered; return the exit code. Raises LlmtopError."""
    return asyncio.run(_show(order))


async def _show(order: Order) -> int:
    from llmtop.control.library import Home
    from llmtop_tui.view import ViewOptions

    home = Home.open(Path(order.home) if order.home else None, os.environ)
    beginning = _beginning(order)
    options = ViewOptions(
        beginning=beginning,
        started=order.started,
        is_run_owner=bool(order.started) or beginning is not None,
        is_read_only=order.is_read_only,
        is_slow=order.is_slow,
        engine_code=_reaped(order.engine_pid) if order.engine_pid else None,
        home=home,
    )
    reason = await _watch(home, order, options)
    started = order.started if beginning is None else beginning.run_ids
    if reason == "called_off":
        _say("llmtop: called off; nothing was sent")
        return _CODES["stopped"]
    if beginning is not None and not started:
        _say(f"{clean(order.name)} goes on without a screen; `llmtop attach` gets it back")
    elif beginning is not None:
        for notice in beginning.ready.result().notices:
            _say(notice)
    codes = [await _end(home, run_id, reason) for run_id in started]
    code = next((code for code in _WORST_FIRST if code in codes), 0)
    return 0 if code == SOME_ITEMS and order.exit_zero else code


def _beginning(order: Order) -> Beginning | None:
    """Listen to an engine that still reads its input."""
    if order.words_fd is None:
        return None
    from llmtop_tui.beginning import Beginning

    return Beginning(order, asyncio.get_running_loop())


async def _watch(home: Home, order: Order, options: ViewOptions) -> EndReason:
    async def list_runs() -> tuple[RunLine, ...]:
        return await asyncio.to_thread(home.runs)

    async def open_one(run_id: str) -> RunDoor:
        return _ahead(home, run_id)

    if order.run is None and options.beginning is None:
        from llmtop_tui.app import browse

        await browse(list_runs, open_one, options)
        return "left"
    from llmtop_tui.app import watch

    if options.beginning is not None:
        door = _begun(home, options.beginning)
    else:
        door = _ahead(home, home.resolve(order.run or "latest").run_id)
    return (await watch(door, options, list_runs, open_one)).reason


def _begun(home: Home, beginning: Beginning) -> RunDoor:
    """Return a door to a run that is not there yet."""
    from llmtop.control.opening import RunAhead, open_run

    async def open_begun() -> RunDoor:
        door.run_id = (await asyncio.shield(beginning.ready)).run_ids[0]
        return await open_run(home, door.run_id)

    door = RunAhead(beginning.name, open_begun)
    return door


def _ahead(home: Home, run_id: str) -> RunDoor:
    """Return a door that opens behind the first picture."""
    from llmtop.control.opening import RunAhead, open_run

    return RunAhead(run_id, lambda: open_run(home, run_id))


def _reaped(pid: int) -> dict[int, int]:
    """Wait for the engine in a thread, so that a dead one leaves no zombie; its exit code comes in here."""
    codes: dict[int, int] = {}

    def wait() -> None:
        with suppress(ChildProcessError):
            codes[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    threading.Thread(target=wait, name="reaper", daemon=True).start()
    return codes


async def _end(home: Home, run_id: str, reason: EndReason) -> int:
    """Tell what a run came to, or how to get back to one that goes on; return its exit code."""
    from llmtop_tui.plain import summary

    snapshot = await _landed(home, run_id) if reason == "stopped" else await _look(home, run_id)
    code = exit_code_of(snapshot)
    if reason == "engine_gone" and code in (None, _CODES["stopped"]):
        _say(f"llmtop: the engine of {clean(run_id)} is gone; what it accepted is kept, run it again")
        return 1
    if code is None:
        _say(f"{clean(run_id)} goes on without a screen; `llmtop attach {clean(run_id)}` gets it back")
        return 0
    for line in summary(snapshot):
        _say(line)
    return code


async def _landed(home: Home, run_id: str) -> Snapshot:
    """Wait for a stop to be done, as long as one may take."""
    for _ in range(int(_LANDING_S / _LOOK_S)):
        snapshot = await _look(home, run_id)
        if snapshot.state in ENDED_STATES:
            return snapshot
        await asyncio.sleep(_LOOK_S)
    return await _look(home, run_id)


async def _look(home: Home, run_id: str) -> Snapshot:
    from llmtop.control.opening import open_run

    door = await open_run(home, run_id)
    try:
        return await door.snapshot()
    finally:
        await door.close()


def exit_code_of(snapshot: Snapshot) -> int | None:
    """Return the code that a run ends `llmtop run` with; None while its engine goes on."""
    if snapshot.exit_code is not None:
        return snapshot.exit_code
    return _CODES.get(snapshot.state)


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def main(words: list[str]) -> int:
    """Show the order that is given as JSON; faults are told as those of every command."""
    from llmtop_tui.cli.entry import guarded

    order = json.loads(words[0])
    return guarded(lambda: show(Order(**{**order, "started": tuple(order["started"])})), [])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
