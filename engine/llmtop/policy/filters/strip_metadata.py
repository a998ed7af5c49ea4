"""`strip_metadata`: references and control words that a model copied from its prompt are taken out.

Years in brackets, as (1990-1995), and pairs of single digits, as (2-1), are left: they mean something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from llmtop.config import amounts, values
from llmtop.errors import ConfigError
from llmtop.policy.filters.patterns import Pattern, user_pattern
from llmtop.policy.filters.settings import entries, setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Rejected, Verdict

_YEAR = r"(?:1[0-9]|2[01])[0-9]{2}"
_PAIR = rf"(?!{_YEAR}[-–](?:{_YEAR}|[0-9]{{2}})[)\]]|[0-9][-–][0-9][)\]])[0-9]{{1,9}}[-–][0-9]{{1,9}}"
_DEFAULTS = (
    rf"\({_PAIR}\)|\[{_PAIR}\]",
    r"[(\[](?i:id|ref|doc|chunk|item)[ ]?[:=#][ ]?[\w.-]{1,64}[)\]]",
    r"【[0-9]{1,6}(?::[0-9]{1,6})?†[^】\n]{0,80}】",
    r"<\|[a-z_]{1,40}\|>",
)
"""`(45-102)` `[45-102]` · `(id: m-17)` `[doc=3]` · `【12†source】` · `<|im_end|>`"""
_STARTS = "([【<"
_PASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StripMetadataSettings:
    """What is taken out."""

    defaults: bool = setting(values.boolean, True)
    """The patterns that llmtop knows: `(45-102)`, `[45-102]`, `(id: m-17)`, `【12†source】`, `<|im_end|>`."""
    patterns: tuple[str, ...] = setting(entries("patterns"), ())
    """Further patterns, as for Python's re."""
    time_limit: float = setting(amounts.duration(0, 60, is_open=True), 0.1)
    """Seconds that own patterns may take for one answer; beyond it is rejected."""

    def __post_init__(self) -> None:
        if not self.defaults and not self.patterns:
            raise ConfigError("patterns", "is missing, and defaults = false", "Name a pattern.")
        for number, pattern in enumerate(self.patterns, start=1):
            try:
                compiled = user_pattern(pattern)
            except values.BadValue as error:
                raise ConfigError(f"patterns[{number}]", error.what, error.remedy) from None
            if compiled.search("") is not None:
                raise ConfigError(f"patterns[{number}]", "matches nothing at all, and so everywhere")


class StripMetadata:
    """Takes out matches together with the blank before them."""

    name: ClassVar[str] = "strip_metadata"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(self, settings: StripMetadataSettings) -> None:
        self._limit_s = settings.time_limit
        self._default = user_pattern("|".join(_DEFAULTS)) if settings.defaults else None
        self._own = [user_pattern(pattern) for pattern in settings.patterns]

    def apply(self, text: str, context: FilterContext) -> Verdict:
        left, hits = text, 0
        try:
            # What one removal brings together may be metadata again: "(1(45-102)2-34)".
            for _ in range(_PASSES):
                before = left
                for pattern in self._patterns_for(left):
                    left, count = _without(pattern, left, self._limit_s)
                    hits += count
                if left == before:
                    break
        except TimeoutError:
            return Rejected(self.name, f"took longer than {self._limit_s:g} s to search for metadata")
        return Changed(left, hits, f"{hits} fragments of metadata taken out") if hits else PASS

    def _patterns_for(self, text: str) -> list[Pattern]:
        if self._default is None or not any(start in text for start in _STARTS):
            return self._own
        return [self._default, *self._own]


def _without(pattern: Pattern, text: str, limit_s: float) -> tuple[str, int]:
    pieces: list[str] = []
    done = hits = 0
    for match in pattern.finditer(text, timeout=limit_s):
        start, end = match.start(), match.end()
        if end == start:
            continue
        piece = text[done:start]
        bare = piece.rstrip(" \t")
        is_line_start = bare.endswith(("\n", "\r")) or (not bare and not any(pieces))
        after = text[end : end + 1]
        if is_line_start:
            while end < len(text) and text[end] in " \t":
                end += 1
        elif bare != piece and after.isalnum():
            bare += " "
        pieces.append(bare)
        done = end
        hits += 1
    return "".join(pieces) + text[done:], hits
