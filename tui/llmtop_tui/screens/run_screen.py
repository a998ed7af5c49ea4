"""What all screens of one run share: title, tabs, status line, footer, dialog, and every key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.screen import Screen
from textual.widget import Widget

from llmtop.snapshot import FlightRow
from llmtop_tui import command_line, keys, typed
from llmtop_tui.dialogs import Dialog, Question
from llmtop_tui.ink import Line, Span, line, spread
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panel import LineWidget, Panel
from llmtop_tui.panels import title
from llmtop_tui.proposals import Proposal, again, budget_entry, ending
from llmtop_tui.scene import Scene
from llmtop_tui.session import Session
from llmtop_tui.settings import parse_money, plain_money
from llmtop_tui.status import StatusLine

TABS = (("1", "Overview"), ("2", "Batches"), ("3", "Items"), ("4", "Tuner"), ("5", "Errors"), ("6", "Log"))
_SHORT = {"Overview": "Over", "Batches": "Batch", "Errors": "Err"}
_PAUSED_STATES = frozenset({"pausing", "paused", "budget", "refused"})


Breakpoints = list[tuple[int, str]] | None
_WIDTHS: Breakpoints = [(0, "-tiny"), (60, "-narrow"), (100, "-normal"), (160, "-wide"), (190, "-vast")]
_HEIGHTS: Breakpoints = [
    (0, "-flat"),
    (15, "-squat"),
    (20, "-short"),
    (30, "-mid"),
    (34, "-roomy"),
    (38, "-high"),
    (45, "-tall"),
]


class RunScreen(Screen[None]):
    """A screen over one session. Subclasses say what stands in the middle."""

    PLACE: ClassVar[Place] = "panel"
    TAB: ClassVar[str] = "1"
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS

    def __init__(self, session: Session, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__()
        self.session = session
        self.looks = looks
        self.hidden = hidden
        """Actions that lead nowhere here: no list of runs behind this screen."""
        self.title_panel = Panel(title.lines, looks, id="title")
        self.tabs = Panel(self._tabs, looks, id="tabs")
        self.status = StatusLine(looks, id="status")
        self.footer = Panel(self._footer, looks, id="footer")
        self.dialog = Dialog(looks, session.clock, id="dialog")
        for binding in keys.bindings(self.PLACE):
            for one in binding.make_bindings([binding]):
                self._bindings.key_to_bindings.pop(one.key, None)  # Textual has its own for tab
                self._bindings.bind(one.key, one.action, one.description, show=False)

    def frame(self, middle: Iterable[Widget]) -> Iterable[Widget]:
        """The widgets from top to bottom."""
        yield self.title_panel
        yield from middle
        yield self.status
        yield self.footer
        yield self.dialog

    def panels(self) -> Iterable[Panel]:
        """Panels that `show` draws."""
        return self.query(Panel)

    def show(self, scene: Scene) -> None:
        """Draw this scene, wherever it changed."""
        for panel in self.panels():
            panel.show(scene)

    def on_mount(self) -> None:
        for widget in self.query(LineWidget):
            widget.on_fault = self._panel_fault
        self.show(self.session.scene())

    def on_resize(self) -> None:
        self.dialog.place()

    def restyle(self, looks: Looks) -> None:
        """Draw everything in other looks."""
        self.looks = looks
        for widget in self.query(LineWidget):
            widget.restyle(looks)

    def say(self, text: str, role: Role = "plain", hint: str = "") -> None:
        """Show a message in the status line."""
        self.status.say(text, role, hint)

    def ask(self, question: Question, answered: Callable[[str], None]) -> None:
        """Ask the operator."""
        self.dialog.ask(question, answered)

    def action_do(self, name: str) -> None:
        """Every key comes here with its action's name."""
        own = getattr(self, f"do_{name}", None)
        if name in keys.control_actions() and not self.may_steer():
            return
        if own is not None:
            own()
        elif name.startswith("screen_"):
            self._switch(name.removeprefix("screen_"))
        elif name in keys.control_actions():
            self._steer(name)
        else:
            self.app.action_view(name)  # type: ignore[attr-defined]

    def may_steer(self) -> bool:
        """Whether the run can be changed from here; says why not."""
        scene = self.session.scene()
        if self.session.options.is_read_only:
            self.say("read-only: this viewer cannot change the run", "warn")
        elif scene.snapshot is None:
            self.say("it only starts" if scene.starting else "no answer from the engine yet", "warn")
        elif not scene.is_live:
            self.say(f"the run is not live any more ({scene.snapshot.state})", "warn")
        else:
            return True
        return False

    def _steer(self, action: str) -> None:
        snapshot = self.session.snapshot
        if snapshot is None:
            return
        proposal = self.session.steering.propose(action, snapshot)
        if isinstance(proposal, str):
            self.say(proposal, "warn")
        else:
            self.perform(proposal)

    def perform(self, proposal: Proposal) -> None:
        """Send it, after its question where it has one."""
        if proposal.question is None:
            self.session.perform(proposal)
            return
        bare = replace(proposal, question=None)
        self.ask(
            proposal.question,
            lambda answer: self.session.perform(bare) if answer else self.say("nothing changed"),
        )

    def do_budget(self) -> None:
        """`b`: type a cap, then confirm where more may be spent."""
        snapshot = self.session.snapshot
        if snapshot is not None:
            self.ask(budget_entry(snapshot), self._new_cap)

    def _new_cap(self, text: str) -> None:
        snapshot = self.session.snapshot
        if not text.strip() or snapshot is None:
            self.say("the budget stays as it is")
            return
        pusd = parse_money(text)
        value = plain_money(pusd) if pusd is not None else text.strip()
        self.perform(self.session.steering.set({"max_cost": value}, snapshot))

    def do_stop(self) -> None:
        """`X`: the ways to end a run."""
        choices = (
            ("d", "drain: take nothing new, let calls in flight land", "drain"),
            ("s", "stop now: give up the calls in flight", "now"),
            ("c", "cancel for good, with its provider batches", "cancel"),
            ("n", "go on", "no"),
        )
        self.ask(Question("Stop this run", ("Each asks once more.",), choices), self.end)

    def end(self, choice: str) -> None:
        """End the run in the chosen way, after its question."""
        if choice and self.session.snapshot is not None:
            self.perform(ending(choice, self.session.snapshot))

    def do_command(self) -> None:
        """`:`: the command line."""
        self.status.read(
            ":",
            lambda text: typed.obey(self, text or ""),
            complete=command_line.complete,
            history=self.session.commands_typed,
        )

    def do_resume_run(self) -> None:
        """`r`: start an engine that goes on with a run that nobody runs."""
        options, scene = self.session.options, self.session.scene()
        if scene.is_live and scene.link != "gone":
            self.say("the run lives: space pauses it and lets it go on", "warn")
        elif options.is_read_only or options.home is None:
            self.say("this viewer only looks: nothing can be started from here", "warn")
        else:
            from llmtop_tui.launching import resume_after  # for whoever starts something

            work = resume_after(options.home, self.session)
            self.app.room.launch(work, "resuming")  # type: ignore[attr-defined]

    def do_freeze(self) -> None:
        """`Z`: the display stands still, the run does not."""
        self.session.is_frozen = not self.session.is_frozen
        self.title_panel.show(self.session.scene())

    def do_screen_next(self) -> None:
        self._turn(1)

    def do_screen_back(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        names = [number for number, _ in TABS]
        at = names.index(self.TAB) if self.TAB in names else 0
        self._switch(names[(at + step) % len(names)])

    def _switch(self, number: str) -> None:
        if number != self.TAB:
            self.app.open_tab(number)  # type: ignore[attr-defined]

    def do_next_panel(self) -> None:
        self._turn(1)

    def do_last_panel(self) -> None:
        self._turn(-1)

    def do_back(self) -> None:
        """`esc`: back to the overview."""
        self._switch("1")

    def open_item(self, item_id: str, neighbour: Callable[[int], str | None] | None = None) -> None:
        """Show everything about an item, on top of this screen."""
        self.app.open_item(item_id, neighbour)  # type: ignore[attr-defined]

    def open_batch(self, key: str) -> None:
        """Show what is known of a pack or batch, on top of this screen."""
        self.app.open_batch(key)  # type: ignore[attr-defined]

    def ask_again(self, ids: Sequence[str], what: str = "") -> None:
        """Put these items back in the queue; asks over 100."""
        if self.session.options.is_read_only:
            self.say("read-only: this viewer cannot change the run", "warn")
            return
        self.perform(again(ids, what))

    def steer_job(self, row: FlightRow | None, propose: Callable[[FlightRow], Proposal | str]) -> None:
        """Ask something of the batch job of a row; says why it cannot be asked."""
        found = "no row under the cursor" if row is None else propose(row)
        if isinstance(found, str):
            self.say(found, "warn")
        else:
            self.perform(found)

    def _panel_fault(self, name: str, error: Exception) -> None:
        self.session.note(f"panel {name} cannot be drawn: {type(error).__name__}: {error}")

    def _tabs(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        spans: list[Span] = [(" ", "plain")]
        for number, name in TABS:
            shown = _SHORT.get(name, name) if width < 76 else name
            if number == self.TAB:
                spans.append((f"[{number} {shown}] ", "strong"))
            else:
                spans += [(f" {number} ", "key"), (f"{shown} ", "plain")]
        return [spread(tuple(spans), self.tab_note(width), width)]

    def tab_note(self, width: int) -> Line:
        """The right end of the tabs line."""
        return self._runs_note()

    def _runs_note(self) -> Line:
        return () if "screen_0" in self.hidden else line(("  0", "key"), " Runs ")

    def idle_actions(self, scene: Scene) -> frozenset[str]:
        """Actions that have nothing to work on now: the footer leaves them out."""
        return frozenset()

    def _footer(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        cannot_steer = scene.is_read_only or (scene.snapshot is not None and not scene.is_live)
        hidden = self.hidden | (keys.control_actions() if cannot_steer else frozenset())
        if scene.is_live or scene.is_read_only or (scene.snapshot and not scene.snapshot.counts.pending):
            hidden |= {"resume_run"}
        hidden |= self.idle_actions(scene)
        is_paused = scene.snapshot is not None and scene.snapshot.state in _PAUSED_STATES
        return [keys.footer(self.PLACE, width, looks, is_paused=is_paused, hidden=hidden)]


def next_sort(sorts: Sequence[str], current: str, step: int) -> str:
    """The sort column beside this one."""
    return sorts[(sorts.index(current) + step) % len(sorts)]
