"""Questions to the operator: a small box over the page.

The default is no: enter and esc never agree to anything that costs money or loses work, only
the key that the box names does. Keys within 0.3 s of its opening are ignored: they were typed ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import events
from textual.geometry import Offset

from llmtop_tui.ink import EMPTY, Line, boxed, line, pad, said, wrap
from llmtop_tui.looks import Looks
from llmtop_tui.panel import LineWidget

TYPED_AHEAD_S = 0.3
_WIDTH = 60
_PLAIN_NO = "n enter esc"
"""How a plain no is written: it is enter and esc too."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `choices`: (key, what it does, answer); `entry` asks for a line of text first."""

    title: str
    body: tuple[str, ...]
    choices: tuple[tuple[str, str, str], ...] = ()
    entry: str | None = None
    """Text to start the entry with; None: no entry."""
    is_right: Callable[[str], str] = lambda text: ""
    """What is wrong with an entered text; "" when nothing is."""


def confirm(title: str, *body: str, yes: str, no: str) -> Question:
    """Ask for a plain yes: only `y` is one."""
    return Question(title, body, (("y", yes, "yes"), ("n", no, "no")))


class Dialog(LineWidget):
    """Shows one question at a time and calls back with the answer; "" is no."""

    def __init__(self, looks: Looks, clock: Callable[[], float], *, id: str) -> None:
        super().__init__(looks, id=id)
        self._clock = clock
        self._question: Question | None = None
        self._answered: Callable[[str], None] | None = None
        self._opened_at = 0.0
        self._text = ""
        self._fault = ""
        self.display = False

    @property
    def is_taking(self) -> bool:
        """Whether something is being asked: every key belongs to it."""
        return self._question is not None

    @property
    def question(self) -> Question | None:
        """What is being asked."""
        return self._question

    def ask(self, question: Question, answered: Callable[[str], None]) -> None:
        """Open; `answered` is called once."""
        self._question, self._answered = question, answered
        self._text, self._fault = question.entry or "", ""
        self._opened_at = self._clock()
        self.display = True
        self.place()
        self.redraw()

    def place(self) -> None:
        """Stand in the middle of the screen."""
        if self._question is None:
            return
        screen = self.app.size
        width = min(_WIDTH, screen.width)
        height = min(len(self._body(width - 4)) + 2, screen.height)
        self.styles.width, self.styles.height = width, height
        self.styles.offset = Offset(
            max((screen.width - width) // 2, 0), max((screen.height - height) // 2, 0)
        )

    def content(self, width: int, height: int) -> list[Line]:
        if self._question is None:
            return []
        return boxed(line((self._question.title, "strong")), self._body(width - 4), width, height, self.looks)

    def _body(self, width: int) -> list[Line]:
        question = self._question
        if question is None:
            return []
        body: list[Line] = [EMPTY]
        for text in question.body:
            body += [line(part) for part in wrap(said(text, 300), width)] or [EMPTY]
        body.append(EMPTY)
        if question.entry is not None:
            body.append(line(("> ", "you"), (self._text, "strong"), ("_", "you")))
            body.append(
                line((self._fault or "enter goes on, esc goes back", "warn" if self._fault else "muted"))
            )
        room = 15 if self._has_plain_no else 7
        for key, meaning, answer in question.choices:
            label = _PLAIN_NO if (key, answer) == ("n", "no") else "esc" if key == "escape" else key
            for number, part in enumerate(wrap(meaning, max(width - room, 10))):
                body.append(line((pad(label if number == 0 else "", room), "key"), part))
        return body

    @property
    def _has_plain_no(self) -> bool:
        choices = self._question.choices if self._question is not None else ()
        return any((key, answer) == ("n", "no") for key, _, answer in choices)

    def take_key(self, event: events.Key) -> None:
        """Take every key while open."""
        event.stop()
        event.prevent_default()
        if self._question is None or self._clock() - self._opened_at < TYPED_AHEAD_S:
            return
        if event.key == "escape":
            self._close(self._answer_of("escape"))
        elif self._question.entry is not None:
            self._edit(event)
        else:
            named = event.key if event.key == "enter" else event.character or ""
            answers = {key for key, _, _ in self._question.choices}
            if named in answers or named == "enter":
                self._close(self._answer_of(named))

    def take_paste(self, event: events.Paste) -> None:
        """A pasted text is no answer; in an entry it is text."""
        event.stop()
        if self._question is not None and self._question.entry is not None:
            self._text += said(event.text, 100)
            self.redraw()

    def _answer_of(self, key: str) -> str:
        choices = self._question.choices if self._question else ()
        return next((answer for name, _, answer in choices if name == key), "")

    def _edit(self, event: events.Key) -> None:
        if event.key == "enter":
            self._fault = self._question.is_right(self._text) if self._question else ""
            if not self._fault:
                self._close(self._text)
                return
        elif event.key == "backspace":
            self._text = self._text[:-1]
        elif event.key == "ctrl+u":
            self._text = ""
        elif event.is_printable and event.character and len(self._text) < 100:
            self._text += event.character
        self.redraw()

    def _close(self, answer: str) -> None:
        answered, self._answered, self._question = self._answered, None, None
        self.display = False
        if answered is not None:
            answered("" if answer == "no" else answer)
