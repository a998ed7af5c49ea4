"""Every key of the table, pressed on every screen that claims it: something is seen, said or sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fake_door import FakeDoor
from viewing import Clock, Viewer, viewer

from llmtop.snapshot import LogLine
from llmtop_tui.app import DashboardApp, ViewOptions
from llmtop_tui.key_table import TABLE, Key, Place
from llmtop_tui.panel import LineWidget
from llmtop_tui.sample import RUNS, SAMPLE
from llmtop_tui.screens.batches import BatchesScreen
from llmtop_tui.screens.errors import ErrorsScreen
from llmtop_tui.screens.flight_screen import FlightScreen
from llmtop_tui.screens.items import ItemsScreen
from llmtop_tui.screens.log import LogScreen
from llmtop_tui.screens.panel_screen import TunerScreen
from llmtop_tui.screens.run_screen import RunScreen

SIZE = (100, 22)
AT_A_TERMINAL = {"repaint", "suspend"}
"""What they do is bytes on a terminal: `test_terminal.py` looks at those."""
LEAVING = {"detach", "quit", "interrupt"}
TABS = {"overview": "1", "batches": "2", "items": "3", "panel": "4", "errors": "5", "log": "6"}
LONG = replace(
    SAMPLE,
    log=tuple(LogLine(SAMPLE.at - 60 + n, "", f"p{n:05d} answer {n} misses 3 ids") for n in range(40)),
    warnings=tuple(f"warning number {n} of many" for n in range(12)),
    rows=tuple(
        replace(SAMPLE.rows[n % 4], key=f"p{n:05d}", items=1, item_id=f"m-{n}", attempt=n) for n in range(40)
    ),
)
PARTS = {"part_prompt": "a"}
"""The key to press first, where the screen opens with what the key shows."""


SCREENS: dict[Place, type] = {
    "batches": BatchesScreen,
    "items": ItemsScreen,
    "panel": TunerScreen,
    "errors": ErrorsScreen,
    "log": LogScreen,
}


def keys_of(place: Place) -> list[tuple[Key, str]]:
    """The keys to press: on the overview all; elsewhere those that the screen does in its own way."""
    found = []
    for key in TABLE:
        if place not in key.where or key.action in AT_A_TERMINAL:
            continue
        name, screen = f"do_{key.action}", SCREENS.get(place)
        is_shared = screen is not None and getattr(screen, name, None) is getattr(RunScreen, name, None)
        if not is_shared or "overview" not in key.where:
            found += [(key, each) for each in key.keys]
    return found


def seen(view: Viewer) -> tuple[object, ...]:
    """All that a press can change."""
    app = view.app
    screen = app.screen
    dialog = getattr(screen, "dialog", None)
    return (
        type(screen),
        [list(each._lines) for each in screen.query(LineWidget) if each.region and each.display],
        dialog.question if dialog is not None else None,
        getattr(getattr(screen, "status", None), "text", ""),
        getattr(getattr(screen, "status", None), "_typing", None) is not None,
        [command.verb for command in view.door.commands],
        app.clipboard,
        app.reason,
    )


async def at(view: Viewer, place: Place) -> None:
    """Stand on a screen as if it had just been opened, with the cursor in the middle of its list."""
    app = view.app
    while len(app.screen_stack) > app._depth():
        app.pop_screen()
    assert app.session is not None
    app.session.view = type(app.session.view)()
    app.session.item_view = type(app.session.item_view)()
    app.session.is_frozen = False
    app.session.steering.undos.clear()
    if place == "help":
        app.open_tab("1")
        await view.settle()
        await view.press("question_mark", "pagedown")
        return
    if place == "item":
        await at(view, "items")
        await view.press("enter")
        await view.until(lambda: "m-" in view.text("title") and "attempts" in view.text("title"))
        return
    screen = app.screen
    if isinstance(screen, FlightScreen) and TABS[place] == screen.TAB:  # quicker than a new one
        screen.remove_class("-bare")
        screen.table._followed = None
        screen.table.cursor = 12
        app.redraw()
        return
    app.open_tab(TABS[place])
    await view.settle()
    app.redraw()
    if place == "items":
        await view.until(lambda: "m-" in view.text("table"))
    for _ in range(3 if place == "errors" else 12):
        app.screen.action_do("down")  # type: ignore[attr-defined]


async def prepared(view: Viewer, key: Key) -> None:
    """What must be there for the key to have something to do."""
    if key.action == "undo":
        await view.press("t")
        await view.until(lambda: bool(view.app.session and view.app.session.steering.undos))
    elif key.action == "back" and getattr(view.app.screen, "TAB", "") == "1":
        await view.press("e")
    elif key.action in PARTS:
        await view.press(PARTS[key.action])
    elif key.group == "move" or key.action in {"next_match", "last_match"}:
        is_down = key.action in {"down", "page_down", "end", "next_match"}
        view.app.screen.action_do("home" if is_down else "end")  # type: ignore[attr-defined]
        await view.settle()
        if is_down and isinstance(view.app.screen, ItemsScreen):
            await view.until(lambda: view.app.screen.table.cursor == 0)  # type: ignore[attr-defined]


@asynccontextmanager
async def long_run() -> AsyncIterator[Viewer]:
    door = FakeDoor(LONG)
    async with viewer(door, size=SIZE, glyphs="utf8") as view:
        view.app.has_list = True
        yield view


@pytest.mark.parametrize("place", [*TABS, "item", "help"])
async def test_every_key_of_a_screen_does_something_there(place: Place) -> None:
    idle: list[str] = []
    async with long_run() as view:
        for key, name in keys_of(place):
            if key.action in LEAVING or key.action == "screen_0":
                continue
            if key.action == f"screen_{TABS.get(place, '-')}":
                continue  # it is there already
            await at(view, place)
            await prepared(view, key)
            view.app.screen.say("")
            before = seen(view)
            await view.press(name)
            for _ in range(20):
                if seen(view) != before:
                    break
                await view.pilot.pause(0.01)
            else:
                idle.append(f"{name} ({key.action})")
            dialog = getattr(view.app.screen, "dialog", None)
            if dialog is not None and dialog.question is not None:
                view.clock.now += 1.0
                await view.press("escape")
            status = getattr(view.app.screen, "status", None)
            if status is not None and status._typing is not None:
                await view.press("escape")

    assert not idle, ", ".join(idle)


async def test_every_key_of_the_list_of_runs_does_something_there() -> None:
    idle: list[str] = []
    opened: list[str] = []

    async def list_runs() -> tuple[object, ...]:
        return tuple(replace(RUNS[n % 4], run_id=f"r-{n}", name=f"run-{n}") for n in range(40))

    async def open_run(run_id: str) -> FakeDoor:
        opened.append(run_id)
        return FakeDoor()

    options = ViewOptions(origin="me@here", mouse=False, glyphs="utf8")
    app = DashboardApp(options, list_runs=list_runs, open_run=open_run)  # type: ignore[arg-type]
    async with app.run_test(size=SIZE) as pilot:
        view = Viewer(app, pilot, FakeDoor(), Clock())
        await view.until(lambda: len(app.screen.table.rows) == 40)  # type: ignore[attr-defined]
        for key, name in keys_of("runs"):
            if key.action in LEAVING:
                continue
            app.screen.table.cursor = 12  # type: ignore[attr-defined]
            app.screen.say("")  # type: ignore[attr-defined]
            app.screen.table.redraw()  # type: ignore[attr-defined]
            before = (*seen(view), len(opened))
            await view.press(name)
            for _ in range(20):
                if (*seen(view), len(opened)) != before:
                    break
                await pilot.pause(0.01)
            else:
                idle.append(f"{name} ({key.action})")
            await back_to_the_list(view)
    await app.finish()

    assert not idle, ", ".join(idle)


async def back_to_the_list(view: Viewer) -> None:
    """Close what a key has opened over the list of runs."""
    app = view.app
    for _ in range(3):
        if app.session is not None:
            await view.until(lambda: len(app.screen_stack) > 2)
            app.open_tab("0")
        elif len(app.screen_stack) > 2:
            app.pop_screen()
        elif app.screen.dialog.question is not None or app.screen.status._typing is not None:  # type: ignore[attr-defined]
            await asyncio.sleep(0.31)  # the dialog of this screen has the real clock
            await view.press("escape")
        await view.settle()
