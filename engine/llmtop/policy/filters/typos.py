"""`typos`: known misspellings, mended by an explicit map. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import values
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Verdict
from llmtop.policy.filters.word_map import WordMap, word_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class TyposSettings:
    """Which misspellings are known."""

    map: Mapping[str, str] = setting(word_entries)
    """Misspelled word or phrase -> as it should be."""
    ignore_case: bool = setting(values.boolean, True)
    """Found in any case, and the case of the word found is kept."""

    def __post_init__(self) -> None:
        WordMap(self.map, ignore_case=self.ignore_case)


class Typos:
    """Mends whole words."""

    name: ClassVar[str] = "typos"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(self, settings: TyposSettings) -> None:
        self._map = WordMap(settings.map, ignore_case=settings.ignore_case)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        mended, hits = self._map.replaced(text, context.words.of(text))
        return Changed(mended, hits, f"{hits} typos mended") if hits else PASS
