"""`length`: answers that are too short or too long are rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import values
from llmtop.errors import ConfigError
from llmtop.policy.filters.settings import setting
from llmtop.policy.filters.verdicts import PASS, FilterContext, Rejected, Verdict

_MOST = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthSettings:
    """Bounds, both ends included; one at least."""

    min_chars: int | None = setting(values.whole(1, _MOST), None)
    """Characters are Unicode's code points, white space at both ends not counted."""
    max_chars: int | None = setting(values.whole(1, _MOST), None)
    min_words: int | None = setting(values.whole(1, _MOST), None)
    """Words are what stands between white space: not for Chinese, Japanese or Thai."""
    max_words: int | None = setting(values.whole(1, _MOST), None)

    def __post_init__(self) -> None:
        if (self.min_chars, self.max_chars, self.min_words, self.max_words) == (None,) * 4:
            raise ConfigError("", "has no bound", "Set min_chars, max_chars, min_words or max_words.")
        for unit, low, high in (
            ("chars", self.min_chars, self.max_chars),
            ("words", self.min_words, self.max_words),
        ):
            if low is not None and high is not None and low > high:
                raise ConfigError(f"min_{unit}", f"is {low}, and max_{unit} is {high}", "Swap them.")


class Length:
    """Counts characters and words of the whole answer."""

    name: ClassVar[str] = "length"
    sees: ClassVar[Literal["leaf", "whole"]] = "whole"

    def __init__(self, settings: LengthSettings) -> None:
        self._chars = (settings.min_chars, settings.max_chars)
        self._words = (settings.min_words, settings.max_words)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        fault = _fault(len(text.strip()), *self._chars, "characters")
        if not fault and self._words != (None, None):
            fault = _fault(len(text.split()), *self._words, "words")
        return Rejected(self.name, fault) if fault else PASS


def _fault(count: int, low: int | None, high: int | None, unit: str) -> str:
    if low is not None and count < low:
        return f"has {count} {unit}, and must have at least {low}"
    if high is not None and count > high:
        return f"has {count} {unit}, and may have {high}"
    return ""
