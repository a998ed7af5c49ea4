"""Screenshots of the dashboard for the docs, made from the program itself and from a fixed snapshot.

`python -m llmtop_tui.pictures docs/pictures` writes them as SVG.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmtop.control.protocol import ItemDetail, ItemPage, ItemQuery, JobDetail, RunDoor
from llmtop.errors import UsageError
from llmtop.model import Acknowledgement, Command, Decision
from llmtop.snapshot import RunLine, Snapshot
from llmtop_tui import keys
from llmtop_tui.app import DashboardApp
from llmtop_tui.sample import AT, FINISHED, PAUSED, RUNS, SAMPLE
from llmtop_tui.sample_items import ITEM, ITEMS, JOB_DETAIL, REJECTED
from llmtop_tui.scene import Link, Scene
from llmtop_tui.session import Session
from llmtop_tui.view import ViewOptions

KEYS_START, KEYS_END = "<!-- keys: made by llmtop_tui.pictures -->", "<!-- end of keys -->"
_SIZES = ((80, 24), (120, 40), (200, 50))
_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class StillDoor:
    """A run of which there is one snapshot; it hears no command."""

    run_id = "still"

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def snapshot(self) -> Snapshot:
        return self._snapshot

    async def snapshots(self, interval_s: float) -> AsyncIterator[Snapshot]:
        yield self._snapshot
        await asyncio.Event().wait()

    async def command(self, command: Command) -> Acknowledgement:
        return Acknowledgement(False, "this is a picture")

    async def items(self, query: ItemQuery) -> ItemPage:
        if query.of_row is not None and query.of_row.startswith("p"):
            return ItemPage((REJECTED,), None)
        return ItemPage(tuple(row for row in ITEMS if row.state in query.states), None)

    async def item(self, item_id: str) -> ItemDetail | None:
        return ITEM

    async def job(self, number: int) -> JobDetail | None:
        return JOB_DETAIL

    async def decisions(self, limit: int) -> tuple[Decision, ...]:
        return ()

    async def close(self) -> None:
        """Nothing is held."""


class StillSession(Session):
    """A session whose snapshot is always as old as in the last picture."""

    @property
    def link(self) -> Link:
        """As long as the picture takes to be made: nobody waits for an answer."""
        return "live"

    def scene(self) -> Scene:
        return replace(super().scene(), age_s=0.4)


_PLAIN: dict[str, Any] = {"glyphs": "ascii", "theme": "mono"}
"""As under NO_COLOR in a terminal without UTF-8."""


def _options(**more: Any) -> ViewOptions:
    usual: dict[str, Any] = {"mouse": False, "glyphs": "utf8", "theme": "dark"}
    return ViewOptions(origin="operator@box1", is_run_owner=True, **{**usual, **more})


def _at() -> float:
    return AT + 0.4


def over_run(snapshot: Snapshot, **more: Any) -> DashboardApp:
    """The dashboard over this snapshot, at the moment of the pictures."""
    options = _options(**more)
    session = StillSession(StillDoor(snapshot), options, wall=_at, rss=lambda: 44 * 2**20)
    return DashboardApp(options, session, _list_runs, _open_run, wall=_at)


def over_list(runs: tuple[RunLine, ...] = RUNS) -> DashboardApp:
    """The list of runs."""

    async def list_runs() -> tuple[RunLine, ...]:
        return runs

    return DashboardApp(_options(), list_runs=list_runs, open_run=_open_run, wall=_at)


async def _list_runs() -> tuple[RunLine, ...]:
    return RUNS


async def _open_run(run_id: str) -> RunDoor:
    raise UsageError(run_id, "this is a picture")


async def picture(app: DashboardApp, size: tuple[int, int], presses: tuple[str, ...] = ()) -> str:
    """The screen as SVG after these keys; fonts are the reader's own."""
    async with app.run_test(size=size) as pilot:
        while app.session is not None and app.session.snapshot is None:
            await asyncio.sleep(0.01)
        await pilot.pause()
        app.redraw()
        for key in presses:
            if key == "wait":
                await asyncio.sleep(0.35)
            else:
                await pilot.press(key)
        await pilot.pause()
        svg = app.export_screenshot(title="llmtop")
    await app.finish()
    return _FONT_FACES.sub("", svg)


async def write_all(folder: Path) -> list[Path]:
    """Write every picture; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    dialog = ("b", "wait", "8", "enter")
    wanted: list[tuple[str, Callable[[], DashboardApp], tuple[int, int], tuple[str, ...]]] = [
        (f"overview-{width}x{height}", lambda: over_run(SAMPLE), (width, height), ("wait",))
        for width, height in _SIZES
    ]
    wanted += [
        ("paused-80x24", lambda: over_run(PAUSED), (80, 24), dialog),
        ("plain-80x24", lambda: over_run(SAMPLE, **_PLAIN), (80, 24), ()),
        ("finished-100x30", lambda: over_run(FINISHED), (100, 30), ()),
        ("first-80x24", lambda: over_list(()), (80, 24), ("wait",)),
        ("runs-80x24", over_list, (80, 24), ("wait",)),
        ("help-100x40", lambda: over_run(SAMPLE), (100, 40), ("question_mark",)),
        ("tuner-100x30", lambda: over_run(SAMPLE), (100, 30), ("4",)),
        ("items-100x30", lambda: over_run(SAMPLE), (100, 30), ("3", "wait")),
        ("item-100x30", lambda: over_run(SAMPLE), (100, 30), ("3", "wait", "j", "j", "enter", "wait", "f")),
        ("batches-120x30", lambda: over_run(SAMPLE), (120, 30), ("2",)),
        ("batch-100x30", lambda: over_run(SAMPLE), (100, 30), ("2", "enter", "wait")),
        ("errors-100x30", lambda: over_run(SAMPLE), (100, 30), ("5",)),
    ]
    written = []
    for name, make, size, presses in wanted:
        path = folder / f"{name}.svg"
        path.write_text(await picture(make(), size, presses), encoding="utf-8")
        written.append(path)
    return written


def with_keys(page: str) -> str:
    """The page with the table of keys between its two markers."""
    before, _, rest = page.partition(KEYS_START)
    _, _, after = rest.partition(KEYS_END)
    return f"{before}{KEYS_START}\n{keys.markdown()}{KEYS_END}{after}"


def main() -> None:
    """Write the pictures into the folder that is named, and the keys into `dashboard.md` beside it."""
    if len(sys.argv) != 2:
        sys.exit("llmtop_tui.pictures: name the folder to write to, as in docs/pictures")
    os.environ["TZ"] = "UTC"
    os.environ.pop("NO_COLOR", None)
    time.tzset()
    for path in asyncio.run(write_all(Path(sys.argv[1]))):
        sys.stderr.write(f"wrote {path}\n")
    page = Path(sys.argv[1]).parent / "dashboard.md"
    if page.exists():
        page.write_text(with_keys(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
