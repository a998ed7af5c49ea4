"""A viewer over a fake run, for tests and measurements that need a real terminal.

`python viewer_child.py SECONDS_PER_SNAPSHOT [option=value ...]`, `pace=N`: new rows a snapshot;
`then=STATE`: the state that the run is in after SIGUSR1.
Says on stderr, as JSON, how it ended, how often its event loop
ticked (every 20 ms) and the longest gap between two ticks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from dataclasses import replace

from llmtop.snapshot import ErrorKind, LogLine
from llmtop_tui.sample import SAMPLE

_STARTED = time.monotonic()


async def _beat(beats: list[float]) -> None:
    while True:
        beats.append(time.monotonic())
        await asyncio.sleep(0.02)


def _hostile() -> dict[str, object]:
    """Escape sequences and markup wherever somebody else writes."""
    nasty = "\x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x07\x9b2J\x1b[2J\x1bPq\x1b\\[/][@click=app.exit]"
    rows = tuple(replace(row, key=nasty, item_id=nasty, state=nasty, note=nasty) for row in SAMPLE.rows)
    log = (LogLine(SAMPLE.at, nasty, nasty), *SAMPLE.log)
    return {
        "name": nasty,
        "rows": rows,
        "log": log,
        "warnings": (nasty,),
        "last_command": nasty,
        "errors": replace(SAMPLE.errors, kinds=(ErrorKind(nasty, 1, 1.0, SAMPLE.at, nasty, nasty),)),
    }


async def _main(interval_s: float, options: dict[str, object]) -> None:
    from fake_door import FakeDoor

    from llmtop_tui.app import ViewOptions, watch

    beats: list[float] = []
    door = FakeDoor(is_lively=interval_s > 0, pace=int(str(options.pop("pace", 2))))
    if options.pop("hostile", False):
        door.push(**_hostile())
    if options.pop("paused", False):
        door.push(state="paused")
    if then := options.pop("then", ""):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: door.push(state=str(then)))
    beating = asyncio.create_task(_beat(beats))
    defaults: dict[str, object] = {"origin": "me@test", "mouse": True, "interval_s": interval_s or 1.0}
    end = await watch(door, ViewOptions(**{**defaults, **options}))  # type: ignore[arg-type]
    beating.cancel()
    gaps = [after - before for before, after in itertools.pairwise(beats)]
    said = {
        "reason": end.reason,
        "beats": len(beats),
        "gap_s": round(max(gaps, default=0.0), 3),
        "commands": [[command.verb, dict(command.values or {})] for command in door.commands],
    }
    print(json.dumps(said), file=sys.stderr)


def _value(text: str) -> object:
    return {"true": True, "false": False}.get(text, text)


if __name__ == "__main__":
    pairs = [word.split("=", 1) for word in sys.argv[2:]]
    asyncio.run(_main(float(sys.argv[1]), {name: _value(value) for name, value in pairs}))
