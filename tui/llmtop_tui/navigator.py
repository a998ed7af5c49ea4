"""Which screen stands over which: the list of runs, one screen of the run at hand, what was opened on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events

from llmtop_tui.dialogs import Dialog
from llmtop_tui.driver import GuardedApp
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks
from llmtop_tui.screens.overview import OverviewScreen
from llmtop_tui.screens.run_screen import RunScreen
from llmtop_tui.screens.runs import RunsScreen
from llmtop_tui.session import Session
from llmtop_tui.status import StatusLine


class Navigator(GuardedApp):
    """The ways between the screens. The app beside it has the timer, the doors and the ways out."""

    session: Session | None
    looks: Looks
    is_slow: bool
    has_list: bool
    """Whether there is a list of runs to go to."""

    def redraw(self) -> None:
        """Draw the newest state on the screen on top."""
        raise NotImplementedError

    def spawn(self, work: Any) -> None:
        """Start something that ends with this app."""
        raise NotImplementedError

    def on_key(self, event: events.Key) -> None:
        """While a line is typed or something is asked, every key goes there, in the order of typing.

        Not by focus: what was typed ahead (a slow line sends a whole word at once) would reach the
        screen's own keys before the focus had moved.
        """
        if (taker := self._taker()) is not None:
            event.prevent_default()
            taker.take_key(event)

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text goes the same way."""
        if (taker := self._taker()) is not None:
            taker.take_paste(event)

    def _taker(self) -> StatusLine | Dialog | None:
        takers = (getattr(self.screen, "dialog", None), getattr(self.screen, "status", None))
        return next((each for each in takers if each is not None and each.is_taking), None)

    def overview(self) -> OverviewScreen:
        """The first screen of the run at hand."""
        assert self.session is not None
        screen = OverviewScreen(self.session, self.looks, self._hidden())
        screen.set_class(self.is_slow, "-slow")
        screen.set_class(not self.looks.has_plot, "-noplot")
        return screen

    def _depth(self) -> int:
        """Screens up to the one of the run: what was opened on top of it goes when the screen changes."""
        return 3 if self.is_over_list else 2

    @property
    def is_over_list(self) -> bool:
        """Whether the list of runs lies below the screen of the run."""
        return len(self.screen_stack) > 1 and isinstance(self.screen_stack[1], RunsScreen)

    def list_screen(self) -> RunsScreen:
        """The list of runs."""
        raise NotImplementedError

    def _hidden(self) -> frozenset[str]:
        return frozenset() if self.has_list else frozenset({"screen_0"})

    def open_tab(self, number: str) -> None:
        """Show another screen of the same run; `0` goes back to the list."""
        if self.session is None:
            return
        if number == "0":
            self._close_run()
            return
        if number == "1":
            screen: RunScreen = self.overview()
        else:
            from llmtop_tui.screens.tabs import screen_of  # not needed for the first paint

            screen = screen_of(number)(self.session, self.looks, self._hidden())
        while len(self.screen_stack) > self._depth():
            self.pop_screen()
        self.switch_screen(screen)
        self.call_after_refresh(self.redraw)

    def open_item(self, item_id: str, neighbour: Callable[[int], str | None] | None) -> None:
        """Show everything about an item on top of the screen at hand."""
        from llmtop_tui.screens.item import ItemScreen  # not needed for the first paint

        if self.session is not None:
            self.push_screen(ItemScreen(self.session, self.looks, self._hidden(), item_id, neighbour))

    def open_batch(self, key: str) -> None:
        """Show what is known of a pack or batch, and its items, on top of the screen at hand."""
        from llmtop_tui.screens.batch import BatchScreen  # not needed for the first paint

        if self.session is not None:
            self.push_screen(BatchScreen(self.session, self.looks, self._hidden(), key))

    def open_help(self) -> None:
        """Show the keys of the screen at hand."""
        from llmtop_tui.screens.help import HelpScreen  # imported late: not needed for the first paint

        place: Place = getattr(self.screen, "PLACE", "runs")
        self.push_screen(HelpScreen(place, self.looks, self._hidden()))

    def _close_run(self) -> None:
        session, self.session = self.session, None
        while len(self.screen_stack) > self._depth():
            self.pop_screen()
        if self.is_over_list:
            self.pop_screen()
        else:
            self.switch_screen(self.list_screen())
        if session is not None:
            self.spawn(session.close())
        self.call_after_refresh(self.redraw)
