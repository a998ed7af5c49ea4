"""Textual's own palette over the table of keys, for those who look for it; `:` is the quicker way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from textual.app import App
from textual.command import CommandPalette, DiscoveryHit, Hit, Provider, SearchIcon

from llmtop_tui.key_table import TABLE, Key
from llmtop_tui.screens.run_screen import RunScreen

_UNFIT = frozenset({"up", "down", "page_up", "page_down", "home", "end", "palette", "interrupt"})


class Actions(Provider):
    """Every action of the screen below, by its words."""

    async def search(self, query: str) -> AsyncIterator[Hit]:
        matcher = self.matcher(query)
        for key in self._keys():
            text = f"{key.help}  ({key.label})"
            score = matcher.match(text)
            if score > 0:
                yield Hit(score, matcher.highlight(text), partial(self._do, key))

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        for key in self._keys():
            yield DiscoveryHit(f"{key.help}  ({key.label})", partial(self._do, key))

    def _keys(self) -> list[Key]:
        screen = self.screen
        place = screen.PLACE if isinstance(screen, RunScreen) else "runs"
        return [key for key in TABLE if place in key.where and key.action not in _UNFIT]

    def _do(self, key: Key) -> None:
        screen: Any = self.app.screen
        screen.action_do(key.action)


def open_palette(app: App[Any]) -> None:
    """Show the palette over the screen at hand."""
    app.push_screen(_Palette(providers=[Actions], placeholder="what to do"))


class _Palette(CommandPalette):
    """Without its picture: no character of ambiguous width."""

    def on_mount(self) -> None:
        self.query_one(SearchIcon).icon = ":"
