"""`replace_words`: words of another language, or unwanted ones, replaced by those of a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import values
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Verdict
from llmtop.policy.filters.word_map import WordMap, word_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceWordsSettings:
    """Which words are replaced by which."""

    map: Mapping[str, str] = setting(word_entries)
    """Word or phrase -> what is written instead."""
    ignore_case: bool = setting(values.boolean, True)
    """Found in any case, and the case of the word found is kept."""

    def __post_init__(self) -> None:
        WordMap(self.map, ignore_case=self.ignore_case)


class ReplaceWords:
    """Replaces whole words."""

    name: ClassVar[str] = "replace_words"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(self, settings: ReplaceWordsSettings) -> None:
        self._map = WordMap(settings.map, ignore_case=settings.ignore_case)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        replaced, hits = self._map.replaced(text, context.words.of(text))
        return Changed(replaced, hits, f"{hits} words replaced") if hits else PASS
