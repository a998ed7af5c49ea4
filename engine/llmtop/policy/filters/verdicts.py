"""What a filter sees and what it may say: the words between filters, the chain and the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from llmtop.model import Item
from llmtop.policy.filters.patterns import WORD

OnReject = Literal["keep", "retry"]


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing to say against the text."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The text as it should be, and what was done to it, `hits` times."""

    text: str
    hits: int
    what: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The text cannot be used. `rule` is the filter's name, `reason` a clause about the answer."""

    rule: str
    reason: str
    hits: int = 1


Verdict = Pass | Changed | Rejected
PASS = Pass()


class Seen(Protocol):
    """Remembers outputs by digest, over all items of a run. The run holds it; filters only ask."""

    def first_with(self, digest: bytes, item_id: str) -> str:
        """Return the id of the item that had this output first: `item_id` itself where none had."""


class WordMemo:
    """The lower-case words of one output's texts, so that filters in a row split each of them once."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words: dict[str, list[str]] = {}

    def of(self, text: str) -> list[str]:
        """Return the words of `text` in lower case: runs of letters, digits and their accents."""
        words = self._words.get(text)
        if words is None:
            words = self._words[text] = WORD.findall(text.lower())
        return words


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What a filter may know beside the text."""

    item: Item
    seen: Seen
    value: Any = None
    """The whole output where it is structured (json, schema), else the text itself."""
    words: WordMemo = field(default_factory=WordMemo)


class Filter(Protocol):
    """One rule. `apply` is pure: the same text and context, the same verdict; it raises for no text.

    `sees` says what it is given of a structured output: "leaf": each of its strings on its own;
    "whole": all of them, joined by line ends, and `context.value`. Only a "leaf" filter changes text.
    """

    @property
    def name(self) -> str:
        """What `use` calls it."""

    @property
    def sees(self) -> Literal["leaf", "whole"]:
        """What it is given."""

    def apply(self, text: str, context: FilterContext) -> Verdict:
        """Judge one text."""
