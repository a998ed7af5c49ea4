"""A dashboard in a headless app over a fake door, for tests that press keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import patch

from fake_door import FakeDoor
from textual import events
from textual.keys import _character_to_key
from textual.message_pump import MessagePump
from textual.pilot import Pilot

from llmtop_tui.app import DashboardApp, ViewOptions
from llmtop_tui.ink import text_of
from llmtop_tui.panel import LineWidget
from llmtop_tui.session import Session

_CHARACTERS = {"space": " ", "enter": "\r", "tab": "\t", "colon": ":", "question_mark": "?"}


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
        for name in keys:
            character = _CHARACTERS.get(name, name if len(name) == 1 else None)
            key = _character_to_key(character) if character and len(name) == 1 else name
            self.app.post_message(events.Key(key, character))
            await self.settle()

    async def settle(self) -> None:
        """Wait until what was posted has gone through app, screen and app again, and is laid out."""
        if self.app.reason != "left" or self.app._exit:
            return
        for pump in (self.app, self.app.screen, self.app.focused or self.app.screen, self.app):
            await self._through(pump.call_later)
        await self._through(self.app.screen.call_after_refresh)

    async def _through(self, call: Callable[[Callable[[], None]], object]) -> None:
        passed = asyncio.Event()
        pump: MessagePump = call.__self__  # type: ignore[attr-defined]
        call(passed.set)
        for _ in range(100):  # a screen that was closed by the key answers no more
            with suppress(TimeoutError):
                await asyncio.wait_for(passed.wait(), 0.01)
            if passed.is_set() or pump._closing or pump._closed:
                return

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
async def _quick_repeats() -> AsyncIterator[None]:
    """What holds repeats of a key together is as long as it takes to press them here."""
    with patch("llmtop_tui.session.REPEAT_S", 0.05):
        yield


@asynccontextmanager
async def viewer(
    door: FakeDoor | None = None, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[Viewer]:
    """Start the dashboard and wait for its first snapshot."""
    door = door or FakeDoor()
    clock = Clock()
    chosen = ViewOptions(**{"origin": "me@here", "mouse": False, "glyphs": "utf8", **options})
    app = DashboardApp(chosen, Session(door, chosen, clock=clock))
    async with _quick_repeats(), app.run_test(size=size) as pilot:
        view = Viewer(app, pilot, door, clock)
        await view.until(lambda: app.session is not None and app.session.snapshot is not None)
        app.redraw()
        await pilot.pause()
        yield view
    await app.finish()
