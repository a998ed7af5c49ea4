"""Help: keys of the screen at hand first, then all; what glyphs and figures mean."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.screen import Screen

from llmtop_tui import keys
from llmtop_tui.ink import Line, line, pad
from llmtop_tui.key_table import Place
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panel import LineWidget, Panel
from llmtop_tui.panels.words import STATE_ROLES
from llmtop_tui.scene import Scene

_FIGURES = (
    ("held by", "what holds items back right now, and the share of waiting of each cause in the last minute"),
    ("mark", "where the memory guard acts: a share of the container's real limit"),
    ("31 » 32", "asked for and not confirmed by the engine yet"),
    ("in flight", "calls that are open, of those that are allowed"),
    ("waiting", "from ready to sent: what the limits held an item back"),
    ("at end", "what the run will have cost, as things stand, with its range"),
    (">= $", "at least: a price or a usage is estimated or unknown"),
    ("-", "not known (yet); never 0"),
)
_HINTS = (
    "Over a thin line: `ssh -C` makes the output about 20 times smaller; f2 then s sends less.",
    "tmux on the far side keeps everything alive; `set -g set-clipboard on` there lets y copy.",
    "Shift (Option on a Mac) with the mouse selects text in most terminals while the mouse is on.",
    "The engine does not need this screen: d detaches, `llmtop attach` brings it back from anywhere.",
)


def lines(place: Place, looks: Looks, hidden: frozenset[str]) -> list[Line]:
    """The whole help text."""
    body = keys.help_lines(place, hidden)
    body.append(line(("States and glyphs", "strong")))
    for state, role in STATE_ROLES.items():
        word = "no answer" if state == "silent" else state
        body.append(
            line(
                "  ", (f"{looks.glyphs.states[state]} ", role), (pad(word.upper(), 12), role), _meaning(state)
            )
        )
    body += [(), line(("Figures", "strong"))]
    body += [line("  ", (pad(name, 10), _figure_role(name)), text) for name, text in _FIGURES]
    body += [(), line(("Hints", "strong")), *(line("  ", text) for text in _HINTS)]
    return body


def _figure_role(name: str) -> Role:
    return "you" if "»" in name else "strong"


def _meaning(state: str) -> str:
    return {
        "starting": "reading the config and the items",
        "running": "items are being sent",
        "held": "a limit holds everything back; the second line names it",
        "pausing": "nothing new is sent, calls in flight land",
        "paused": "nothing is sent until space",
        "stopping": "as pausing, then the engine ends the run",
        "waiting": "everything is in provider batches; the next poll is shown",
        "budget": "the cap on money is reached; b raises it",
        "refused": "key, quota or model refused by the provider; mend it, then space",
        "stopped": "ended before all items were done; can be resumed",
        "cancelled": "ended for good",
        "finished": "every item has a result",
        "failed": "a bug ended the run; everything accepted is on disk",
        "silent": "the engine does not answer; figures are old",
    }[state]


class HelpScreen(Screen[None]):
    """A text to scroll; `?` and esc close it."""

    def __init__(self, place: Place, looks: Looks, hidden: frozenset[str]) -> None:
        super().__init__()
        self._text = lines(place, looks, hidden)
        self._top = 0
        self.looks = looks
        self.body = Panel(self._body, looks, title="Help", id="help-body")
        self.footer = Panel(self._footer, looks, id="footer")
        for binding in keys.bindings("help"):
            for one in binding.make_bindings([binding]):
                self._bindings.bind(one.key, one.action, one.description, show=False)

    def compose(self) -> ComposeResult:
        yield self.body
        yield self.footer

    def show(self, scene: Scene) -> None:
        """Nothing here depends on the run."""

    def restyle(self, looks: Looks) -> None:
        """Draw everything in other looks."""
        self.looks = looks
        for widget in self.query(LineWidget):
            widget.restyle(looks)

    def say(self, text: str, role: Role = "plain", hint: str = "") -> None:
        """There is no status line here."""

    def _body(self, scene: Scene, width: int, height: int, looks: Looks) -> Sequence[Line]:
        self._top = max(0, min(self._top, len(self._text) - height))
        return self._text[self._top : self._top + height]

    def _footer(self, scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
        return [
            line(
                " ", ("esc", "key"), " back  ", ("up down pgup pgdn", "key"), " move  ", ("q", "key"), " back"
            )
        ]

    def action_do(self, name: str) -> None:
        """Every key comes here."""
        page = max(self.body.size.height - 3, 1)
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "home": -(10**6), "end": 10**6}
        if name in steps:
            self._top = max(0, self._top + steps[name])
            self.body.redraw()
        elif name in {"back", "help", "quit"}:
            self.app.pop_screen()
        else:
            self.app.action_view(name)  # type: ignore[attr-defined]
