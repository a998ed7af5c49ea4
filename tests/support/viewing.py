"""A dashboard in a headless app over a fake door, for tests that press keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fake_door import FakeDoor
from textual.pilot import Pilot

from llmtop_tui.app import DashboardApp, ViewOptions
from llmtop_tui.ink import text_of
from llmtop_tui.panel import LineWidget
from llmtop_tui.session import Session


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Viewer:
    """The app, its door, and what the screen says."""

    def __init__(self, app: DashboardApp, pilot: Pilot[None], door: FakeDoor, clock: Clock) -> None:
        self.app, self.pilot, self.door, self.clock = app, pilot, door, clock

    def text(self, name: str = "") -> str:
        """The text of one widget, or of all that are shown, from top to bottom."""
        widgets = [each for each in self.app.screen.query(LineWidget) if each.region and each.display]
        chosen = [each for each in widgets if not name or each.id == name]
        return "\n".join(text_of(spans) for each in chosen for spans in each._lines)

    async def press(self, *keys: str) -> None:
        """Type, and let what each key starts happen."""
        await self.pilot.press(*keys)

    async def answer(self, *keys: str) -> None:
        """Type into a dialog, later than what counts as typed ahead."""
        for key in keys:
            self.clock.now += 1.0
            await self.press(key)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the app work until something holds."""
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"it never held; the screen says:\n{self.text()}")

    @property
    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """Commands that reached the door."""
        return [(command.verb, dict(command.values or {})) for command in self.door.commands]


@asynccontextmanager
async def viewer(
    door: FakeDoor | None = None, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[Viewer]:
    """Start the dashboard and wait for its first snapshot."""
    door = door or FakeDoor()
    clock = Clock()
    chosen = ViewOptions(**{"origin": "me@here", "mouse": False, "glyphs": "utf8", **options})
    app = DashboardApp(chosen, Session(door, chosen, clock=clock))
    async with app.run_test(size=size) as pilot:
        view = Viewer(app, pilot, door, clock)
        await view.until(lambda: app.session is not None and app.session.snapshot is not None)
        app.redraw()
        await pilot.pause()
        yield view
    await app.finish()
