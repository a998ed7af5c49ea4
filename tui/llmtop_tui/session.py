"""One run as a viewer holds it: its door, the newest snapshot, the wishes, the engine's health.

The feed is a plain task: nothing it meets can end the app. Commands go through `send`, and what
came of them is said by `on_say`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from llmtop.control.protocol import RunDoor
from llmtop.errors import LlmtopError
from llmtop.model import Acknowledgement, Command
from llmtop.snapshot import LogLine, Snapshot
from llmtop_tui.health import Pulse, is_alive, is_stopped, why_gone
from llmtop_tui.ink import said
from llmtop_tui.item_pages import ItemView
from llmtop_tui.looks import Role
from llmtop_tui.panels.flights import View
from llmtop_tui.proposals import Proposal
from llmtop_tui.scene import ENDED_STATES, SILENT_AFTER_S, Link, Scene
from llmtop_tui.settings import shell_words
from llmtop_tui.steering import Steering
from llmtop_tui.view import EndReason, ViewOptions

REPEAT_S = 0.3
BUSY_AFTER_S = 2.0
RETRY_S = 1.0
_MAX_NOTES = 20
_RSS_EVERY_S = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Session:
    """A viewer's side of one run. `close` ends its tasks and lets go of the door."""

    def __init__(
        self,
        door: RunDoor,
        options: ViewOptions,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        rss: Callable[[], int | None] | None = None,
    ) -> None:
        self.door = door
        self._wall = wall
        self._read_rss = rss or _rss_bytes
        self.clock = clock
        self.options = options
        self.steering = Steering(options.origin, options.is_read_only)
        self.snapshot: Snapshot | None = None
        self.view = View()
        self.batch_view = View()
        self.item_view = ItemView()
        self.is_frozen = False
        self.commands_typed: list[str] = []
        self.filters_typed: list[str] = []
        self.on_redraw: Callable[[], None] = lambda: None
        self.on_say: Callable[[str, Role, str], None] = lambda text, role, hint: None
        self.on_news: Callable[[Snapshot | None, Snapshot], None] = lambda before, now: None
        self.on_landed: Callable[[EndReason], None] = lambda reason: None
        """Called when the stop that was asked for here is done."""
        self.is_stopping_here = False
        self._link: Link = "live"
        self._received = self.clock()
        self._notes: tuple[LogLine, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_back: Proposal | None = None
        self._rss: tuple[float, int | None] = (-_RSS_EVERY_S, None)
        self._pulse = Pulse()
        self._busy = "busy or stopped"
        self._own_command = ""
        self._seen_command = ""

    def start(self) -> None:
        """Begin to follow the run."""
        self._spawn(self._follow())

    def restart(self) -> None:
        """Follow the run again: an engine was started for it."""
        self._link = "live"
        self._received = self.clock()
        self.is_stopping_here = False
        for task in self._tasks:
            task.cancel()
        self.start()

    async def let_go(self) -> None:
        """Watch the run no longer; `restart` follows it again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.door.close(), 1.0)

    async def close(self) -> None:
        """End the feed, send what waits, let go of the door."""
        held_back, self._held_back = self._held_back, None
        if held_back is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.send(held_back), 1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.door.close(), 1.0)

    @property
    def link(self) -> Link:
        """How the engine answers."""
        if self._link != "live" or self.snapshot is None:
            return self._link
        patience = max(SILENT_AFTER_S, 3 * self.options.interval_s)
        return "silent" if self.clock() - self._received > patience else "live"

    def scene(self) -> Scene:
        """What is to be drawn now."""
        link, beginning = self.link, self.options.beginning
        return Scene(
            snapshot=self.snapshot,
            now=self._wall(),
            age_s=self.clock() - self._received,
            link=link,
            link_note=self._health() if link in {"silent", "gone"} else "",
            wishes=self.steering.wanted(),
            viewer_rss_bytes=self._own_rss(),
            is_frozen=self.is_frozen,
            is_read_only=self.options.is_read_only,
            starting=beginning.words if beginning else "",
            name=beginning.name if beginning else "",
            notes=self._notes,
        )

    def note(self, text: str) -> None:
        """Write into the log what happened in this viewer; what repeats is one line with its last time."""
        if self._notes and self._notes[-1].text == text:
            self._notes = self._notes[:-1]
        self._notes = (*self._notes, LogLine(self._wall(), "viewer", text, "warn"))[-_MAX_NOTES:]

    def end_reason(self) -> EndReason:
        """Why leaving now ends the view."""
        if self.snapshot is not None and self.snapshot.state in ENDED_STATES:
            return "stopped" if self.is_stopping_here else "finished"
        return "engine_gone" if self._link == "gone" else "left"

    def perform(self, proposal: Proposal) -> None:
        """Show the wish now and send it; repeats within 0.3 s become one command."""
        self.steering.wish(proposal, self.clock())
        if proposal.shown:
            self.on_say("   ".join(f"{key} > {said(value, 40)}" for key, value in proposal.shown), "you", "")
        if proposal.is_repeatable:
            first = self._held_back
            self._held_back = _merged(first, proposal)
            if first is None:
                self._spawn(self._send_held_back())
        else:
            self._spawn(self.send(proposal))
        self.on_redraw()

    async def send(self, proposal: Proposal) -> None:
        """Send a command and say what came of it."""
        command = Command(proposal.verb, self.options.origin, proposal.values)
        name = self.snapshot.name if self.snapshot else self.door.run_id
        try:
            ack = await self.door.command(command)
        except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
            ack = Acknowledgement(False, f"not sent: {said(error, 120)}")
        self.steering.settle(proposal, ack, self.snapshot)
        if ack.is_ok:
            what = said(ack.message, 120) or proposal.verb
            self._own_command = f"{self.options.origin} {ack.message}"
            hint = "z undo" if proposal.undo is not None else ""
            self.on_say(f"{self.options.origin} {what}   {shell_words(command, name)}", "plain", hint)
        else:
            self.on_say(f"refused: {said(ack.message, 200)}", "warn", "")
        self.on_redraw()

    def tick(self) -> None:
        """Once a second: say what waits too long, and what others did."""
        if self.steering.oldest_wish_s(self.clock()) > BUSY_AFTER_S:
            self.on_say("engine busy: not confirmed yet", "warn", "")

    async def _send_held_back(self) -> None:
        await asyncio.sleep(REPEAT_S)
        proposal, self._held_back = self._held_back, None
        if proposal is not None:
            await self.send(proposal)

    async def _follow(self) -> None:
        while True:
            try:
                async for snapshot in self.door.snapshots(self.options.interval_s):
                    self._take(snapshot)
            except (LlmtopError, OSError, EOFError, TimeoutError, ValueError) as error:
                self.note(f"no answer: {said(error, 200)}")
                self.on_redraw()
            if self._is_over():
                self.on_redraw()
                return
            await asyncio.sleep(RETRY_S)
            if self._is_over():  # it was dying: the run at rest in its ledger would hide how it ended
                self.on_redraw()
                return

    def _take(self, snapshot: Snapshot) -> None:
        before = self.snapshot
        had_wishes = bool(self.steering.wishes)
        self.snapshot = snapshot
        self._received = self.clock()
        self._link = "live"
        self.steering.see(snapshot)
        self.on_news(before, snapshot)
        if snapshot.last_command not in {"", self._seen_command}:
            self._seen_command = snapshot.last_command
            if snapshot.last_command != self._own_command:
                self.on_say(snapshot.last_command, "muted" if before is None else "plain", "")
        is_news = before is None or before.state != snapshot.state
        if is_news or (had_wishes and not self.steering.wishes):
            self.on_redraw()
        if self.is_stopping_here and snapshot.state in ENDED_STATES:
            self.on_landed("stopped")

    def _is_over(self) -> bool:
        """After the stream ended: whether there is nothing more to wait for."""
        if self.snapshot is None:
            return False
        pid = self.snapshot.processes.engine_pid
        if self.snapshot.state in ENDED_STATES or pid <= 0:
            self._link = "ended"
        elif not is_alive(pid):
            self._link = "gone"
        else:
            self._link = "silent"
        return self._link != "silent"

    def _health(self) -> str:
        pid = self.snapshot.processes.engine_pid if self.snapshot else 0
        if pid <= 0:
            return "trying again"
        if self._link == "gone" or not is_alive(pid):
            home = self.options.home
            why = why_gone(pid, self.options.engine_code, home.engines_folder if home else None)
            return f"pid {pid} is gone{f' ({why})' if why else ''}; what was accepted is kept, r resumes"
        share = self._pulse.busy(pid, self.clock())
        if share is not None:
            self._busy = f"busy ({share:.0%} of a core)" if share > 0.5 else "idle"
        if is_stopped(pid):
            return f"pid {pid} is stopped by a signal: `kill -CONT {pid}` lets it go on"
        return f"pid {pid} is alive, {self._busy}; trying again; the run does not need this screen"

    def _own_rss(self) -> int | None:
        now = self.clock()
        if now - self._rss[0] >= _RSS_EVERY_S:
            self._rss = (now, self._read_rss())
        return self._rss[1]

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.note(f"a fault in the viewer: {type(error).__name__}")
            self.on_redraw()


def _merged(first: Proposal | None, last: Proposal) -> Proposal:
    """Two settings in one command; the way back leads to before the first."""
    if first is None:
        return last
    values = {**(first.values or {}), **(last.values or {})}
    undo = last.undo
    if first.undo is not None and last.undo is not None:
        old = {**(last.undo.values or {}), **(first.undo.values or {})}
        undo = Proposal("set", old, tuple((key, str(value)) for key, value in old.items()))
    return Proposal(
        "set", values, tuple((key, str(value)) for key, value in values.items()), None, undo, True
    )


def _rss_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
