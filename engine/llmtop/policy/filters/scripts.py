"""`scripts`: lines written mostly in writing scripts that are not wanted are taken out.

Only letters are counted. What no single script owns (digits, punctuation, combining accents,
emoji: Unicode's Common and Inherited) is never foreign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from llmtop.config import values
from llmtop.config.suggest import did_you_mean
from llmtop.policy.filters.patterns import is_script, unicode_pattern
from llmtop.policy.filters.settings import entries, setting
from llmtop.policy.filters.verdicts import PASS, Changed, FilterContext, Verdict

_KNOWN = (
    "Latin", "Greek", "Cyrillic", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul", "Bopomofo",
    "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala",
    "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Georgian", "Armenian", "Ethiopic", "Mongolian", "Cherokee",
)  # fmt: skip
_SEVERAL = {"japanese": '"Han", "Hiragana", "Katakana"', "chinese": '"Han"', "korean": '"Hangul", "Han"'}
_NOT_LATIN = re.compile("[^\x00-\u024f\u2000-\u206f]")
"""Below U+0250, and in general punctuation, everything is Latin or belongs to no script."""


def _script_names(value: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = entries("writing scripts")(value)
    if not names:
        raise values.BadValue("is empty, and would take out every line", 'For example ["Latin"].')
    for name in names:
        if not is_script(name):
            several = _SEVERAL.get(name.lower())
            hint = f"Write {several}." if several else did_you_mean(name, _KNOWN)
            raise values.BadValue(
                f"names {values.shown(name)}, which is no writing script of Unicode",
                hint or f"For example {', '.join(_KNOWN[:6])}.",
            )
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptsSettings:
    """Which writing scripts an answer may use."""

    allow: tuple[str, ...] = setting(_script_names)
    """Unicode's names: Latin, Cyrillic, Han ..."""
    share: float = setting(values.number(0, 1), 0.5)
    """A line goes when more than this share of its letters is foreign."""
    min_letters: int = setting(values.whole(1, 10_000), 2)
    """A line with fewer foreign letters stays, as `π = 3.14`."""


class Scripts:
    """Takes out lines; what is left keeps its line ends."""

    name: ClassVar[str] = "scripts"
    sees: ClassVar[Literal["leaf", "whole"]] = "leaf"

    def __init__(self, settings: ScriptsSettings) -> None:
        self._share = settings.share
        self._least = settings.min_letters
        shared = r"--\p{Script=Common}--\p{Script=Inherited}"
        allowed = "".join(rf"--\p{{Script={name}}}" for name in settings.allow)
        self._letter = unicode_pattern(rf"[\p{{L}}{shared}]")
        self._foreign = unicode_pattern(rf"[\p{{L}}{shared}{allowed}]")
        self._is_latin_allowed = any(name.lower() in ("latin", "latn") for name in settings.allow)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        if self._is_latin_allowed and _NOT_LATIN.search(text) is None:
            return PASS
        if self._foreign.search(text) is None:
            return PASS
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not self._is_foreign(line)]
        gone = len(lines) - len(kept)
        if not gone:
            return PASS
        left = "".join(kept)
        if text and not text[-1].isspace():
            left = left.rstrip("\r\n")
        return Changed(left, gone, f"{gone} of {len(lines)} lines in another writing script taken out")

    def _is_foreign(self, line: str) -> bool:
        foreign = len(self._foreign.findall(line))
        return foreign >= self._least and foreign > self._share * len(self._letter.findall(line))
