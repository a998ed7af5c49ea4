"""The status line: what happened last and the shell command for it, or a line that is being typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import events

from llmtop_tui.ink import Line, Span, line, said, spread
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panel import LineWidget

_MAX_INPUT = 500


@dataclass(slots=True)
class _Typing:
    """A line that is being typed: `:` a command, `/` a filter."""

    prompt: str
    text: str
    at: int
    done: Callable[[str | None], None]
    """Called with the text on enter, None on esc."""
    changed: Callable[[str], None] | None
    complete: Callable[[str], list[str]] | None
    history: list[str]
    place: int
    offered: str = ""


class StatusLine(LineWidget):
    """One line: a message with a hint at the right, or an input."""

    def __init__(self, looks: Looks, *, id: str) -> None:
        super().__init__(looks, id=id)
        self._text = ""
        self._role: Role = "plain"
        self._hint = ""
        self._typing: _Typing | None = None

    @property
    def is_taking(self) -> bool:
        """Whether a line is being typed: every key belongs to it."""
        return self._typing is not None

    @property
    def text(self) -> str:
        """The message that is shown."""
        return self._text

    def say(self, text: str, role: Role = "plain", hint: str = "") -> None:
        """Show a message; it stays until the next one."""
        self._text, self._role, self._hint = said(text, 300), role, said(hint, 60)
        self.redraw()

    def read(
        self,
        prompt: str,
        done: Callable[[str | None], None],
        *,
        text: str = "",
        changed: Callable[[str], None] | None = None,
        complete: Callable[[str], list[str]] | None = None,
        history: list[str] | None = None,
    ) -> None:
        """Let a line be typed here."""
        past = history if history is not None else []
        self._typing = _Typing(prompt, text, len(text), done, changed, complete, past, len(past))
        self.redraw()

    def content(self, width: int, height: int) -> list[Line]:
        if self._typing is None:
            hint = line((f"  {self._hint} ", "key")) if self._hint else ()
            return [spread(line(" ", (self._text, self._role)), hint, width)]
        typing = self._typing
        room = max(width - len(typing.prompt) - 3, 8)
        start = max(0, typing.at - room + 1)
        before, rest = typing.text[start : typing.at], typing.text[typing.at :]
        spans: list[Span] = [
            (f" {typing.prompt}", "key"),
            (before, "strong"),
            (rest[:1] or " ", "cursor"),
            (rest[1:], "strong"),
            (f"   {typing.offered}" if typing.offered else "", "muted"),
        ]
        return [tuple(spans)]

    def take_key(self, event: events.Key) -> None:
        """Edit the line."""
        typing = self._typing
        if typing is None:
            return
        event.stop()
        event.prevent_default()
        typing.offered = ""
        if event.key in {"enter", "escape", "ctrl+c"}:
            self._finish(typing.text if event.key == "enter" else None)
            return
        before = typing.text
        self._edit(typing, event)
        if typing.text != before and typing.changed is not None:
            typing.changed(typing.text)
        self.redraw()

    def take_paste(self, event: events.Paste) -> None:
        """Insert pasted text, cleaned."""
        if self._typing is not None:
            event.stop()
            self._insert(self._typing, said(event.text, _MAX_INPUT))
            self.redraw()

    def _edit(self, typing: _Typing, event: events.Key) -> None:
        key = event.key
        if key == "backspace":
            if not typing.text:
                self._finish(None)
            typing.text = typing.text[: max(typing.at - 1, 0)] + typing.text[typing.at :]
            typing.at = max(typing.at - 1, 0)
        elif key == "delete":
            typing.text = typing.text[: typing.at] + typing.text[typing.at + 1 :]
        elif key in {"ctrl+u", "ctrl+w"}:
            kept = "" if key == "ctrl+u" else typing.text[: typing.at].rstrip().rpartition(" ")[0]
            typing.text, typing.at = kept + typing.text[typing.at :], len(kept)
        elif key in {"left", "right", "home", "end", "ctrl+a", "ctrl+e"}:
            places = {"left": typing.at - 1, "right": typing.at + 1, "home": 0, "ctrl+a": 0}
            typing.at = max(0, min(places.get(key, len(typing.text)), len(typing.text)))
        elif key in {"up", "down"}:
            self._recall(typing, -1 if key == "up" else 1)
        elif key == "tab":
            self._complete(typing)
        elif event.is_printable and event.character:
            self._insert(typing, event.character)

    def _insert(self, typing: _Typing, text: str) -> None:
        if len(typing.text) + len(text) <= _MAX_INPUT:
            typing.text = typing.text[: typing.at] + text + typing.text[typing.at :]
            typing.at += len(text)

    def _recall(self, typing: _Typing, step: int) -> None:
        typing.place = max(0, min(typing.place + step, len(typing.history)))
        typing.text = typing.history[typing.place] if typing.place < len(typing.history) else ""
        typing.at = len(typing.text)

    def _complete(self, typing: _Typing) -> None:
        offers = typing.complete(typing.text) if typing.complete else []
        if len(offers) == 1:
            typing.text = offers[0]
            typing.at = len(typing.text)
        typing.offered = "  ".join(offer.split(" ")[-1] for offer in offers[:8]) if len(offers) > 1 else ""

    def _finish(self, text: str | None) -> None:
        typing, self._typing = self._typing, None
        self.redraw()
        if typing is not None:
            if text and (not typing.history or typing.history[-1] != text):
                typing.history.append(text)
            typing.done(text)
